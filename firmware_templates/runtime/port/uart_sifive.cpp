// UART of SiFive: FE310-G002 manual, chapters UART and GPIO. UART0 is on GPIO 16 and 17.
#include "board.h"

#if TINYDEPLOY_UART_SIFIVE

#include "clock.h"
#include "uart.h"

namespace tinydeploy {
namespace {

using board::kUartBase;

constexpr uint32_t kTxdata = kUartBase + 0x00;
constexpr uint32_t kRxdata = kUartBase + 0x04;
constexpr uint32_t kTxctrl = kUartBase + 0x08;
constexpr uint32_t kRxctrl = kUartBase + 0x0c;
constexpr uint32_t kDiv = kUartBase + 0x18;
constexpr uint32_t kIofEnable = 0x10012038;
constexpr uint32_t kIofSelect = 0x1001203c;
constexpr uint32_t kPins = 3u << 16;

// To see whether there is a byte is to take it: it waits here for take().
constexpr uint32_t kEmpty = 1u << 31;
uint32_t next = kEmpty;

constexpr uint32_t kFull = 1u << 31;

}  // namespace

namespace uart {

void open() {
  reg32(kIofSelect) &= ~kPins;
  reg32(kIofEnable) |= kPins;
  reg32(kDiv) = (clock::uart_hz() + board::kUartBaud / 2) / board::kUartBaud - 1;
  reg32(kTxctrl) = 1;
  reg32(kRxctrl) = 1;
}

bool readable() {
  if (next & kEmpty) next = reg32(kRxdata);
  return !(next & kEmpty);
}

uint8_t take() {
  if (next & kEmpty) next = reg32(kRxdata);
  const auto byte = static_cast<uint8_t>(next);
  next = kEmpty;
  return byte;
}

bool writable() { return !(reg32(kTxdata) & kFull); }
void put(uint8_t byte) { reg32(kTxdata) = byte; }

}  // namespace uart
}  // namespace tinydeploy

#endif
