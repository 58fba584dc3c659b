// USARTs of STM32: reference manuals RM0041 (F100), RM0090 (F4), RM0410 (F76x), RM0433 (H743, H753).
#include "board.h"

#if TINYDEPLOY_UART_STM32 || TINYDEPLOY_UART_STM32_V2

#include "clock.h"
#include "uart.h"

namespace tinydeploy {
namespace {

using namespace board;

constexpr bool kIsF1 = kUartBase == 0x40013800;
#if TINYDEPLOY_CLOCK_STM32H7
constexpr uint32_t kGpio = 0x58020000;
constexpr uint32_t kGpioEnable = 0x580244e0;  // RCC_AHB4ENR
constexpr uint32_t kApb1Enable = 0x580244e8;  // RCC_APB1LENR
constexpr uint32_t kApb2Enable = 0x580244f0;
#else
constexpr uint32_t kGpio = 0x40020000;
constexpr uint32_t kGpioEnable = 0x40023830;  // RCC_AHB1ENR
constexpr uint32_t kApb1Enable = 0x40023840;
constexpr uint32_t kApb2Enable = 0x40023844;
#endif

// Its bit in one of the two.
constexpr uint32_t enable_bit(uint32_t usart) {
  if (usart >= 0x40010000) return usart == 0x40011000 ? 4 : 5;  // USART1, 6
  return 17 + (usart - 0x40004400) / 0x400;                     // USART2, 3, UART4, 5
}

void set_field(uint32_t address, uint32_t bits, uint32_t index, uint32_t value) {
  const uint32_t mask = ((1u << bits) - 1) << bits * index;
  reg32(address) = (reg32(address) & ~mask) | value << bits * index;
}

// `pin` becomes the USART's, with a pull-up so that an open line is idle.
void connect(Pin pin) {
  const uint32_t port = kGpio + 0x400 * pin.port;
  reg32(kGpioEnable) |= 1u << pin.port;
  set_field(port + 0x20 + pin.number / 8 * 4, 4, pin.number % 8, kUartFunction);  // AFRL, AFRH
  set_field(port + 0x0c, 2, pin.number, 1);                                       // PUPDR: pull-up
  set_field(port + 0x00, 2, pin.number, 2);                                       // MODER: alternate function
}

void connect() {
  if (kIsF1) {                                                  // USART1 on PA9 and PA10
    reg32(0x40021018) |= 1u << 14 | 1u << 2;                    // RCC_APB2ENR: USART1, GPIOA
    reg32(0x40010804) = (reg32(0x40010804) & ~0xff0u) | 0x4b0;  // GPIOA_CRH: PA9 alternate output, PA10 input
    return;
  }
  reg32(kUartBase < 0x40010000 ? kApb1Enable : kApb2Enable) |= 1u << enable_bit(kUartBase);
  connect(kUartTx);
  connect(kUartRx);
}

#if TINYDEPLOY_UART_STM32
constexpr uint32_t kStatus = kUartBase + 0x00;
constexpr uint32_t kReceive = kUartBase + 0x04;
constexpr uint32_t kTransmit = kUartBase + 0x04;
constexpr uint32_t kBrr = kUartBase + 0x08;
constexpr uint32_t kCr1 = kUartBase + 0x0c;
constexpr uint32_t kEnable = 1u << 13;
constexpr uint32_t kReceived = 1u << 5 | 1u << 3;  // or overrun, which reading clears
#else
constexpr uint32_t kCr1 = kUartBase + 0x00;
constexpr uint32_t kCr3 = kUartBase + 0x08;
constexpr uint32_t kBrr = kUartBase + 0x0c;
constexpr uint32_t kStatus = kUartBase + 0x1c;
constexpr uint32_t kReceive = kUartBase + 0x24;
constexpr uint32_t kTransmit = kUartBase + 0x28;
constexpr uint32_t kEnable = 1u << 0;
constexpr uint32_t kReceived = 1u << 5;
#endif

}  // namespace

namespace uart {

void open() {
  connect();
  reg32(kBrr) = (clock::uart_hz() + kUartBaud / 2) / kUartBaud;
#if TINYDEPLOY_UART_STM32_V2
  reg32(kCr3) = 1u << 12;  // a byte that nobody took in time does not stop those that follow
#endif
  reg32(kCr1) = kEnable | 1u << 3 | 1u << 2;  // transmit, receive
}
bool readable() { return reg32(kStatus) & kReceived; }
bool writable() { return reg32(kStatus) & 1u << 7; }
uint8_t take() { return static_cast<uint8_t>(reg32(kReceive)); }
void put(uint8_t byte) { reg32(kTransmit) = byte; }

}  // namespace uart
}  // namespace tinydeploy

#endif
