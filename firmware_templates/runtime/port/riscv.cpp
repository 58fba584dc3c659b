// RISC-V in machine mode: reset and traps.
#if defined(__riscv)

#include "../fault.h"
#include "interrupt.h"
#include "startup.h"

extern "C" {

extern const uint32_t tinydeploy_trap[];

[[gnu::naked, gnu::section(".tinydeploy.start")]] void tinydeploy_start() {
  asm volatile(
      ".option push\n.option norelax\n"
      "la gp, __global_pointer$\n"
      ".option pop\n"
      "la sp, __stack_end\n"
      "j tinydeploy_start_on_stack");
}

[[gnu::used, noreturn]] void tinydeploy_start_on_stack() {
  using namespace tinydeploy;
  // Physical memory protection, locked: flash can be read and executed and no more. So a stack that overflows
  // into it, and a stray write, fault as they would on a part whose flash is not RAM.
  const auto origin = reinterpret_cast<uintptr_t>(__flash_origin);
  const auto length = reinterpret_cast<uintptr_t>(__flash_len);
  constexpr uint32_t kReadExecuteLocked = 0x80 | 3 << 3 | 1 << 2 | 1;  // naturally aligned power of two
  // Other lengths are those of flash that nobody can write to by a store.
  const bool is_protected = (length & (length - 1)) == 0;
  // A core that has none, such as the FE310-G000's, traps, and goes on behind it.
  asm volatile(
      "la t0, 1f\n"
      "csrw mtvec, t0\n"
      "csrw pmpaddr0, %0\n"
      "csrw pmpcfg0, %1\n"
      ".balign 4\n"
      "1: csrw mtvec, %2" ::"r"(origin >> 2 | (length / 2 - 1) >> 2),
      "r"(is_protected ? kReadExecuteLocked : 0), "r"(tinydeploy_trap)
      : "t0");
  uint32_t* stack_pointer;
  asm volatile("mv %0, sp" : "=r"(stack_pointer));
  run_main(stack_pointer);
}

// mcause, mepc, mtval, ra, sp, gp, a0-a7
uint32_t tinydeploy_trap_registers[14];

[[gnu::used, noreturn]] void tinydeploy_report_trap() {
  using namespace tinydeploy;
  fault::report(fault::Architecture::kRiscv, tinydeploy_trap_registers, 14);
}

asm(".section .text.tinydeploy_trap, \"ax\"\n"
    ".balign 256\n"  // an ESP32-C3 has a table of vectors there, of which this is the first
    "tinydeploy_trap:\n"
    "  csrw mscratch, t0\n"
    "  la t0, tinydeploy_trap_registers\n"
    "  sw ra, 12(t0)\n  sw sp, 16(t0)\n  sw gp, 20(t0)\n"
    "  sw a0, 24(t0)\n  sw a1, 28(t0)\n  sw a2, 32(t0)\n  sw a3, 36(t0)\n"
    "  sw a4, 40(t0)\n  sw a5, 44(t0)\n  sw a6, 48(t0)\n  sw a7, 52(t0)\n"
    "  csrr a0, mcause\n  sw a0, 0(t0)\n"
    "  csrr a0, mepc\n  sw a0, 4(t0)\n"
    "  csrr a0, mtval\n  sw a0, 8(t0)\n"
    "  .option push\n  .option norelax\n  la gp, __global_pointer$\n  .option pop\n"
    "  la sp, __fault_stack_end\n"
    "  j tinydeploy_report_trap\n"
    ".previous\n");

}  // extern "C"

#endif
