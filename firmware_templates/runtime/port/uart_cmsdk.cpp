// Arm CMSDK APB UART: Cortex-M System Design Kit Technical Reference Manual, 4.4.
#include "board.h"

#if TINYDEPLOY_UART_CMSDK

#include "clock.h"
#include "uart.h"

namespace tinydeploy {
namespace uart {

using board::kUartBase;

void open() {
  reg32(kUartBase + 0x10) = clock::uart_hz() / board::kUartBaud;  // BAUDDIV
  reg32(kUartBase + 0x08) = 3;                                    // CTRL: transmitter and receiver on
}
bool readable() { return reg32(kUartBase + 0x04) & 2; }     // STATE: receive buffer full
bool writable() { return !(reg32(kUartBase + 0x04) & 1); }  // STATE: transmit buffer full
uint8_t take() { return static_cast<uint8_t>(reg32(kUartBase)); }
void put(uint8_t byte) { reg32(kUartBase) = byte; }

}  // namespace uart
}  // namespace tinydeploy

#endif
