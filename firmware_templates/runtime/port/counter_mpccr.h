// The ESP32-C3's cycle counter: ESP32-C3 Technical Reference Manual 1.4.1, mpcer, mpcmr and mpccr. Part of counter.cpp. It
// wraps in silence every 27 s; the system timer says how often.
#pragma once

#include <stdint.h>

#include "board.h"
#include "esp32c3.h"
#include "mmio.h"

namespace tinydeploy {
namespace {

constexpr uint64_t kTick = board::kClockHz / esp32c3::kSystimerHz;

inline void start() {
  asm volatile("csrw 0x7e0, %0\ncsrw 0x7e1, %0" ::"r"(1));  // mpcer: cycles; mpcmr: count
}

// The system timer, the cycles, and the former again: nothing wraps between the two.
inline void read_halves(uint32_t& high, uint32_t& low, uint32_t& again) {
  constexpr uint32_t kValid = 1u << 29, kUpdate = 1u << 30;
  reg32(esp32c3::kSystimerUnit0Op) = kUpdate;
  while ((reg32(esp32c3::kSystimerUnit0Op) & kValid) == 0) continue;
  high = again = reg32(esp32c3::kSystimerUnit0Low);
  asm volatile("csrr %0, 0x7e2" : "=r"(low));
}

}  // namespace
}  // namespace tinydeploy
