// Cortex-M: vector table, reset, faults.
#if defined(__arm__)

#include "../fault.h"
#include "interrupt.h"
#include "mmio.h"
#include "startup.h"

namespace tinydeploy {
namespace {

// System control space, ARMv7-M Architecture Reference Manual B3.2.
constexpr uint32_t kVtor = 0xe000ed08;
constexpr uint32_t kCcr = 0xe000ed14;
constexpr uint32_t kCfsr = 0xe000ed28;
constexpr uint32_t kHfsr = 0xe000ed2c;
constexpr uint32_t kMmfar = 0xe000ed34;
constexpr uint32_t kBfar = 0xe000ed38;
constexpr uint32_t kCpacr = 0xe000ed88;
constexpr uint32_t kIser0 = 0xe000e100;
constexpr uint32_t kMpuType = 0xe000ed90;
constexpr uint32_t kMpuControl = 0xe000ed94;
constexpr uint32_t kMpuRegion = 0xe000ed98;
constexpr uint32_t kMpuBase = 0xe000ed9c;
constexpr uint32_t kMpuAttributes = 0xe000eda0;  // ARMv8-M: the limit
constexpr uint32_t kMpuMemories = 0xe000edc0;

// Flash can be read and executed and no more, and what lies below the stack not be touched at all. So a stack that
// overflows and a stray write fault, even where flash is really RAM, as on FPGA boards, or something else is there.
void protect_memory() {
  const auto flash = reinterpret_cast<uint32_t>(__flash_origin);
  const auto flash_bytes = reinterpret_cast<uint32_t>(__flash_len);
  constexpr uint32_t kBelowBytes = 1 << 20;
  const uint32_t below = reinterpret_cast<uint32_t>(__stack_start) - kBelowBytes;
  constexpr uint32_t kEnable = 1;
  if (reg32(kMpuType) == 0) return;  // the MPU is optional
#if __ARM_ARCH >= 8
  constexpr uint32_t kReadOnly = 3 << 1;
  constexpr uint32_t kNeverExecute = 1;
  reg32(kMpuMemories) = 0x44;  // memory 0: normal, not cached
  reg32(kMpuRegion) = 0;
  reg32(kMpuBase) = flash | kReadOnly;
  reg32(kMpuAttributes) = (flash + flash_bytes - 32) | kEnable;
  reg32(kMpuRegion) = 1;
  reg32(kMpuBase) = below | kReadOnly | kNeverExecute;
  reg32(kMpuAttributes) = (below + kBelowBytes - 32) | kEnable;
#else
  // Sizes are powers of two.
  constexpr uint32_t kReadOnly = 6 << 24;
  constexpr uint32_t kNoAccess = 1 << 28;
  constexpr uint32_t kNormal = 2 << 16;
  reg32(kMpuRegion) = 0;
  reg32(kMpuBase) = flash;
  reg32(kMpuAttributes) = kReadOnly | kNormal | static_cast<uint32_t>(30 - __builtin_clz(flash_bytes)) << 1 | kEnable;
  reg32(kMpuRegion) = 1;
  reg32(kMpuBase) = below;
  reg32(kMpuAttributes) = kNoAccess | (20 - 1) << 1 | kEnable;
#endif
  reg32(kMpuControl) = 1 << 2 | kEnable;  // everything else as without MPU; off in the fault handler
  asm volatile("dsb\nisb" ::: "memory");
}

}  // namespace

void enable_interrupts() { reg32(kIser0) = 0xffffffff; }

}  // namespace tinydeploy

extern "C" {

extern const uintptr_t tinydeploy_vectors[];

[[gnu::naked]] void tinydeploy_fault() {
  asm volatile(
      "mrs r0, msp\n"
      "ldr r1, =__fault_stack_end\n"
      "msr msp, r1\n"
      "ldr r1, =tinydeploy_report_fault\n"
      "bx r1\n"
      ".ltorg");
}

// `frame` is where the core has put r0-r3, r12, lr, pc and xpsr, unless the stack pointer was no good.
[[gnu::used, noreturn]] void tinydeploy_report_fault(const uint32_t* frame) {
  using namespace tinydeploy;
  constexpr uint32_t kFrameWords = 8;
  uint32_t registers[kFrameWords + 6] = {};
  const bool in_stack = frame >= __stack_start && frame + kFrameWords <= __stack_end;
  for (uint32_t i = 0; in_stack && i < kFrameWords; ++i) registers[i] = frame[i];
  uint32_t* status = registers + kFrameWords;
  // An ARMv6-M core does not have these four, and reads them as zero.
  status[0] = reg32(kCfsr);
  status[1] = reg32(kHfsr);
  status[2] = reg32(kMmfar);
  status[3] = reg32(kBfar);
  status[4] = reinterpret_cast<uint32_t>(frame);
  asm("mrs %0, ipsr" : "=r"(status[5]));
  fault::report(fault::Architecture::kArm, registers, kFrameWords + 6);
}

void tinydeploy_start() {
  using namespace tinydeploy;
  reg32(kVtor) = reinterpret_cast<uint32_t>(tinydeploy_vectors);
#if __ARM_ARCH == 6
  // Refuse unaligned accesses, which ARMv6-M cannot do, on a core that could.
  reg32(kCcr) |= 1 << 3;
#else
  reg32(kCcr) |= 1 << 4;  // a division by zero is a fault
#endif
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
  reg32(kCpacr) |= 0xf << 20;
  asm volatile("dsb\nisb" ::: "memory");
#endif
  protect_memory();
  uint32_t* stack_pointer;
  asm volatile("mov %0, sp" : "=r"(stack_pointer));
  run_main(stack_pointer);
}

#define FAULT reinterpret_cast<uintptr_t>(&tinydeploy_fault)
#define COUNT reinterpret_cast<uintptr_t>(&tinydeploy_count_wrap)
[[gnu::section(".tinydeploy.start"), gnu::used, gnu::aligned(256)]] const uintptr_t tinydeploy_vectors[16 + 32] = {
    reinterpret_cast<uintptr_t>(__stack_end),
    reinterpret_cast<uintptr_t>(&tinydeploy_start),
    FAULT, FAULT, FAULT, FAULT, FAULT, FAULT, FAULT, FAULT, FAULT, FAULT, FAULT, FAULT, FAULT,
    COUNT,  // SysTick
    // Of the 32 external interrupts only the counter's is ever raised, whichever it is.
    COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT,
    COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, COUNT,
};

}  // extern "C"

#endif
