// The cycle counter of Espressif's RISC-V cores: ESP32-C3 Technical Reference Manual 1.4.1, mpcer, mpcmr and mpccr. Part of
// counter.cpp. It wraps in silence every 2^32 cycles; the system timer says how often.
#pragma once

#include <stdint.h>

#include "board.h"
#include "clock.h"
#include "esp_chip.h"
#include "mmio.h"

namespace tinydeploy {
namespace {

inline void start() {
  asm volatile("csrw 0x7e0, %0\ncsrw 0x7e1, %0" ::"r"(1));  // mpcer: cycles; mpcmr: count
}

// The system timer, the cycles, and the former again: nothing wraps between the two.
inline void read_halves(uint32_t& high, uint32_t& low, uint32_t& again) {
  constexpr uint32_t kValid = 1u << 29, kUpdate = 1u << 30;
  reg32(chip::kSystimer + chip::kSystimerUnit0Op) = kUpdate;
  while ((reg32(chip::kSystimer + chip::kSystimerUnit0Op) & kValid) == 0) continue;
  high = again = reg32(chip::kSystimer + chip::kSystimerUnit0Low);
  asm volatile("csrr %0, 0x7e2" : "=r"(low));
}

// Of the system timer's ticks, within a thousandth: enough to tell whole periods apart.
inline uint64_t cycles_of(uint32_t ticks) {
  const uint32_t per_256_ticks = (clock::core_hz() << 4) / (chip::kSystimerHz >> 4);
  return uint64_t{ticks} * per_256_ticks >> 8;
}

}  // namespace
}  // namespace tinydeploy
