// Clocks of SiFive FE310: FE310-G000 and G002 manuals, chapter PRCI. The PLL from the 16 MHz crystal, which the clock
// of the SPI flash that code is executed from is divided from.
#include "board.h"

#if TINYDEPLOY_CLOCK_FE310

#include "clock.h"

namespace tinydeploy {
namespace {

using namespace board;

constexpr uint32_t kHfrosccfg = 0x10008000;
constexpr uint32_t kHfxosccfg = 0x10008004;
constexpr uint32_t kPllcfg = 0x10008008;
constexpr uint32_t kPlloutdiv = 0x1000800c;
constexpr uint32_t kSpi0Sckdiv = 0x10014000;

constexpr uint32_t kOn = 1u << 30;
constexpr uint32_t kReady = 1u << 31;  // of an oscillator; of the PLL, that it has locked
constexpr uint32_t kPllSelected = 1u << 16;
constexpr uint32_t kFromCrystal = 1u << 17;
constexpr uint32_t kBypass = 1u << 18;

constexpr uint32_t kRingHz = 13800000;  // nominal: 72 MHz, trimmed, by 5
constexpr uint32_t kVcoHz = kClockHseHz / kClockM * kClockN;
constexpr uint32_t kPllHz = kVcoHz / kClockP;
static_assert(kPllHz == kClockHz, "the PLL's numbers do not give the board's clock");
static_assert(kVcoHz >= 384000000 && kVcoHz <= 768000000, "VCO");
static_assert(kClockP == 2 || kClockP == 4 || kClockP == 8, "the PLL's output divider");

uint32_t core = kRingHz;

}  // namespace

namespace clock {

void start() {
  constexpr uint32_t kTrim = 16u << 16;
  reg32(kHfrosccfg) = kOn | kTrim | (5 - 1);
  if (!becomes(kHfrosccfg, kReady, kReady)) return;
  reg32(kPllcfg) &= ~kPllSelected;  // a bootloader may have it running
  reg32(kSpi0Sckdiv) = kClockFlashDivider / 2 - 1;
  reg32(kHfxosccfg) = kOn;
  if (!becomes(kHfxosccfg, kReady, kReady)) return;
  constexpr uint32_t kLog2P = kClockP == 2 ? 1 : kClockP == 4 ? 2 : 3;
  constexpr uint32_t kPll = kFromCrystal | kLog2P << 10 | (kClockN / 2 - 1) << 4 | (kClockM - 1);
  reg32(kPllcfg) = kBypass | kPll;
  reg32(kPlloutdiv) = 1u << 8;  // undivided
  reg32(kPllcfg) = kPll;
  // The lock bit means nothing in the first 100 us.
  for (uint32_t spins = 0; spins < 2000; ++spins) asm volatile("");
  if (!becomes(kPllcfg, kReady, kReady)) return;
  reg32(kPllcfg) = kPll | kPllSelected;
  core = kPllHz;
}

uint32_t core_hz() { return core; }
uint32_t uart_hz() { return core; }

}  // namespace clock
}  // namespace tinydeploy

#endif
