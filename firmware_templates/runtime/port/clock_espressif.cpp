// Espressif's RISC-V chips as their ROM leaves them: watchdogs off, the constants in flash mapped, the CPU at its full speed.
// All code runs from RAM, and nothing here may need a constant in flash before it is there.
#include "board.h"

#if TINYDEPLOY_CLOCK_ESPRESSIF

#include "clock.h"
#include "esp_chip.h"
#include "esp_image.h"
#include "startup.h"

extern "C" {
extern const uint8_t __constants_start[], __constants_end[];
}

namespace tinydeploy {
namespace {

using namespace chip;

uint32_t core;

// Flash boot protection, which the ROM leaves on, counts as off only when the registers are told to update.
inline void stop_watchdog_of(uint32_t timer_group) {
  constexpr uint32_t kUpdate = 1u << 22;
  reg32(timer_group + kTimgWdtProtect) = kWdtKey;
  reg32(timer_group + kTimgWdtConfig0) = kUpdate;
  reg32(timer_group + kTimgWdtProtect) = 0;
}

void stop_watchdogs() {
  reg32(kWdtProtect) = kWdtKey;
  reg32(kWdtConfig0) = 0;
  reg32(kWdtProtect) = 0;
  reg32(kSwdProtect) = kSwdKey;
  reg32(kSwdConf) |= kSwdFeedsItself;  // the super watchdog
  reg32(kSwdProtect) = 0;
  for (uint32_t group = 0; group < kTimerGroups; ++group) stop_watchdog_of(kTimerGroup0 + group * kTimerGroupStep);
}

void map(uint32_t address, uint32_t flash_offset, uint32_t pages) {
  const uint32_t first = address / kPageBytes, flash = flash_offset / kPageBytes;
  disable_cache();
  choose_pages();
  for (uint32_t page = 0; page < kPages; ++page) set_page(page, kNoPage);
  for (uint32_t page = 0; page < pages; ++page) set_page((first + page) % kPages, kFlashPage | (flash + page));
  reg32(kCacheCtrl) &= ~3u;
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
  const uint8_t* image = __constants_start;
  asm volatile("" : "+r"(image) : : "memory");  // there is something now
  const uint32_t offset = segment_offset(image, kSearched, start);
  map(start, offset, (end - start + kPageBytes - 1) / kPageBytes);
}

}  // namespace

namespace clock {

void start() {
  static_assert(board::kClockHz == kFullHz, "the only frequency of this driver");
  stop_watchdogs();
  map_constants();
  core = start_pll() ? kFullHz : board::kClockCrystalHz;
}

uint32_t core_hz() { return core; }
uint32_t uart_hz() { return board::kClockCrystalHz; }

}  // namespace clock
}  // namespace tinydeploy

#endif
