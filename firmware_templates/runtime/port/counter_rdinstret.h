// RISC-V's counter of instructions: Unprivileged ISA, Zicntr. Part of counter.cpp.
#pragma once

#include <stdint.h>

namespace tinydeploy {
namespace {

inline void start() {}

// The high half, the low half, and the high half again.
inline void read_halves(uint32_t& high, uint32_t& low, uint32_t& again) {
  asm volatile("rdinstreth %0\nrdinstret %1\nrdinstreth %2" : "=&r"(high), "=&r"(low), "=&r"(again));
}

}  // namespace
}  // namespace tinydeploy
