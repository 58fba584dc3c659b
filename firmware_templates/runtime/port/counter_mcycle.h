// RISC-V's counter of cycles: Privileged Architecture, 3.1.10. Part of counter.cpp.
#pragma once

#include <stdint.h>

namespace tinydeploy {
namespace {

inline void start() {}

// The high half, the low half, and the high half again.
inline void read_halves(uint32_t& high, uint32_t& low, uint32_t& again) {
  asm volatile("csrr %0, mcycleh\ncsrr %1, mcycle\ncsrr %2, mcycleh" : "=&r"(high), "=&r"(low), "=&r"(again));
}

}  // namespace
}  // namespace tinydeploy
