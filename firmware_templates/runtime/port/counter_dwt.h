// Cortex-M's cycle counter: ARMv7-M Architecture Reference Manual C1.8. Part of counter.cpp.
#pragma once

#include <stdint.h>

#include "board.h"
#include "mmio.h"

namespace tinydeploy {
namespace {

using board::kCounterBase;

// It wraps in silence, so SysTick interrupts every 2^24 cycles, and how often it has done so says which multiple
// of the counter's own period belongs to a difference. Where it stands still, as in an emulator that the firmware
// takes for a board, SysTick counts the cycles of the same clock. An emulator that it is made for has the counter,
// but may take the same time for two reads in a row.
constexpr uint64_t kTick = uint64_t{1} << 24;
constexpr uint64_t kPeriod = uint64_t{1} << 32;
constexpr uint32_t kSysTick = 0xe000e010;
#if TINYDEPLOY_COUNTS_INSTRUCTIONS
constexpr bool stands_still = false;
#else
bool stands_still;
#endif
void start() {
  constexpr uint32_t kDemcr = 0xe000edfc;
  reg32(kDemcr) |= 1u << 24;                // TRCENA
  reg32(kCounterBase + 0xfb0) = 0xc5acce55;  // LAR: Cortex-M7 has a lock
  reg32(kCounterBase + 0x004) = 0;           // CYCCNT
  reg32(kCounterBase + 0x000) |= 1;          // CTRL: CYCCNTENA
  reg32(kSysTick + 4) = kTick - 1;
  reg32(kSysTick + 8) = 0;
  reg32(kSysTick + 0) = 7;
#if !TINYDEPLOY_COUNTS_INSTRUCTIONS
  stands_still = reg32(kCounterBase + 0x004) == reg32(kCounterBase + 0x004);
#endif
}
void restart() { reg32(kSysTick + 8) = 0; }
uint32_t value() {
  return stands_still ? (wraps << 24) + 0xffffff - reg32(kSysTick + 8) : reg32(kCounterBase + 0x004);
}
void acknowledge() {}
inline uint64_t cycles_of(uint32_t wrapped) { return wrapped * kTick; }

}  // namespace
}  // namespace tinydeploy
