// The ESP32-C3 as its ROM leaves it: watchdogs off, the constants in flash mapped, the CPU at 160 MHz. All code runs from
// RAM, and nothing here may need a constant in flash before it is there.
#include "board.h"

#if TINYDEPLOY_CLOCK_ESP32C3

#include "clock.h"
#include "esp32c3.h"
#include "esp_image.h"
#include "startup.h"

extern "C" {
extern const uint8_t __constants_start[], __constants_end[];
}

namespace tinydeploy {
namespace {

using namespace esp32c3;

inline void stop_watchdog_of(uint32_t timer_group) {
  reg32(timer_group + kTimgWdtProtect) = kWdtKey;
  reg32(timer_group + kTimgWdtConfig0) = 0;
  reg32(timer_group + kTimgWdtProtect) = 0;
}

void stop_watchdogs() {
  reg32(kRtcWdtProtect) = kWdtKey;
  reg32(kRtcWdtConfig0) = 0;
  reg32(kRtcWdtProtect) = 0;
  reg32(kSwdProtect) = kSwdKey;
  reg32(kSwdConf) |= 1u << 31;  // the super watchdog feeds itself
  reg32(kSwdProtect) = 0;
  stop_watchdog_of(kTimerGroup0);
  stop_watchdog_of(kTimerGroup1);
}

void map(uint32_t address, uint32_t flash_offset, uint32_t pages) {
  disable_cache();
  unmap_all();
  map_pages(address, flash_offset, pages);
  reg32(kIcacheCtrl1) &= ~3u;
  invalidate_cache();
  enable_cache();
}

// The image begins with the flash. Where in it the constants are, it says itself.
void map_constants() {
  constexpr uint32_t kSearched = 16 * kPageBytes;  // what is loaded to RAM is less
  const auto start = reinterpret_cast<uint32_t>(__constants_start);
  const auto end = reinterpret_cast<uint32_t>(__constants_end);
  if (start == end) return;
  map(start, 0, kSearched / kPageBytes);
  const uint32_t offset = segment_offset(__constants_start, kSearched, start);
  map(start, offset, (end - start + kPageBytes - 1) / kPageBytes);
}

}  // namespace

namespace clock {

// 6.2.3: 160 MHz of the PLL's 480. The ROM has the PLL running, for USB.
void start() {
  static_assert(board::kClockHz == 160000000, "the only frequency of this driver");
  stop_watchdogs();
  map_constants();
  constexpr uint32_t kPeriod160 = 1, kPll480 = 1u << 2, kFromPll = 1u << 10;
  reg32(kCpuPerConf) = (reg32(kCpuPerConf) & ~3u) | kPeriod160 | kPll480;
  reg32(kSysclkConf) = (reg32(kSysclkConf) & ~0xfffu) | kFromPll;
}

uint32_t core_hz() { return board::kClockHz; }
uint32_t uart_hz() { return kCrystalHz; }

}  // namespace clock
}  // namespace tinydeploy

#endif
