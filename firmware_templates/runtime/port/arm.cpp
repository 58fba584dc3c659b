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
#if __ARM_ARCH > 6
  status[0] = reg32(kCfsr);
  status[1] = reg32(kHfsr);
  status[2] = reg32(kMmfar);
  status[3] = reg32(kBfar);
#endif
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
