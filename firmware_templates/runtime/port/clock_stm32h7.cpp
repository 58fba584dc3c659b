// Clock tree of STM32H742, H743 and H753: reference manual RM0433. PLL1 from the crystal or, without one that works,
// from the internal RC; AHB at half the core's clock, APBs at half of that.
#include "board.h"

#if TINYDEPLOY_CLOCK_STM32H7

#include "cache.h"
#include "clock.h"

namespace tinydeploy {
namespace {

using namespace board;

constexpr uint32_t kPwr = 0x58024800;
constexpr uint32_t kPwrCsr1 = kPwr + 0x04;
constexpr uint32_t kPwrCr3 = kPwr + 0x0c;
constexpr uint32_t kPwrD3cr = kPwr + 0x18;
constexpr uint32_t kRcc = 0x58024400;
constexpr uint32_t kRccCr = kRcc + 0x00;
constexpr uint32_t kRccCfgr = kRcc + 0x10;
constexpr uint32_t kRccD1cfgr = kRcc + 0x18;
constexpr uint32_t kRccD2cfgr = kRcc + 0x1c;
constexpr uint32_t kRccD3cfgr = kRcc + 0x20;
constexpr uint32_t kRccPllckselr = kRcc + 0x28;
constexpr uint32_t kRccPllcfgr = kRcc + 0x2c;
constexpr uint32_t kRccPll1divr = kRcc + 0x30;
constexpr uint32_t kRccApb4enr = kRcc + 0xf4;
constexpr uint32_t kSyscfgPwrcr = 0x5800042c;
constexpr uint32_t kFlashAcr = 0x52002000;

constexpr uint32_t kVoltageReady = 1u << 13;
constexpr uint32_t kHsiReady = 1u << 2;
constexpr uint32_t kHseOn = 1u << 16;
constexpr uint32_t kHseReady = 1u << 17;
constexpr uint32_t kHseIsAClock = 1u << 18;  // bypass: from another chip, not a crystal
constexpr uint32_t kPllOn = 1u << 24;
constexpr uint32_t kPllReady = 1u << 25;
constexpr uint32_t kPll = 3;  // as the system clock

constexpr uint32_t kHsiHz = 64000000;
constexpr uint32_t kPllInputHz = kClockHseHz / kClockM;
constexpr uint32_t kPllHz = kPllInputHz * kClockN / kClockP;
static_assert(kPllHz == kClockHz, "the PLL's numbers do not give the board's clock");
static_assert(kPllInputHz == 2000000, "PLL1RGE below says 2 to 4 MHz");
static_assert(kPllInputHz * kClockN >= 192000000 && kPllInputHz * kClockN <= 960000000, "VCO");

uint32_t core = kClockHz;
uint32_t uart = kClockHz;

}  // namespace

namespace clock {

void start() {
  enable_caches();
  // On from reset and running still: where it is not, there is no clock tree but an emulator.
  if (!(reg32(kRccCr) & kHsiReady)) return;
  core = uart = kHsiHz;

  constexpr uint32_t kSupplies = 7;
  constexpr uint32_t kLdo = 2;  // what the Nucleo boards supply the core with; until it is said, voltage scales are locked
  reg32(kPwrCr3) = (reg32(kPwrCr3) & ~kSupplies) | kLdo;
  if (!becomes(kPwrCsr1, kVoltageReady, kVoltageReady)) return;
  reg32(kPwrD3cr) |= 3u << 14;  // scale 1
  if (!becomes(kPwrD3cr, kVoltageReady, kVoltageReady)) return;
  if (kClockBoost) {  // scale 0, from scale 1 on
    reg32(kRccApb4enr) |= 1u << 1;  // SYSCFG
    reg32(kSyscfgPwrcr) |= 1;
    if (!becomes(kPwrD3cr, kVoltageReady, kVoltageReady)) return;
  }

  if (kClockHseBypass) reg32(kRccCr) |= kHseIsAClock;
  reg32(kRccCr) |= kHseOn;
  const bool hse = becomes(kRccCr, kHseReady, kHseReady);
  const uint32_t divider = hse ? kClockM : kHsiHz / kPllInputHz;
  reg32(kRccPllckselr) = (reg32(kRccPllckselr) & ~0x3f3u) | divider << 4 | (hse ? 2 : 0);
  reg32(kRccPllcfgr) = (reg32(kRccPllcfgr) & ~0xfu) | 1u << 16 | 1u << 2;  // P on; input 2 to 4 MHz; wide VCO
  reg32(kRccPll1divr) = (kClockP - 1) << 24 | (kClockP - 1) << 16 | (kClockP - 1) << 9 | (kClockN - 1);
  reg32(kRccCr) |= kPllOn;
  if (!becomes(kRccCr, kPllReady, kPllReady)) return;

  constexpr uint32_t kAcr = 2u << 4 | kClockWaitStates;  // signal delay for an AXI clock over 185 MHz
  reg32(kFlashAcr) = kAcr;
  if (!becomes(kFlashAcr, 0x3f, kAcr)) return;
  reg32(kRccD1cfgr) = 4u << 4 | 8u;       // AHB and AXI / 2, APB3 / 2
  reg32(kRccD2cfgr) = 4u << 8 | 4u << 4;  // APB1, APB2 / 2
  reg32(kRccD3cfgr) = 4u << 4;            // APB4 / 2
  reg32(kRccCfgr) |= kPll;
  if (!becomes(kRccCfgr, 7u << 3, kPll << 3)) return;
  core = kPllHz;
  uart = kPllHz / 4;
}

uint32_t core_hz() { return core; }
uint32_t uart_hz() { return uart; }

}  // namespace clock
}  // namespace tinydeploy

#endif
