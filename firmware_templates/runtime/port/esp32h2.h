// Registers of the ESP32-H2 that this firmware touches, by header of ESP-IDF's soc component; and functions of its ROM, by
// the addresses that esp32h2.rom.ld lists. Part of esp_chip.h.
#pragma once

#include <stdint.h>

namespace tinydeploy {
namespace chip {

// pcr_reg.h
constexpr uint32_t kUartClkConf = 0x60096004;   // PCR_UART0_SCLK_CONF_REG
constexpr uint32_t kSysclkConf = 0x6009610c;    // PCR_SYSCLK_CONF_REG: SOC_CLK_SEL [17:16]
constexpr uint32_t kCpuFreqConf = 0x60096114;   // PCR_CPU_FREQ_CONF_REG: CPU_DIV_NUM [7:0]
constexpr uint32_t kAhbFreqConf = 0x60096118;   // PCR_AHB_FREQ_CONF_REG: AHB_DIV_NUM [7:0]
constexpr uint32_t kBusClkUpdate = 0x60096148;  // PCR_BUS_CLK_UPDATE_REG: [0], which falls when it is done

// pmu_reg.h
constexpr uint32_t kPllPower = 0x600b00cc;  // PMU_IMM_HP_CK_POWER_REG: TIE_HIGH_ of the PLL's parts [30:28], its gate [25]

// lp_wdt_reg.h
constexpr uint32_t kWdtConfig0 = 0x600b1c00;  // LP_WDT_CONFIG0_REG
constexpr uint32_t kWdtProtect = 0x600b1c1c;  // LP_WDT_WPROTECT_REG
constexpr uint32_t kSwdConf = 0x600b1c20;     // LP_WDT_SWD_CONFIG_REG
constexpr uint32_t kSwdFeedsItself = 1u << 18;
constexpr uint32_t kSwdProtect = 0x600b1c24;  // LP_WDT_SWD_WPROTECT_REG
constexpr uint32_t kSwdKey = 0x50d83aa1;

// reg_base.h
constexpr uint32_t kTimerGroup0 = 0x60009000;
constexpr uint32_t kTimerGroups = 2;

// reg_base.h: 16 MHz, whatever the CPU runs at
constexpr uint32_t kSystimer = 0x6000b000;
constexpr uint32_t kSystimerHz = 16000000;

// uart_reg.h
constexpr uint32_t kUartCount = 0xff;  // how many bits a FIFO's count has
inline void update_uart() {            // UART_REG_UPDATE_REG: [0], which falls when what was written counts
  reg32(board::kUartBase + 0x98) = 1;
  clock::becomes(board::kUartBase + 0x98, 1, 0);
}

// reg_base.h
constexpr uint32_t kUsb = 0x6000f000;

// cache_reg.h, spi_mem_reg.h, ext_mem_defs.h: the MMU stands before the flash's controller
constexpr uint32_t kCacheCtrl = 0x600c8004;   // CACHE_L1_CACHE_CTRL_REG: SHUT_BUS0 [0], SHUT_BUS1 [1]
constexpr uint32_t kMmuContent = 0x6000237c;  // SPI_MEM_MMU_ITEM_CONTENT_REG: the flash's page, and bit 9 if there is one
constexpr uint32_t kMmuIndex = 0x60002380;    // SPI_MEM_MMU_ITEM_INDEX_REG
constexpr uint32_t kMmuCtrl = 0x60002384;     // SPI_MEM_MMU_POWER_CTRL_REG: MMU_PAGE_SIZE [4:3]
constexpr uint32_t kPages = 256;
constexpr uint32_t kFlashPage = 1u << 9, kNoPage = 0;
inline void choose_pages() { reg32(kMmuCtrl) &= ~(3u << 3); }
inline void set_page(uint32_t page, uint32_t entry) {
  reg32(kMmuIndex) = page;
  reg32(kMmuContent) = entry;
}

// The ROM's
inline void disable_cache() { reinterpret_cast<uint32_t (*)()>(0x40000664)(); }      // Cache_Disable_ICache
inline void enable_cache() { reinterpret_cast<void (*)(uint32_t)>(0x40000668)(0); }  // Cache_Enable_ICache
inline void invalidate_cache() { reinterpret_cast<void (*)()>(0x40000620)(); }       // Cache_Invalidate_ICache_All

// The PLL's 96 MHz, and a third of it for the bus, which takes no more than 32 MHz. The ROM has the PLL running, for USB.
// False if the crystal it has to be.
constexpr uint32_t kFullHz = 96000000;
inline bool start_pll() {
  constexpr uint32_t kFromPll = 1u << 16, kThird = 2;
  reg32(kPllPower) |= 7u << 28 | 1u << 25;
  reg32(kCpuFreqConf) &= ~0xffu;
  reg32(kAhbFreqConf) = (reg32(kAhbFreqConf) & ~0xffu) | kThird;
  reg32(kSysclkConf) = (reg32(kSysclkConf) & ~(3u << 16)) | kFromPll;
  reg32(kBusClkUpdate) |= 1;
  clock::becomes(kBusClkUpdate, 1, 0);
  return true;
}

}  // namespace chip
}  // namespace tinydeploy
