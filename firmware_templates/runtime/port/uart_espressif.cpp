// UART0 and, where there is one, the USB Serial/JTAG Controller of Espressif's RISC-V chips, whichever the host speaks
// through: ESP32-C3 Technical Reference Manual, chapters 26 and 30. The ROM has set up both, and UART0's pins.
#include "board.h"

#if TINYDEPLOY_UART_ESPRESSIF

#include "clock.h"
#include "esp_chip.h"
#include "uart.h"

namespace tinydeploy {
namespace {

using namespace chip;
using board::kUartBase;

constexpr uint32_t kSend = 1u << 0, kRoom = 1u << 1, kData = 1u << 2;

bool by_usb;        // what the host was heard by last
bool is_unsent;     // whether bytes wait in the USB packet

bool usb_has_data() { return kUsb != 0 && (reg32(kUsb + kUsbEp1Conf) & kData) != 0; }
bool uart_has_data() { return (reg32(kUartBase + kUartStatus) & kUartCount) != 0; }

}  // namespace

namespace uart {

// SCLK_DIV_NUM [19:12] 0, SCLK_SEL [21:20] the crystal, SCLK_EN [22].
void open() {
  constexpr uint32_t kFromCrystal = 3u << 20, kEnabled = 1u << 22, kDivider = 0xffu << 12;
  reg32(kUartClkConf) = (reg32(kUartClkConf) & ~kDivider) | kFromCrystal | kEnabled;
  const uint32_t sixteenths = (clock::uart_hz() * 16 + board::kUartBaud / 2) / board::kUartBaud;
  reg32(kUartBase + kUartClkDiv) = (sixteenths & 15) << 20 | sixteenths >> 4;
  update_uart();
}

// Asked whenever the firmware waits: then what it has said goes to the host.
bool readable() {
  if (is_unsent) {
    reg32(kUsb + kUsbEp1Conf) = kSend;
    is_unsent = false;
  }
  return usb_has_data() || uart_has_data();
}

uint8_t take() {
  by_usb = usb_has_data();
  if (by_usb) return static_cast<uint8_t>(reg32(kUsb + kUsbEp1));
  return uart_has_data() ? static_cast<uint8_t>(reg32(kUartBase + kUartFifo)) : 0;
}

bool writable() {
  constexpr uint32_t kFifoBytes = 128;
  if (by_usb) return (reg32(kUsb + kUsbEp1Conf) & kRoom) != 0;
  return (reg32(kUartBase + kUartStatus) >> 16 & kUartCount) < kFifoBytes - 1;
}

void put(uint8_t byte) {
  if (by_usb) {
    reg32(kUsb + kUsbEp1) = byte;
    is_unsent = true;
  } else {
    reg32(kUartBase + kUartFifo) = byte;
  }
}

}  // namespace uart
}  // namespace tinydeploy

#endif
