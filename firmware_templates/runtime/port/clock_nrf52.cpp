// Clocks of nRF52: nRF52840 Product Specification, chapters CLOCK and NVMC. The core runs at 64 MHz in any case; the
// crystal makes them exact. Peripherals have 16 MHz of their own.
#include "board.h"

#if TINYDEPLOY_CLOCK_NRF52

#include "clock.h"

namespace tinydeploy {
namespace clock {

void start() {
  constexpr uint32_t kTasksHfclkstart = 0x40000000;
  constexpr uint32_t kEventsHfclkstarted = 0x40000100;
  constexpr uint32_t kIcachecnf = 0x4001e540;
  reg32(kIcachecnf) = 1;
  reg32(kEventsHfclkstarted) = 0;
  reg32(kTasksHfclkstart) = 1;
  becomes(kEventsHfclkstarted, 1, 1);
}

uint32_t core_hz() { return 64000000; }
uint32_t uart_hz() { return 16000000; }

}  // namespace clock
}  // namespace tinydeploy

#endif
