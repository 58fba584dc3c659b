// What Espressif's RISC-V chips have in common: offsets from the bases that the header of the chip gives, which is
// included at the end. Names, addresses and bits are those of the soc component's headers in ESP-IDF 6.2; chapters here
// and in esp32c3.h are the ESP32-C3 Technical Reference Manual's.
#pragma once

#include <stdint.h>

#include "board.h"
#include "clock.h"
#include "mmio.h"

namespace tinydeploy {
namespace chip {

// 11 Timer Group, 12.2 digital watchdogs (timer_group_reg.h)
constexpr uint32_t kTimerGroupStep = 0x1000;  // from one group to the next
constexpr uint32_t kTimgWdtConfig0 = 0x48;    // TIMG_WDTCONFIG0_REG: WDT_CONF_UPDATE_EN [22]
constexpr uint32_t kTimgWdtProtect = 0x64;    // TIMG_WDTWPROTECT_REG
constexpr uint32_t kWdtKey = 0x50d83aa1;      // TIMG_WDT_WKEY_VALUE, and of the watchdog that sleep keeps

// 10 System Timer (systimer_reg.h)
constexpr uint32_t kSystimerUnit0Op = 0x04;   // SYSTIMER_UNIT0_OP_REG: VALUE_VALID [29], UPDATE [30]
constexpr uint32_t kSystimerUnit0Low = 0x44;  // SYSTIMER_UNIT0_VALUE_LO_REG

// 26 UART Controller (uart_reg.h)
constexpr uint32_t kUartFifo = 0x00;    // UART_FIFO_REG
constexpr uint32_t kUartClkDiv = 0x14;  // UART_CLKDIV_REG: integer [11:0], sixteenths [23:20]
constexpr uint32_t kUartStatus = 0x1c;  // UART_STATUS_REG: RXFIFO_CNT from bit 0 on, TXFIFO_CNT from bit 16 on

// 30 USB Serial/JTAG Controller (usb_serial_jtag_reg.h)
constexpr uint32_t kUsbEp1 = 0x00;      // USB_SERIAL_JTAG_EP1_REG
constexpr uint32_t kUsbEp1Conf = 0x04;  // USB_SERIAL_JTAG_EP1_CONF_REG: WR_DONE [0], IN free [1], OUT data [2]

// 3.3.2 External Memory: the cache, and the MMU before it, of pages of 64 KiB or, where one may choose, of 64 KiB here
constexpr uint32_t kPageBytes = 0x10000;

}  // namespace chip
}  // namespace tinydeploy

#include TINYDEPLOY_CHIP
