// A test engine that needs exactly ADVERSARY_NEEDS bytes of arena, and misbehaves in its own way in each band below.
// From large to small: wrong output, failing inference, too small, hang, fault.
#include "runtime/engine.h"

#ifndef ADVERSARY_NEEDS
#define ADVERSARY_NEEDS 20000
#endif
#ifndef ADVERSARY_BAND
#define ADVERSARY_BAND (ADVERSARY_NEEDS / 8)
#endif

namespace tinydeploy {
namespace engine {
namespace {

constexpr size_t kNeeds = ADVERSARY_NEEDS;
constexpr size_t kBand = ADVERSARY_BAND;

uint8_t* memory;
OpHook hook = nullptr;
size_t memory_bytes;

}  // namespace

extern const Description kDescription = {"adversary", {}, 1, 1, 1};

Status setup(uint8_t* arena, size_t arena_bytes) {
  memory = arena;
  memory_bytes = arena_bytes;
  if (arena_bytes >= kNeeds - 2 * kBand) {
    // Uses the end of what it needs, or has; the marks that it leaves are no hint at how much that is.
    const size_t uses = arena_bytes < kNeeds ? arena_bytes : kNeeds;
    arena[uses - 1] = 0;
    return Status::kOk;
  }
  if (arena_bytes >= kNeeds - 3 * kBand) return Status::kArenaTooSmall;
  if (arena_bytes >= kNeeds - 4 * kBand) {
    for (;;) asm volatile("");
  }
  __builtin_trap();
  return Status::kOk;
}

Span input(uint32_t) { return {memory, 8}; }
Span output(uint32_t) { return {memory + 8, 8}; }

void set_hook(OpHook wanted) { hook = wanted; }

Status invoke() {
  if (memory_bytes < kNeeds - kBand) return Status::kInvokeFailed;
  const uint8_t error = memory_bytes < kNeeds ? 1 : 0;
  for (size_t i = 0; i < 8; ++i) memory[8 + i] = static_cast<uint8_t>(memory[i] * 3 + error);
  if (hook != nullptr) hook(nullptr, 0);
  return Status::kOk;
}

void reset() {}

}  // namespace engine
}  // namespace tinydeploy
