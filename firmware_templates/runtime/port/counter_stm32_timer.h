// TIM2 of an STM32, counting up. Part of counter.cpp.
#pragma once

#include <stdint.h>

#include "board.h"
#include "mmio.h"

namespace tinydeploy {
namespace {

using board::kCounterBase;

constexpr uint64_t kPeriod = uint64_t{1} << 32;
void start() {
  reg32(0x40023840) |= 1;                   // RCC_APB1ENR: TIM2
  reg32(kCounterBase + 0x2c) = 0xffffffff;  // ARR
  reg32(kCounterBase + 0x0c) = 1;           // DIER: interrupt on wrapping
  reg32(kCounterBase + 0x00) = 1 | 1 << 2;  // CR1: on, and only wrapping counts as an update
}
void restart() { reg32(kCounterBase + 0x24) = 0; }
uint32_t value() { return reg32(kCounterBase + 0x24); }
void acknowledge() { reg32(kCounterBase + 0x10) = 0; }  // SR

}  // namespace
}  // namespace tinydeploy
