// Memory-mapped registers.
#pragma once

#include <stdint.h>

namespace tinydeploy {

inline volatile uint32_t& reg32(uint32_t address) { return *reinterpret_cast<volatile uint32_t*>(address); }
inline volatile uint8_t& reg8(uint32_t address) { return *reinterpret_cast<volatile uint8_t*>(address); }

}  // namespace tinydeploy
