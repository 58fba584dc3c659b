// A test engine for the host: inference k since reset counts n + k, where n is the input's first word, and gives back
// the input with k added to each byte. So no count and no output is the same twice, unless it has to be.
#include "runtime/engine.h"
#include "runtime/port/counter.h"

namespace tinydeploy {
namespace engine {
namespace {

constexpr uint32_t kBytes = 600;  // three frames

uint8_t* memory;
uint32_t invocations;

}  // namespace

extern const Description kDescription = {"paced", {4, 5, 6}, 1, 1, 2};

Status setup(uint8_t* arena, size_t arena_bytes) {
  if (arena_bytes < 2 * kBytes) return Status::kArenaTooSmall;
  memory = arena;
  invocations = 0;
  return Status::kOk;
}

Span input(uint32_t) { return {memory, kBytes}; }
Span output(uint32_t) { return {memory + kBytes, kBytes}; }

Status invoke(OpHook hook) {
  ++invocations;
  // The host's counter counts its own readings.
  const uint32_t readings = (memory[0] | memory[1] << 8) + invocations;
  for (uint32_t i = 0; i < readings; ++i) counter::read();
  if (hook != nullptr) hook(0);
  for (uint32_t i = 0; i < kBytes; ++i) memory[kBytes + i] = static_cast<uint8_t>(memory[i] + invocations);
  for (uint32_t i = 0; i < invocations; ++i) counter::read();
  if (hook != nullptr) hook(1);
  return Status::kOk;
}

void reset() { invocations = 0; }

}  // namespace engine
}  // namespace tinydeploy
