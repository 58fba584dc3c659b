// Xtensa with the call0 ABI, as an emulator starts it: reset, exceptions. Xtensa Instruction Set Architecture Reference
// Manual, 4.4 (exceptions) and 5.3 (special registers). Registers that the exception was not given are read where it was.
#if defined(__XTENSA__)

#include "../fault.h"
#include "interrupt.h"
#include "startup.h"

namespace tinydeploy {

// INTENABLE: the interrupt of the only timer. PS.INTLEVEL still holds it back.
void enable_interrupts() { asm volatile("wsr.intenable %0\nrsync" ::"r"(1 << 6)); }

}  // namespace tinydeploy

extern "C" {

[[gnu::used, noreturn]] void tinydeploy_start_on_stack() {
  uint32_t* stack_pointer;
  asm volatile("mov %0, sp" : "=r"(stack_pointer));
  tinydeploy::run_main(stack_pointer);
}

// EXCCAUSE, EPC, EXCVADDR, DEPC, a0 to a9
[[gnu::used]] uint32_t tinydeploy_trap_registers[14];

[[gnu::used, noreturn]] void tinydeploy_report_trap() {
  using namespace tinydeploy;
  fault::report(fault::Architecture::kXtensa, tinydeploy_trap_registers, 14);
}

// The core begins at the first word. The vectors' places are lx106's, from VECBASE on: debug 0x10, kernel 0x30, user
// 0x50, double 0x70. PS: user vector mode (1 << 5), interrupts of level 1 held back (1).
asm(".section .tinydeploy.start, \"ax\"\n"
    ".global tinydeploy_start\n"
    "tinydeploy_start:\n"
    "  j 1f\n"
    ".balign 256\n"
    "tinydeploy_vectors:\n"
    ".org tinydeploy_vectors + 0x10\n  j tinydeploy_debug_trap\n"
    ".org tinydeploy_vectors + 0x30\n  j tinydeploy_trap\n"
    ".org tinydeploy_vectors + 0x50\n  j tinydeploy_trap\n"
    ".org tinydeploy_vectors + 0x70\n  j tinydeploy_trap_again\n"
    ".balign 4\n"
    ".literal_position\n"
    "1:\n"
    "  movi a0, tinydeploy_vectors\n  wsr.vecbase a0\n"
    "  movi a0, 0x21\n  wsr.ps a0\n  rsync\n"
    "  movi a1, __stack_end\n"
    "  movi a0, tinydeploy_start_on_stack\n  jx a0\n"
    ".balign 4\n"
    "tinydeploy_trap:\n"
    "  wsr.excsave1 a0\n"
    "  rsr.exccause a0\n"
    "  bnei a0, 4, 3f\n"
    "  movi a0, tinydeploy_count_wrap\n  jx a0\n"
    "3:\n"
    "  movi a0, tinydeploy_trap_registers\n"
    "  s32i a2, a0, 24\n"
    "  rsr.exccause a2\n  s32i a2, a0, 0\n"
    "  rsr.epc1 a2\n  s32i a2, a0, 4\n"
    "  rsr.excvaddr a2\n  s32i a2, a0, 8\n"
    "  movi a2, 0\n  s32i a2, a0, 12\n"
    "2:\n"
    "  rsr.excsave1 a2\n  s32i a2, a0, 16\n"
    "  s32i a1, a0, 20\n"
    "  s32i a3, a0, 28\n  s32i a4, a0, 32\n  s32i a5, a0, 36\n  s32i a6, a0, 40\n"
    "  s32i a7, a0, 44\n  s32i a8, a0, 48\n  s32i a9, a0, 52\n"
    "  movi a1, __fault_stack_end\n"
    "  movi a0, 0x21\n  wsr.ps a0\n  rsync\n"
    "  movi a0, tinydeploy_report_trap\n  jx a0\n"
    // A fault while one is being reported: its place is in DEPC.
    "tinydeploy_trap_again:\n"
    "  wsr.excsave1 a0\n"
    "  movi a0, tinydeploy_trap_registers\n"
    "  s32i a2, a0, 24\n"
    "  rsr.exccause a2\n  s32i a2, a0, 0\n"
    "  rsr.depc a2\n  s32i a2, a0, 4\n  s32i a2, a0, 12\n"
    "  rsr.excvaddr a2\n  s32i a2, a0, 8\n"
    "  j 2b\n"
    // BREAK, which GCC compiles __builtin_trap() to: level 2, and no number of EXCCAUSE's. 64 stands for it.
    "tinydeploy_debug_trap:\n"
    "  wsr.excsave1 a0\n"
    "  movi a0, tinydeploy_trap_registers\n"
    "  s32i a2, a0, 24\n"
    "  movi a2, 64\n  s32i a2, a0, 0\n"
    "  rsr.epc2 a2\n  s32i a2, a0, 4\n"
    "  movi a2, 0\n  s32i a2, a0, 8\n  s32i a2, a0, 12\n"
    "  j 2b\n"
    ".previous\n");

}  // extern "C"

#endif
