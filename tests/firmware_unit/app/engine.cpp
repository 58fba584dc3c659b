// The smallest engine: its one output is its one input plus a constant, byte by byte.
#include "runtime/engine.h"

extern const uint8_t model_increments[8];

namespace tinydeploy {
namespace engine {
namespace {

constexpr uint32_t kBytes = 8;
uint8_t* tensors = nullptr;
OpHook hook = nullptr;

}  // namespace

const Description kDescription = {"increment", {}, 1, 1, 1};

Status setup(uint8_t* arena, size_t arena_bytes) {
  if (arena_bytes < 2 * kBytes) return Status::kArenaTooSmall;
  tensors = arena;
  return Status::kOk;
}

Span input(uint32_t) { return {tensors, kBytes}; }
Span output(uint32_t) { return {tensors + kBytes, kBytes}; }

void set_hook(OpHook wanted) { hook = wanted; }

Status invoke() {
  for (uint32_t i = 0; i < kBytes; ++i) tensors[kBytes + i] = static_cast<uint8_t>(tensors[i] + model_increments[i]);
  if (hook != nullptr) hook(nullptr, 0);
  return Status::kOk;
}

void reset() {}

}  // namespace engine
}  // namespace tinydeploy
