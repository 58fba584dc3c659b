// Level 1 caches of Cortex-M7: ARMv7-M Architecture Reference Manual B2.2, B3.2. Only the core works on this firmware's
// memory, so nothing has to be kept coherent.
#pragma once

#include "mmio.h"

namespace tinydeploy {

// Both on, and empty. Does nothing if they are on.
inline void enable_caches() {
  constexpr uint32_t kCcr = 0xe000ed14;
  constexpr uint32_t kCcsidr = 0xe000ed80;
  constexpr uint32_t kCsselr = 0xe000ed84;
  constexpr uint32_t kIciallu = 0xe000ef50;
  constexpr uint32_t kDcisw = 0xe000ef60;
  constexpr uint32_t kDataCache = 1u << 16, kInstructionCache = 1u << 17;
  if (reg32(kCcr) & kDataCache) return;
  reg32(kCsselr) = 0;  // the data cache
  asm volatile("dsb" ::: "memory");
  const uint32_t last_way = reg32(kCcsidr) >> 3 & 0x3ff;
  const uint32_t last_set = reg32(kCcsidr) >> 13 & 0x7fff;
  for (uint32_t way = 0; way <= last_way; ++way) {
    for (uint32_t set = 0; set <= last_set; ++set) reg32(kDcisw) = way << 30 | set << 5;  // four ways, 32-byte lines
  }
  reg32(kIciallu) = 0;
  asm volatile("dsb\nisb" ::: "memory");
  reg32(kCcr) |= kDataCache | kInstructionCache;
  asm volatile("dsb\nisb" ::: "memory");
}

}  // namespace tinydeploy
