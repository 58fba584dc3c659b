// For boards whose clock is right from reset.
#include "board.h"

#if TINYDEPLOY_CLOCK_FIXED

#include "clock.h"

namespace tinydeploy {
namespace clock {

void start() {}
uint32_t core_hz() { return board::kClockHz; }
uint32_t uart_hz() { return board::kClockHz; }

}  // namespace clock
}  // namespace tinydeploy

#endif
