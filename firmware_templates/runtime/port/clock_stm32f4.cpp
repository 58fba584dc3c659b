// Clock tree of STM32F4 and STM32F7: reference manuals RM0090 (F405, F407, F429), RM0368 (F401), RM0383 (F411),
// RM0390 (F446), RM0410 (F767). The main PLL from the crystal or, without one that works, from the internal RC.
#include "board.h"

#if TINYDEPLOY_CLOCK_STM32F4 || TINYDEPLOY_CLOCK_STM32F7

#include "cache.h"
#include "clock.h"

namespace tinydeploy {
namespace {

using namespace board;

constexpr uint32_t kRccCr = 0x40023800;
constexpr uint32_t kRccPllcfgr = 0x40023804;
constexpr uint32_t kRccCfgr = 0x40023808;
constexpr uint32_t kRccApb1enr = 0x40023840;
constexpr uint32_t kPwrCr = 0x40007000;
constexpr uint32_t kPwrCsr = 0x40007004;
constexpr uint32_t kFlashAcr = 0x40023c00;

constexpr uint32_t kHsiReady = 1u << 1;
constexpr uint32_t kHseOn = 1u << 16;
constexpr uint32_t kHseReady = 1u << 17;
constexpr uint32_t kHseIsAClock = 1u << 18;  // bypass: from another chip, not a crystal
constexpr uint32_t kPllOn = 1u << 24;
constexpr uint32_t kPllReady = 1u << 25;
constexpr uint32_t kPowerInterface = 1u << 28;
constexpr uint32_t kOverDriveOn = 1u << 16;  // and ready, in CSR
constexpr uint32_t kOverDriveSwitch = 1u << 17;
constexpr uint32_t kPll = 2;  // as the system clock

constexpr uint32_t kPrefetch = 1u << 8;
#if TINYDEPLOY_CLOCK_STM32F4
constexpr uint32_t kAccelerator = 1u << 10 | 1u << 9;  // its data and instruction caches
#else
constexpr uint32_t kAccelerator = 1u << 9;  // for what runs through ITCM; the rest goes through the core's caches
#endif

constexpr uint32_t kHsiHz = 16000000;
constexpr uint32_t kPllInputHz = kClockHseHz / kClockM;
constexpr uint32_t kPllHz = kPllInputHz * kClockN / kClockP;
static_assert(kPllHz == kClockHz, "the PLL's numbers do not give the board's clock");
static_assert(kPllInputHz >= 950000 && kPllInputHz <= 2100000 && kHsiHz % kPllInputHz == 0, "PLL input");
static_assert(kPllInputHz * kClockN >= 100000000 && kPllInputHz * kClockN <= 432000000, "VCO");

// How CFGR says 1, 2, 4, 8.
constexpr uint32_t prescaler(uint32_t divider) {
  return divider == 1 ? 0 : divider == 2 ? 4 : divider == 4 ? 5 : 6;
}

uint32_t core = kClockHz;
uint32_t uart = kClockHz;

}  // namespace

namespace clock {

void start() {
#if TINYDEPLOY_CLOCK_STM32F7
  enable_caches();
#endif
  // On from reset and running still: where it is not, there is no clock tree but an emulator.
  if (!(reg32(kRccCr) & kHsiReady)) return;
  core = uart = kHsiHz;

  reg32(kRccApb1enr) |= kPowerInterface;
  reg32(kPwrCr) |= kClockVos << 14;

  if (kClockHseBypass) reg32(kRccCr) |= kHseIsAClock;
  reg32(kRccCr) |= kHseOn;
  const bool hse = becomes(kRccCr, kHseReady, kHseReady);
  const uint32_t divider = hse ? kClockM : kHsiHz / kPllInputHz;
  constexpr uint32_t kNotOurs = 0xf0000000;
  constexpr uint32_t kQ = 9;  // slow enough for USB, which is not used, at any VCO frequency
  reg32(kRccPllcfgr) = (reg32(kRccPllcfgr) & kNotOurs) | kQ << 24 | uint32_t{hse} << 22 | (kClockP / 2 - 1) << 16 |
                       kClockN << 6 | divider;
  reg32(kRccCr) |= kPllOn;
  if (!becomes(kRccCr, kPllReady, kPllReady)) return;
  if (kClockOverDrive) {
    reg32(kPwrCr) |= kOverDriveOn;
    if (!becomes(kPwrCsr, kOverDriveOn, kOverDriveOn)) return;
    reg32(kPwrCr) |= kOverDriveSwitch;
    if (!becomes(kPwrCsr, kOverDriveSwitch, kOverDriveSwitch)) return;
  }

  reg32(kFlashAcr) = kAccelerator | kPrefetch | kClockWaitStates;
  if (!becomes(kFlashAcr, 0xf, kClockWaitStates)) return;
  reg32(kRccCfgr) |= prescaler(kClockApb2) << 13 | prescaler(kClockApb1) << 10;
  reg32(kRccCfgr) |= kPll;
  if (!becomes(kRccCfgr, 3 << 2, kPll << 2)) return;
  core = kPllHz;
  uart = kPllHz / (kUartBase < 0x40010000 ? kClockApb1 : kClockApb2);
}

uint32_t core_hz() { return core; }
uint32_t uart_hz() { return uart; }

}  // namespace clock
}  // namespace tinydeploy

#endif
