// The clock tree. Emulators run at the speed they like and have no more of it than a few registers, if any.
#pragma once

#include <stdint.h>

#include "mmio.h"

namespace tinydeploy {
namespace clock {

// Brings the core to the board's full speed, and its flash, caches and buses with it. What does not come up is
// left as it was: core_hz() says what became of it.
void start();

// What the core runs at.
uint32_t core_hz();

// What the UART's divisor divides.
uint32_t uart_hz();

// Waits until the register's `bits` are `wanted`; false if they are not so in over 100 ms, longer than any crystal
// or PLL may take.
inline bool becomes(uint32_t address, uint32_t bits, uint32_t wanted) {
  for (uint32_t spins = 1000000; spins > 0; --spins) {
    if ((reg32(address) & bits) == wanted) return true;
  }
  return false;
}

}  // namespace clock
}  // namespace tinydeploy
