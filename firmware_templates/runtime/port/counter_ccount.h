// Xtensa's cycle counter: Instruction Set Architecture Reference Manual 4.4.5. Part of counter.cpp. Its timer interrupts
// where it wraps, when it is equal to CCOMPARE0; PS.INTLEVEL holds that back.
#pragma once

#include <stdint.h>

namespace tinydeploy {
namespace {

constexpr uint64_t kPeriod = uint64_t{1} << 32;
uint32_t value() {
  uint32_t count;
  asm volatile("rsr.ccount %0" : "=r"(count));
  return count;
}
void restart() { asm volatile("wsr.ccount %0\nwsr.ccompare0 %0\nesync" ::"r"(0)); }
void start() { restart(); }

void let_interrupt() { asm volatile("rsil a15, 0" ::: "a15", "memory"); }
void hold_interrupt() { asm volatile("rsil a15, 1" ::: "a15", "memory"); }

// The ticks of a loop that takes longer than `soon`, in which the interrupt comes if there is time for it.
[[gnu::noipa]] uint32_t ticks_with_interrupt_in(uint32_t soon) {
  const uint32_t begin = value();
  asm volatile("wsr.ccompare0 %0\nesync" ::"r"(begin + soon) : "memory");
  let_interrupt();
  for (uint32_t i = 0; i < 100; ++i) asm volatile("");
  hold_interrupt();
  return value() - begin;
}
// What the interrupt takes.
uint32_t ticks_of_interrupt() {
  constexpr uint32_t kSoon = 2000;  // some fifty instructions of an emulator
  return ticks_with_interrupt_in(kSoon) - ticks_with_interrupt_in(UINT32_MAX);
}

// Jumped to by the exception vector, with EXCSAVE1 as a0 was. To write CCOMPARE0 takes the interrupt back.
asm(".section .text.tinydeploy_count_wrap, \"ax\"\n"
    ".balign 4\n"
    ".literal_position\n"
    ".global tinydeploy_count_wrap\n"
    "tinydeploy_count_wrap:\n"
    "  wsr.excsave2 a2\n"
    "  movi a0, tinydeploy_wraps\n"
    "  l32i a2, a0, 0\n"
    "  addi a2, a2, 1\n"
    "  s32i a2, a0, 0\n"
    "  movi a2, 0\n"
    "  wsr.ccompare0 a2\n"
    "  rsr.excsave2 a2\n"
    "  rsr.excsave1 a0\n"
    "  rfe\n"
    ".previous\n");

}  // namespace
}  // namespace tinydeploy
