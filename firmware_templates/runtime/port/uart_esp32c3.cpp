// UART0 and the USB Serial/JTAG Controller of the ESP32-C3, whichever the host speaks through: ESP32-C3 Technical
// Reference Manual, chapters 26 and 30. The ROM has set up both, and UART0's pins: GPIO 21 (TX) and 20 (RX).
#include "board.h"

#if TINYDEPLOY_UART_ESP32C3

#include "clock.h"
#include "esp32c3.h"
#include "uart.h"

namespace tinydeploy {
namespace {

using namespace esp32c3;
using board::kUartBase;

constexpr uint32_t kSend = 1u << 0, kRoom = 1u << 1, kData = 1u << 2;

bool by_usb;        // what the host was heard by last
bool is_unsent;     // whether bytes wait in the USB packet

bool usb_has_data() { return (reg32(kUsbEp1Conf) & kData) != 0; }
bool uart_has_data() { return (reg32(kUartBase + kUartStatus) & 0x3ff) != 0; }

}  // namespace

namespace uart {

void open() {
  constexpr uint32_t kFromCrystal = 3u << 20, kEnabled = 1u << 22, kDivider = 0xffu << 12;
  reg32(kUartBase + kUartClkConf) = (reg32(kUartBase + kUartClkConf) & ~kDivider) | kFromCrystal | kEnabled;
  const uint32_t sixteenths = (clock::uart_hz() * 16 + board::kUartBaud / 2) / board::kUartBaud;
  reg32(kUartBase + kUartClkDiv) = (sixteenths & 15) << 20 | sixteenths >> 4;
}

// Asked whenever the firmware waits: then what it has said goes to the host.
bool readable() {
  if (is_unsent) {
    reg32(kUsbEp1Conf) = kSend;
    is_unsent = false;
  }
  return usb_has_data() || uart_has_data();
}

uint8_t take() {
  by_usb = usb_has_data();
  if (by_usb) return static_cast<uint8_t>(reg32(kUsbEp1));
  return uart_has_data() ? static_cast<uint8_t>(reg32(kUartBase + kUartFifo)) : 0;
}

bool writable() {
  constexpr uint32_t kFifoBytes = 128;
  if (by_usb) return (reg32(kUsbEp1Conf) & kRoom) != 0;
  return (reg32(kUartBase + kUartStatus) >> 16 & 0x3ff) < kFifoBytes - 1;
}

void put(uint8_t byte) {
  if (by_usb) {
    reg32(kUsbEp1) = byte;
    is_unsent = true;
  } else {
    reg32(kUartBase + kUartFifo) = byte;
  }
}

}  // namespace uart
}  // namespace tinydeploy

#endif
