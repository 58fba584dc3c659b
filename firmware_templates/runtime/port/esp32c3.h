// Registers of the ESP32-C3 that this firmware touches: ESP32-C3 Technical Reference Manual, by chapter, and header of
// ESP-IDF's soc component; and functions of its ROM, by the addresses that esp32c3.rom.ld lists. Part of esp_chip.h.
#pragma once

#include <stdint.h>

namespace tinydeploy {
namespace chip {

// 16 System Registers; 6.2.3 CPU clock (system_reg.h)
constexpr uint32_t kCpuPerConf = 0x600c0008;  // SYSTEM_CPU_PER_CONF_REG: CPUPERIOD_SEL [1:0], PLL_FREQ_SEL [2]
constexpr uint32_t kSysclkConf = 0x600c0058;  // SYSTEM_SYSCLK_CONF_REG: PRE_DIV_CNT [9:0], SOC_CLK_SEL [11:10]

// 9 Low-power Management; 12.2 digital watchdogs, 12.3 super watchdog (rtc_cntl_reg.h)
constexpr uint32_t kWdtConfig0 = 0x60008090;  // RTC_CNTL_WDTCONFIG0_REG
constexpr uint32_t kWdtProtect = 0x600080a8;  // RTC_CNTL_WDTWPROTECT_REG
constexpr uint32_t kSwdConf = 0x600080ac;     // RTC_CNTL_SWD_CONF_REG
constexpr uint32_t kSwdFeedsItself = 1u << 31;
constexpr uint32_t kSwdProtect = 0x600080b0;  // RTC_CNTL_SWD_WPROTECT_REG
constexpr uint32_t kSwdKey = 0x8f1d312a;

// 11 Timer Group (reg_base.h)
constexpr uint32_t kTimerGroup0 = 0x6001f000;
constexpr uint32_t kTimerGroups = 2;

// 10 System Timer (reg_base.h): 16 MHz, whatever the CPU runs at
constexpr uint32_t kSystimer = 0x60023000;
constexpr uint32_t kSystimerHz = 16000000;

// 26 UART Controller (uart_reg.h)
constexpr uint32_t kUartClkConf = board::kUartBase + 0x78;  // UART_CLK_CONF_REG
constexpr uint32_t kUartCount = 0x3ff;                      // how many bits a FIFO's count has
inline void update_uart() {}                                // what is written counts at once

// 30 USB Serial/JTAG Controller (reg_base.h)
constexpr uint32_t kUsb = 0x60043000;

// 3.3.2 External Memory (extmem_reg.h, ext_mem_defs.h)
constexpr uint32_t kCacheCtrl = 0x600c4004;  // EXTMEM_ICACHE_CTRL1_REG: SHUT_IBUS [0], SHUT_DBUS [1]
constexpr uint32_t kMmuTable = 0x600c5000;   // an entry a page: the flash's page, or bit 8 for none
constexpr uint32_t kPages = 128;
constexpr uint32_t kFlashPage = 0, kNoPage = 1u << 8;
inline void choose_pages() {}  // they are of 64 KiB
inline void set_page(uint32_t page, uint32_t entry) { reg32(kMmuTable + 4 * page) = entry; }

// The ROM's
inline void disable_cache() { reinterpret_cast<uint32_t (*)()>(0x4000051c)(); }      // Cache_Disable_ICache
inline void enable_cache() { reinterpret_cast<void (*)(uint32_t)>(0x40000520)(0); }  // Cache_Enable_ICache
inline void invalidate_cache() { reinterpret_cast<void (*)()>(0x400004d8)(); }       // Cache_Invalidate_ICache_All

// 6.2.3: 160 MHz of the PLL's 480. The ROM has the PLL running, for USB. False if the crystal it has to be.
constexpr uint32_t kFullHz = 160000000;
inline bool start_pll() {
  constexpr uint32_t kPeriod160 = 1, kPll480 = 1u << 2, kFromPll = 1u << 10;
  reg32(kCpuPerConf) = (reg32(kCpuPerConf) & ~3u) | kPeriod160 | kPll480;
  reg32(kSysclkConf) = (reg32(kSysclkConf) & ~0xfffu) | kFromPll;
  return true;
}

}  // namespace chip
}  // namespace tinydeploy
