// A test engine whose inference takes exactly 2 n + K instructions, where n is the input, a little-endian word, and K
// is small and fixed. Its three ops take 0, 10 and 1000 instructions, and the loop is in the first.
#include "runtime/engine.h"

#define TEN(x) x; x; x; x; x; x; x; x; x; x

namespace tinydeploy {
namespace engine {
namespace {

uint8_t* memory;
OpHook hook = nullptr;

}  // namespace

extern const Description kDescription = {"spin", {}, 1, 1, 3};

Status setup(uint8_t* arena, size_t arena_bytes) {
  memory = arena;
  return arena_bytes < 8 ? Status::kArenaTooSmall : Status::kOk;
}

Span input(uint32_t) { return {memory, 4}; }
Span output(uint32_t) { return {memory + 4, 4}; }

void set_hook(OpHook wanted) { hook = wanted; }

Status invoke() {
  uint32_t n = *reinterpret_cast<uint32_t*>(memory);
  if (n != 0) {
#if defined(__arm__)
    asm volatile(".syntax unified\n.balign 8\n1: subs %0, #1\nbne 1b" : "+l"(n) : : "cc");
#else
    asm volatile("1: addi %0, %0, -1\nbnez %0, 1b" : "+r"(n));
#endif
  }
  if (hook == nullptr) return Status::kOk;
  hook(nullptr, 0);
  TEN(asm volatile("nop"));
  hook(nullptr, 1);
  TEN(TEN(TEN(asm volatile("nop"))));
  hook(nullptr, 2);
  return Status::kOk;
}

void reset() {}

}  // namespace engine
}  // namespace tinydeploy
