// What this firmware is built for: Arm MPS2+ AN386 (Cortex-M4F). Generated; the runtime's sources are the same for all boards.
#pragma once

#include <stdint.h>

// The way to the host: the semihosting console of an emulator or a debugger, without which it faults.
#define TINYDEPLOY_LINK_PIPE 1
#define TINYDEPLOY_COUNTER_CMSDK_TIMER 1
#define TINYDEPLOY_COUNTER_DRIVER "counter_cmsdk_timer.h"
#define TINYDEPLOY_CLOCK_FIXED 1
#if 0  // What is included by these names, for a build system that expands no macro.
#include "runtime/port/counter_cmsdk_timer.h"
#endif

// Bytes of the tensor arena. 0: all RAM that is left free; the host then names the size at run time.
#define TINYDEPLOY_ARENA_BYTES 0
// How many ops can be profiled, each in 4 bytes of RAM.
#define TINYDEPLOY_OPS 1

namespace tinydeploy {
namespace board {

constexpr uint32_t kClockHz = 25000000;
constexpr uint32_t kRamBytes = 0x400000;
constexpr uint32_t kUartBase = 0x40004000;
constexpr uint32_t kCounterBase = 0x40000000;

// An emulator lets every instruction take the same time, so a reading of the counter is an exact number of
// instructions: instructions = ticks * kTickNumerator / kTickDenominator.
#define TINYDEPLOY_COUNTS_INSTRUCTIONS 1
constexpr uint64_t kTickNumerator = 1000000000ull;
constexpr uint64_t kTickDenominator = 6400000000ull;

}  // namespace board
}  // namespace tinydeploy
