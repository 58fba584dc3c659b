// A pin that is high during an inference: the trigger of a meter. Without one that the board names, nothing.
// STM32: reference manuals RM0090, RM0390, RM0410, GPIO and RCC. nRF52840: product specification, GPIO.
#pragma once

#include <stdint.h>

#include "board.h"
#if TINYDEPLOY_TRIGGER_STM32 || TINYDEPLOY_TRIGGER_NRF
#include "mmio.h"
#endif

namespace tinydeploy {
namespace trigger {

#if TINYDEPLOY_TRIGGER_STM32

constexpr uint32_t kPort = 0x40020000 + 0x400 * board::kTrigger.port;
inline void open() {
  constexpr uint32_t kShift = 2 * board::kTrigger.number;
  reg32(0x40023830) |= 1u << board::kTrigger.port;                         // RCC_AHB1ENR
  reg32(kPort) = (reg32(kPort) & ~(3u << kShift)) | 1u << kShift;          // MODER: output
  reg32(kPort + 0x18) = 1u << (board::kTrigger.number + 16);               // BSRR: low
}
inline void rise() { reg32(kPort + 0x18) = 1u << board::kTrigger.number; }
inline void fall() { reg32(kPort + 0x18) = 1u << (board::kTrigger.number + 16); }

#elif TINYDEPLOY_TRIGGER_NRF

constexpr uint32_t kPort = 0x50000000 + 0x300 * board::kTrigger.port;
inline void fall() { reg32(kPort + 0x50c) = 1u << board::kTrigger.number; }  // OUTCLR
inline void rise() { reg32(kPort + 0x508) = 1u << board::kTrigger.number; }  // OUTSET
inline void open() {
  fall();
  reg32(kPort + 0x518) = 1u << board::kTrigger.number;  // DIRSET
}

#else

inline void open() {}
inline void rise() {}
inline void fall() {}

#endif

}  // namespace trigger
}  // namespace tinydeploy
