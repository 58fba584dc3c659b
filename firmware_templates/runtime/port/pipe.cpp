// The link over the semihosting console: an emulator's standard input and output. Thousands of times faster than
// an emulated UART. Without an emulator or a debugger that serves semihosting, its breakpoints are faults.
#include "board.h"

#if TINYDEPLOY_LINK_PIPE && !defined(__XTENSA__)  // which has simcall.cpp

#include "link.h"

namespace tinydeploy {
namespace {

// Operations of Arm's "Semihosting for AArch32 and AArch64", which RISC-V has taken over.
constexpr uintptr_t kOpen = 0x01;
constexpr uintptr_t kWrite = 0x05;
constexpr uintptr_t kRead = 0x06;
constexpr uintptr_t kExit = 0x18;
constexpr uintptr_t kApplicationExit = 0x20026;
constexpr uintptr_t kForReading = 0;
constexpr uintptr_t kForWriting = 4;

#if defined(__arm__)
[[gnu::naked]] uintptr_t call(uintptr_t, uintptr_t) { asm volatile("bkpt 0xab\nbx lr"); }
#else
// These three, uncompressed and in one page, are how an emulator tells the call from a breakpoint.
[[gnu::naked, gnu::aligned(16)]] uintptr_t call(uintptr_t, uintptr_t) {
  asm volatile(
      ".option push\n.option norvc\n"
      "slli zero, zero, 0x1f\nebreak\nsrai zero, zero, 7\n"
      ".option pop\n"
      "ret");
}
#endif

uintptr_t call(uintptr_t operation, uintptr_t a, uintptr_t b, uintptr_t c) {
  const volatile uintptr_t arguments[] = {a, b, c};
  asm volatile("" ::: "memory");  // the arguments have to be in memory, and what is there may change
  return call(operation, reinterpret_cast<uintptr_t>(arguments));
}

uintptr_t input, output;

}  // namespace

namespace link {

const uint8_t kWindow = 16;  // the operating system's pipe holds them

void open() {
  static const char kConsole[] = ":tt";
  const auto name = reinterpret_cast<uintptr_t>(kConsole);
  input = call(kOpen, name, kForReading, sizeof(kConsole) - 1);
  output = call(kOpen, name, kForWriting, sizeof(kConsole) - 1);
}

size_t read(uint8_t* data, size_t bytes) {
  const size_t missing = call(kRead, input, reinterpret_cast<uintptr_t>(data), bytes);
  if (missing >= bytes) {  // the host has closed its end
    for (;;) call(kExit, kApplicationExit);
  }
  return bytes - missing;
}

void write(const uint8_t* data, size_t bytes) {
  while (bytes > 0) {
    const size_t missing = call(kWrite, output, reinterpret_cast<uintptr_t>(data), bytes);
    if (missing > bytes) return;
    data += bytes - missing;
    bytes = missing;
  }
}

}  // namespace link
}  // namespace tinydeploy

#endif
