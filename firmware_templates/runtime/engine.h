// The interface between the firmware's main and an engine (ahead-of-time code, or TFLite Micro).
// main owns the arena, the link and the counters; an engine owns the model. One engine is linked in.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace tinydeploy {

enum class Status : uint8_t {
  kOk = 0,
  kArenaTooSmall = 1,   // setup() needs more bytes than it was given
  kInvokeFailed = 2,    // setup() passed, invoke() did not
  kUnsupported = 3,     // the engine cannot run this model on this core
};

struct Span {
  uint8_t* data;
  uint32_t bytes;
};

// Called after each op with its position in the engine's own order, and so more than once if the engine takes several
// turns at an op. The first call is for op 0. The context is null.
using OpHook = void (*)(void* context, uint32_t op);

struct Description {
  const char* engine;          // "aot", "tflm"
  uint8_t model_sha256[32];    // of the .tflite file
  uint32_t inputs;
  uint32_t outputs;
  uint32_t ops;                // how many ops the hook may be called for
};

namespace engine {

extern const Description kDescription;

// Builds the model in arena[0, arena_bytes). May be called again, with another size, at any time.
Status setup(uint8_t* arena, size_t arena_bytes);

// Where the bytes of one of the described tensors are, valid after setup(). An input has to be written before each invoke(), which may
// overwrite it.
Span input(uint32_t index);
Span output(uint32_t index);

// Has `hook` called after each op; null for nothing. Valid after setup().
void set_hook(OpHook hook);

// One inference.
Status invoke();

// Puts stateful ops (LSTM, variables) back to their initial state.
void reset();

}  // namespace engine
}  // namespace tinydeploy
