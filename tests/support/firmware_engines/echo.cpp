// A test engine: output[i] = input[i] + 1 + how often it was invoked since reset; its three ops copy, do ten nops and do a
// thousand nops. An input that starts with a magic byte makes it misbehave, see Trick.
#include "runtime/engine.h"
#include "runtime/log.h"

namespace tinydeploy {
namespace engine {
namespace {

#define TEN(x) x; x; x; x; x; x; x; x; x; x
constexpr uint32_t kBytes = 600;  // three frames
enum Trick : uint8_t { kFault = 0xf0, kHang = 0xf1, kFail = 0xf2, kLog = 0xf3, kOverrun = 0xf4, kOverflow = 0xf5, kWriteFlash = 0xf6,
                       kStrayRead = 0xf7, kStrayJump = 0xf8, kUnaligned = 0xf9 };

#ifdef ECHO_FLASH_BYTES
const volatile uint8_t ballast[ECHO_FLASH_BYTES] = {1};
#endif

uint8_t* memory;
OpHook wanted = nullptr;
size_t memory_bytes;
uint8_t invocations;

[[gnu::noinline]] uint32_t recurse(uint32_t depth) {
  volatile uint32_t frame[64];
  frame[depth % 64] = depth;
  return depth == UINT32_MAX ? 0 : recurse(depth + 1) + frame[depth % 64];
}

}  // namespace

[[gnu::noinline]] void provoke_fault() {
  __builtin_trap();
}

constexpr uintptr_t kNowhere = 0x5ffffff0;  // no board has anything there

[[gnu::noinline]] void stray_read() {
  (void)*reinterpret_cast<volatile uint32_t*>(kNowhere);
}

extern const Description kDescription = {"echo", {1, 2, 3}, 1, 1, 3};

Status setup(uint8_t* arena, size_t arena_bytes) {
  if (arena_bytes < 2 * kBytes) return Status::kArenaTooSmall;
  memory = arena;
  memory_bytes = arena_bytes;
  invocations = 0;
  return Status::kOk;
}

Span input(uint32_t) { return {memory, kBytes}; }
Span output(uint32_t) { return {memory + kBytes, kBytes}; }

void set_hook(OpHook hook) { wanted = hook; }

Status invoke() {
  const OpHook hook = wanted;
  switch (memory[0]) {
    case kFault: provoke_fault(); break;
    case kHang:
      for (;;) asm volatile("");
    case kFail: return Status::kInvokeFailed;
    case kLog: log("invocation %d of %s, %u%% of %x", invocations, "echo", 100u, 0xbeefu); break;
    case kOverrun: memory[memory_bytes] ^= 0xff; break;
    case kWriteFlash: *const_cast<volatile uint8_t*>(kDescription.model_sha256) = 0; break;
    case kStrayRead: stray_read(); break;
    case kStrayJump: reinterpret_cast<void (*)()>(kNowhere | 1)(); break;
    case kUnaligned: (void)*reinterpret_cast<volatile uint32_t*>(memory + 1); break;
    case kOverflow: return static_cast<Status>(recurse(0));
  }
  for (uint32_t i = 0; i < kBytes; ++i) memory[kBytes + i] = static_cast<uint8_t>(memory[i] + 1 + invocations);
  ++invocations;
  if (hook != nullptr) hook(nullptr, 0);
  TEN(asm volatile("nop"));
  if (hook != nullptr) hook(nullptr, 1);
  TEN(TEN(TEN(asm volatile("nop"))));
  if (hook != nullptr) hook(nullptr, 2);
  return Status::kOk;
}

void reset() {
  invocations = 0;
#ifdef ECHO_FLASH_BYTES
  invocations = ballast[1];
#endif
}

}  // namespace engine
}  // namespace tinydeploy
