// UARTE of nRF52, with DMA: nRF52840 Product Specification, chapters UARTE and GPIO. One byte at a time; between two,
// the hardware's FIFO holds those that come.
#include "board.h"

#if TINYDEPLOY_UART_NRF_UARTE

#include "mmio.h"
#include "uart.h"

namespace tinydeploy {
namespace {

using namespace board;

constexpr uint32_t kStartrx = kUartBase + 0x000;
constexpr uint32_t kStarttx = kUartBase + 0x008;
constexpr uint32_t kEndrx = kUartBase + 0x110;
constexpr uint32_t kEndtx = kUartBase + 0x120;
constexpr uint32_t kEnable = kUartBase + 0x500;
constexpr uint32_t kPselTxd = kUartBase + 0x50c;
constexpr uint32_t kPselRxd = kUartBase + 0x514;
constexpr uint32_t kBaudrate = kUartBase + 0x524;
constexpr uint32_t kRxdPtr = kUartBase + 0x534;
constexpr uint32_t kRxdMaxcnt = kUartBase + 0x538;
constexpr uint32_t kTxdPtr = kUartBase + 0x544;
constexpr uint32_t kTxdMaxcnt = kUartBase + 0x548;

volatile uint8_t received, sent;
bool sending;

uint32_t address(const volatile void* pointer) { return reinterpret_cast<uint32_t>(pointer); }

}  // namespace

namespace uart {

void open() {
  const uint32_t port = 0x50000000 + 0x300 * kUartTx.port;
  reg32(port + 0x508) = 1u << kUartTx.number;  // OUTSET: idle is high
  reg32(port + 0x518) = 1u << kUartTx.number;  // DIRSET
  reg32(kPselTxd) = kUartTx.port << 5 | kUartTx.number;
  reg32(kPselRxd) = kUartRx.port << 5 | kUartRx.number;
  static_assert(kUartBaud == 115200 || kUartBaud == 9600, "the register's value is a table's");
  reg32(kBaudrate) = kUartBaud == 9600 ? 0x00275000 : 0x01d60000;
  reg32(kRxdPtr) = address(&received);
  reg32(kRxdMaxcnt) = 1;
  reg32(kTxdPtr) = address(&sent);
  reg32(kTxdMaxcnt) = 1;
  reg32(kEndrx) = 0;
  reg32(kEnable) = 8;
  reg32(kStartrx) = 1;
}

bool readable() { return reg32(kEndrx); }

uint8_t take() {
  const uint8_t byte = received;
  if (reg32(kEndrx)) {
    reg32(kEndrx) = 0;
    reg32(kStartrx) = 1;
  }
  return byte;
}

bool writable() { return !sending || reg32(kEndtx); }

void put(uint8_t byte) {
  sent = byte;
  sending = true;
  reg32(kEndtx) = 0;
  reg32(kStarttx) = 1;
}

}  // namespace uart
}  // namespace tinydeploy

#endif
