// Cortex-M's 24 bits, counting down. Part of counter.cpp.
#pragma once

#include <stdint.h>

#include "board.h"
#include "mmio.h"

namespace tinydeploy {
namespace {

using board::kCounterBase;

constexpr uint64_t kPeriod = uint64_t{1} << 24;
void start() {
  reg32(kCounterBase + 4) = 0xffffff;  // reload
  reg32(kCounterBase + 8) = 0;         // any write restarts it
  reg32(kCounterBase + 0) = 7;         // on, interrupt on reaching zero, core clock
}
void restart() { reg32(kCounterBase + 8) = 0; }
uint32_t value() { return 0xffffff - reg32(kCounterBase + 8); }
void acknowledge() {}

}  // namespace
}  // namespace tinydeploy
