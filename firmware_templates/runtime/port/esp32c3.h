// Registers of the ESP32-C3 that this firmware touches: ESP32-C3 Technical Reference Manual, by chapter; and functions of
// its ROM, by the addresses that esp32c3.rom.ld of ESP-IDF lists.
#pragma once

#include <stdint.h>

namespace tinydeploy {
namespace esp32c3 {

// 16 System Registers; 6.2.3 CPU clock
constexpr uint32_t kCpuPerConf = 0x600c0008;  // SYSTEM_CPU_PER_CONF_REG: CPUPERIOD_SEL [1:0], PLL_FREQ_SEL [2]
constexpr uint32_t kSysclkConf = 0x600c0058;  // SYSTEM_SYSCLK_CONF_REG: PRE_DIV_CNT [9:0], SOC_CLK_SEL [11:10]

// 9 Low-power Management; 12.2 digital watchdogs, 12.3 super watchdog
constexpr uint32_t kRtcWdtConfig0 = 0x60008090;  // RTC_CNTL_WDTCONFIG0_REG
constexpr uint32_t kRtcWdtProtect = 0x600080a8;  // RTC_CNTL_WDTWPROTECT_REG
constexpr uint32_t kSwdConf = 0x600080ac;        // RTC_CNTL_SWD_CONF_REG: AUTO_FEED_EN [31]
constexpr uint32_t kSwdProtect = 0x600080b0;     // RTC_CNTL_SWD_WPROTECT_REG
constexpr uint32_t kWdtKey = 0x50d83aa1;
constexpr uint32_t kSwdKey = 0x8f1d312a;

// 11 Timer Group; 12.2 digital watchdogs
constexpr uint32_t kTimerGroup0 = 0x6001f000;
constexpr uint32_t kTimerGroup1 = 0x60020000;
constexpr uint32_t kTimgWdtConfig0 = 0x48;  // TIMG_WDTCONFIG0_REG
constexpr uint32_t kTimgWdtProtect = 0x64;  // TIMG_WDTWPROTECT_REG

// 10 System Timer: 16 MHz, whatever the CPU runs at
constexpr uint32_t kSystimerUnit0Op = 0x60023004;  // SYSTIMER_UNIT0_OP_REG: VALUE_VALID [29], UPDATE [30]
constexpr uint32_t kSystimerUnit0Low = 0x60023044;  // SYSTIMER_UNIT0_VALUE_LO_REG
constexpr uint32_t kSystimerHz = 16000000;

// 26 UART Controller, offsets from the UART's base
constexpr uint32_t kUartFifo = 0x00;
constexpr uint32_t kUartClkDiv = 0x14;   // UART_CLKDIV_REG: integer [11:0], sixteenths [23:20]
constexpr uint32_t kUartStatus = 0x1c;   // UART_STATUS_REG: RXFIFO_CNT [9:0], TXFIFO_CNT [25:16]
constexpr uint32_t kUartClkConf = 0x78;  // UART_CLK_CONF_REG: SCLK_DIV_NUM [19:12], SCLK_SEL [21:20], SCLK_EN [22]
constexpr uint32_t kCrystalHz = 40000000;

// 30 USB Serial/JTAG Controller
constexpr uint32_t kUsbEp1 = 0x60043000;      // USB_SERIAL_JTAG_EP1_REG
constexpr uint32_t kUsbEp1Conf = 0x60043004;  // USB_SERIAL_JTAG_EP1_CONF_REG: WR_DONE [0], IN free [1], OUT data [2]

// 3.3.2 External Memory: the cache, and the MMU before it, of 64 KiB pages
constexpr uint32_t kIcacheCtrl1 = 0x600c4004;  // EXTMEM_ICACHE_CTRL1_REG: SHUT_IBUS [0], SHUT_DBUS [1]
constexpr uint32_t kPageBytes = 0x10000;

// The ROM's
inline uint32_t disable_cache() { return reinterpret_cast<uint32_t (*)()>(0x4000051c)(); }  // Cache_Disable_ICache
inline void enable_cache() { reinterpret_cast<void (*)(uint32_t)>(0x40000520)(0); }         // Cache_Enable_ICache
inline void invalidate_cache() { reinterpret_cast<void (*)()>(0x400004d8)(); }  // Cache_Invalidate_ICache_All
inline void unmap_all() { reinterpret_cast<void (*)()>(0x4000055c)(); }         // Cache_MMU_Init
// Cache_Dbus_MMU_Set: 0 for flash, virtual and physical address, KiB of a page, pages, 0 for one page after the other
inline void map_pages(uint32_t address, uint32_t flash_offset, uint32_t pages) {
  using Set = int32_t (*)(uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t);
  reinterpret_cast<Set>(0x40000564)(0, address, flash_offset, kPageBytes / 1024, pages, 0);
}

}  // namespace esp32c3
}  // namespace tinydeploy
