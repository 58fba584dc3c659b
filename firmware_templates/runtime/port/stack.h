// The stack, painted at start-up so that its deepest use can be seen later.
#pragma once

#include <stdint.h>

namespace tinydeploy {
namespace stack {

// How many bytes of the stack have been in use so far. All of them: it may have overflowed.
uint32_t high_water_bytes();

}  // namespace stack
}  // namespace tinydeploy
