// The link over SIMCALL, the host call of Xtensa's simulators, which QEMU's sim machine serves: with the pipe, its
// standard input and output; as a UART, the machine's console, whatever that is connected to.
#if defined(__XTENSA__)

#include "board.h"
#include "link.h"
#include "uart.h"

namespace tinydeploy {
namespace {

constexpr uint32_t kExit = 1;
constexpr uint32_t kRead = 3;
constexpr uint32_t kWrite = 4;
constexpr uint32_t kSelectOne = 29;
constexpr uint32_t kInput = 0;
constexpr uint32_t kOutput = 1;

// Of the number in a2, and arguments from a3 on. The answer is in a2: how much was done, or -1.
[[gnu::noinline]] int32_t simcall(uint32_t number, uint32_t a, uintptr_t b, uintptr_t c) {
  register uint32_t a2 asm("a2") = number;
  register uint32_t a3 asm("a3") = a;
  register uint32_t a4 asm("a4") = b;
  register uint32_t a5 asm("a5") = c;
  asm volatile("simcall" : "+r"(a2), "+r"(a3) : "r"(a4), "r"(a5) : "memory");
  return static_cast<int32_t>(a2);
}

}  // namespace

#if TINYDEPLOY_LINK_PIPE

namespace link {

const uint8_t kWindow = 16;  // the operating system's pipe holds them

void open() {}

size_t read(uint8_t* data, size_t bytes) {
  // The emulator reads page by page, and would wait for what is to come after a page that was filled.
  constexpr size_t kPage = 4096;
  const auto at = reinterpret_cast<uintptr_t>(data);
  const size_t room = kPage - at % kPage;
  const int32_t got = simcall(kRead, kInput, at, bytes < room ? bytes : room);
  if (got <= 0) {  // the host has closed its end
    for (;;) simcall(kExit, 0, 0, 0);
  }
  return static_cast<size_t>(got);
}

void write(const uint8_t* data, size_t bytes) {
  while (bytes > 0) {
    const int32_t written = simcall(kWrite, kOutput, reinterpret_cast<uintptr_t>(data), bytes);
    if (written <= 0) return;
    data += written;
    bytes -= static_cast<size_t>(written);
  }
}

}  // namespace link

#elif TINYDEPLOY_UART_SIMCALL

namespace uart {

void open() {}

bool readable() {
  constexpr uint32_t kForReading = 1;
  const uint32_t at_once[2] = {};
  return simcall(kSelectOne, kInput, kForReading, reinterpret_cast<uintptr_t>(at_once)) > 0;
}

uint8_t take() {
  uint8_t byte = 0;
  simcall(kRead, kInput, reinterpret_cast<uintptr_t>(&byte), 1);
  return byte;
}

bool writable() { return true; }
void put(uint8_t byte) { simcall(kWrite, kOutput, reinterpret_cast<uintptr_t>(&byte), 1); }

}  // namespace uart

#endif

}  // namespace tinydeploy

#endif
