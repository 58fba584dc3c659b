// The link over a UART, polled, at 115200 baud 8N1. The clock tree is left as it is found: the divisors hold
// if the core and its buses run at the board's clock.
#include "board.h"

#if TINYDEPLOY_LINK_UART

#include "../frame.h"
#include "link.h"
#include "mmio.h"

namespace tinydeploy {
namespace {

using board::kUartBase;

#if TINYDEPLOY_UART_CMSDK  // Arm CMSDK APB UART

void open_uart() {
  reg32(kUartBase + 0x10) = board::kClockHz / board::kUartBaud;  // BAUDDIV
  reg32(kUartBase + 0x08) = 3;                                   // CTRL: transmitter and receiver on
}
bool readable() { return reg32(kUartBase + 0x04) & 2; }   // STATE: receive buffer full
bool writable() { return !(reg32(kUartBase + 0x04) & 1); }  // STATE: transmit buffer full
uint8_t take() { return static_cast<uint8_t>(reg32(kUartBase)); }
void put(uint8_t byte) { reg32(kUartBase) = byte; }

#elif TINYDEPLOY_UART_STM32  // USART1 of STM32F1 and STM32F4 on PA9 and PA10

constexpr bool kIsF1 = kUartBase == 0x40013800;

void open_uart() {
  if (kIsF1) {
    reg32(0x40021018) |= 1u << 14 | 1u << 2;  // RCC_APB2ENR: USART1, GPIOA
    reg32(0x40010804) = (reg32(0x40010804) & ~0xff0u) | 0x4b0;  // GPIOA_CRH: PA9 alternate output, PA10 input
  } else {
    reg32(0x40023830) |= 1;       // RCC_AHB1ENR: GPIOA
    reg32(0x40023844) |= 1 << 4;  // RCC_APB2ENR: USART1
    reg32(0x40020000) = (reg32(0x40020000) & ~(15u << 18)) | 10u << 18;  // GPIOA_MODER: alternate function
    reg32(0x40020024) = (reg32(0x40020024) & ~0xff0u) | 0x770;           // GPIOA_AFRH: AF7
  }
  reg32(kUartBase + 0x08) = board::kClockHz / board::kUartBaud;  // BRR
  reg32(kUartBase + 0x0c) = 1u << 13 | 1u << 3 | 1u << 2;        // CR1: on, transmit, receive
}
bool readable() { return reg32(kUartBase) & (1 << 5 | 1 << 3); }  // SR: byte there, or one was overrun
bool writable() { return reg32(kUartBase) & 1 << 7; }             // SR: data register empty
uint8_t take() { return static_cast<uint8_t>(reg32(kUartBase + 4)); }
void put(uint8_t byte) { reg32(kUartBase + 4) = byte; }

#elif TINYDEPLOY_UART_NS16550

constexpr uint32_t kInputHz = 3686400;  // QEMU virt's

void open_uart() {
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

#endif

constexpr uint32_t kFrames = board::kRamBytes < 16 * 1024 ? 2 : 4;
constexpr uint32_t kRing = kFrames * frame::kMaxFrame;  // a power of two
uint8_t ring[kRing];
uint32_t put_at, take_at;

// Moves what has arrived to the ring. A byte for which there is no room is lost, and its frame with it.
void receive() {
  while (readable()) {
    const uint8_t byte = take();
    if (put_at - take_at < kRing) ring[put_at++ % kRing] = byte;
  }
}

}  // namespace

namespace link {

const uint8_t kWindow = kFrames;

void open() {
  open_uart();
  // Drops what came too early. QEMU, if it has been refusing bytes so far, asks again only after a read.
  take();
}

size_t read(uint8_t* data, size_t bytes) {
  do receive();
  while (put_at == take_at);
  size_t count = 0;
  while (count < bytes && take_at != put_at) data[count++] = ring[take_at++ % kRing];
  return count;
}

void write(const uint8_t* data, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) {
    while (!writable()) receive();  // the host may be sending the next frames meanwhile
    put(data[i]);
  }
}

}  // namespace link
}  // namespace tinydeploy

#endif
