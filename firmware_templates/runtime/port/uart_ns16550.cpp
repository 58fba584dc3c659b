// NS16550, with byte-wide registers one byte apart.
#include "board.h"

#if TINYDEPLOY_UART_NS16550

#include "mmio.h"
#include "uart.h"

namespace tinydeploy {
namespace uart {

using board::kUartBase;

void open() {
  constexpr uint32_t kInputHz = 3686400;  // QEMU virt's
  constexpr uint32_t kDivisor = kInputHz / (16 * board::kUartBaud);
  reg8(kUartBase + 1) = 0;     // IER: polled
  reg8(kUartBase + 3) = 0x80;  // LCR: the next two are the divisor
  reg8(kUartBase + 0) = kDivisor & 0xff;
  reg8(kUartBase + 1) = kDivisor >> 8;
  reg8(kUartBase + 3) = 0x03;  // LCR: 8N1
  reg8(kUartBase + 2) = 0x07;  // FCR: FIFOs on and empty
}
bool readable() { return reg8(kUartBase + 5) & 0x01; }
bool writable() { return reg8(kUartBase + 5) & 0x20; }
uint8_t take() { return reg8(kUartBase); }
void put(uint8_t byte) { reg8(kUartBase) = byte; }

}  // namespace uart
}  // namespace tinydeploy

#endif
