// Registers of the ESP32-C2 (ESP8684) that this firmware touches, by header of ESP-IDF's soc component; and functions of
// its ROM, by the addresses that esp32c2.rom.ld and rom.regi2c.ld list. Part of esp_chip.h.
#pragma once

#include <stdint.h>

namespace tinydeploy {
namespace chip {

// system_reg.h
constexpr uint32_t kCpuPerConf = 0x600c0008;  // SYSTEM_CPU_PER_CONF_REG: CPUPERIOD_SEL [1:0], PLL_FREQ_SEL [2]
constexpr uint32_t kSysclkConf = 0x600c0058;  // SYSTEM_SYSCLK_CONF_REG: PRE_DIV_CNT [9:0], SOC_CLK_SEL [11:10]

// rtc_cntl_reg.h
constexpr uint32_t kRtcOptions0 = 0x60008000;  // RTC_CNTL_OPTIONS0_REG: what keeps the PLL without power [6] [8] [10]
constexpr uint32_t kWdtConfig0 = 0x60008084;   // RTC_CNTL_WDTCONFIG0_REG
constexpr uint32_t kWdtProtect = 0x6000809c;   // RTC_CNTL_WDTWPROTECT_REG
constexpr uint32_t kSwdConf = 0x600080a0;      // RTC_CNTL_SWD_CONF_REG
constexpr uint32_t kSwdFeedsItself = 1u << 31;
constexpr uint32_t kSwdProtect = 0x600080a4;  // RTC_CNTL_SWD_WPROTECT_REG
constexpr uint32_t kSwdKey = 0x8f1d312a;

// reg_base.h: there is one timer group
constexpr uint32_t kTimerGroup0 = 0x6001f000;
constexpr uint32_t kTimerGroups = 1;

// reg_base.h: the crystal, divided by 2.5
constexpr uint32_t kSystimer = 0x60023000;
constexpr uint32_t kSystimerHz = board::kClockCrystalHz / 5 * 2;

// uart_reg.h
constexpr uint32_t kUartClkConf = board::kUartBase + 0x78;  // UART_CLK_CONF_REG
constexpr uint32_t kUartCount = 0x3ff;                      // how many bits a FIFO's count has
inline void update_uart() {}                                // what is written counts at once

// It has no USB
constexpr uint32_t kUsb = 0;

// extmem_reg.h, ext_mem_defs.h
constexpr uint32_t kCacheCtrl = 0x600c4004;  // EXTMEM_ICACHE_CTRL1_REG: SHUT_IBUS [0], SHUT_DBUS [1]
constexpr uint32_t kCacheMisc = 0x600c40c8;  // EXTMEM_CACHE_CONF_MISC_REG: CACHE_MMU_PAGE_SIZE [4:3]
constexpr uint32_t kMmuTable = 0x600c5000;   // an entry a page: the flash's page, or bit 6 for none
constexpr uint32_t kPages = 64;
constexpr uint32_t kFlashPage = 0, kNoPage = 1u << 6;
inline void choose_pages() { reg32(kCacheMisc) = (reg32(kCacheMisc) & ~(3u << 3)) | 2u << 3; }
inline void set_page(uint32_t page, uint32_t entry) { reg32(kMmuTable + 4 * page) = entry; }

// The ROM's
inline void disable_cache() { reinterpret_cast<uint32_t (*)()>(0x4000071c)(); }      // Cache_Disable_ICache
inline void enable_cache() { reinterpret_cast<void (*)(uint32_t)>(0x40000720)(0); }  // Cache_Enable_ICache
inline void invalidate_cache() { reinterpret_cast<void (*)()>(0x40000710)(); }       // Cache_Invalidate_ICache_All

// regi2c_defs.h, regi2c_bbpll.h: the PLL is set by way of a bus within the chip, and then calibrates itself
constexpr uint32_t kAnalogBus = 0x6004e840;   // I2C_MST_ANA_CONF0_REG: STOP_FORCE_HIGH [2], _LOW [3], CAL_DONE [24]
constexpr uint32_t kAnalogUsers = 0x6004e844;  // ANA_CONFIG_REG: off [17:8], of them the PLL [17]
constexpr uint32_t kPllBlock = 0x66;
inline void write_pll(uint32_t number, uint32_t value) {  // _regi2c_impl_write: block, bus, register, value
  reinterpret_cast<void (*)(uint32_t, uint32_t, uint32_t, uint32_t)>(0x400022f4)(kPllBlock, 0, number, value);
}
inline void write_pll(uint32_t number, uint32_t high, uint32_t low, uint32_t value) {  // _regi2c_impl_write_mask
  using Write = void (*)(uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t);
  reinterpret_cast<Write>(0x400022fc)(kPllBlock, 0, number, high, low, value);
}

// clk_tree_ll.h: the numbers for 480 MHz, which depend on the crystal
inline void set_pll() {
  constexpr bool kIs26 = board::kClockCrystalHz == 26000000;
  static_assert(kIs26 || board::kClockCrystalHz == 40000000, "a crystal that the chip has no numbers for");
  write_pll(4, 0x6b);
  write_pll(2, kIs26 ? 12 : 5 << 4);  // OC_REF_DIV [3:0], OC_DCHGP [6:4]
  write_pll(3, kIs26 ? 236 : 8);      // OC_DIV_7_0
  write_pll(5, 2, 0, kIs26 ? 4 : 0);  // OC_DR1
  write_pll(5, 6, 4, kIs26 ? 4 : 0);  // OC_DR3
  write_pll(6, 1 << 6 | 3 << 4 | (kIs26 ? 0 : 3));  // OC_DLREF_SEL, OC_DHREF_SEL, OC_DCUR
  write_pll(9, 1, 0, 2);                            // OC_VCO_DBIAS
}

// 120 MHz of the PLL's 480, as rtc_clk.c brings it up. False if the crystal it has to be.
constexpr uint32_t kFullHz = 120000000;
inline bool start_pll() {
  constexpr uint32_t kStopHigh = 1u << 2, kStopLow = 1u << 3, kDone = 1u << 24;
  constexpr uint32_t kPeriod120 = 1, kPll480 = 1u << 2, kFromPll = 1u << 10;
  reg32(kSysclkConf) = reg32(kSysclkConf) & ~0xfffu;  // the crystal, undivided
  reg32(kAnalogUsers) |= 0x3ffu << 8;
  reg32(kAnalogUsers) &= ~(1u << 17);
  reg32(kRtcOptions0) &= ~(1u << 6 | 1u << 8 | 1u << 10);
  reg32(kCpuPerConf) |= kPll480;
  reg32(kAnalogBus) &= ~kStopHigh;
  reg32(kAnalogBus) |= kStopLow;
  set_pll();
  if (!clock::becomes(kAnalogBus, kDone, kDone)) return false;
  for (uint32_t spins = 400; spins > 0; --spins) asm volatile("nop");  // 10 µs
  reg32(kAnalogBus) &= ~kStopLow;
  reg32(kAnalogBus) |= kStopHigh;
  reg32(kCpuPerConf) = (reg32(kCpuPerConf) & ~3u) | kPeriod120;
  reg32(kSysclkConf) |= kFromPll;
  return true;
}

}  // namespace chip
}  // namespace tinydeploy
