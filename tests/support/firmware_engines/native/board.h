// The firmware as a process of the host: no board at all.
#pragma once

#ifndef TINYDEPLOY_OPS
#define TINYDEPLOY_ARENA_BYTES 4096
#define TINYDEPLOY_OPS 3
#endif
#define TINYDEPLOY_COUNTS_INSTRUCTIONS 1

#include <stdint.h>

namespace tinydeploy {
namespace board {

constexpr uint32_t kClockHz = 1000000;

}  // namespace board
}  // namespace tinydeploy
