// Arm CMSDK APB timer, counting down. Part of counter.cpp.
#pragma once

#include <stdint.h>

#include "board.h"
#include "mmio.h"

namespace tinydeploy {
namespace {

using board::kCounterBase;

constexpr uint64_t kPeriod = uint64_t{1} << 32;
void start() {
  reg32(kCounterBase + 0x08) = 0xffffffff;  // RELOAD
  reg32(kCounterBase + 0x04) = 0xffffffff;  // VALUE
  reg32(kCounterBase + 0x00) = 1 | 1 << 3;  // CTRL: on, interrupt on reaching zero
}
void restart() { reg32(kCounterBase + 0x04) = 0xffffffff; }
uint32_t value() { return 0xffffffff - reg32(kCounterBase + 0x04); }
void acknowledge() { reg32(kCounterBase + 0x0c) = 1; }  // INTCLEAR

}  // namespace
}  // namespace tinydeploy
