#include "counter.h"

#include "board.h"
#include "clock.h"
#include "interrupt.h"
#include "mmio.h"

namespace tinydeploy {
namespace {

using board::kCounterBase;

constexpr uint64_t greatest_common_divisor(uint64_t a, uint64_t b) {
  return b == 0 ? a : greatest_common_divisor(b, a % b);
}
// In lowest terms, so that the products below stay within 64 bits.
constexpr uint64_t kCommon = greatest_common_divisor(board::kTickNumerator, board::kTickDenominator);
constexpr uint64_t kNumerator = board::kTickNumerator / kCommon;
constexpr uint64_t kDenominator = board::kTickDenominator / kCommon;

uint64_t to_counts(uint64_t ticks) { return (ticks * kNumerator + kDenominator / 2) / kDenominator; }

#if TINYDEPLOY_COUNTER_RDINSTRET || TINYDEPLOY_COUNTER_MCYCLE

constexpr uint64_t kPeriod = uint64_t{1} << 32;
constexpr uint32_t wrap_cost = 0;

#else

volatile uint32_t wraps asm("tinydeploy_wraps");
uint32_t wrap_cost;  // instructions of the interrupt that counts a wrap

#if TINYDEPLOY_COUNTER_CMSDK_TIMER  // Arm CMSDK APB timer, counting down

constexpr uint64_t kPeriod = uint64_t{1} << 32;
void start() {
  reg32(kCounterBase + 0x08) = 0xffffffff;  // RELOAD
  reg32(kCounterBase + 0x04) = 0xffffffff;  // VALUE
  reg32(kCounterBase + 0x00) = 1 | 1 << 3;  // CTRL: on, interrupt on reaching zero
}
void restart() { reg32(kCounterBase + 0x04) = 0xffffffff; }
uint32_t value() { return 0xffffffff - reg32(kCounterBase + 0x04); }
void acknowledge() { reg32(kCounterBase + 0x0c) = 1; }  // INTCLEAR

#elif TINYDEPLOY_COUNTER_STM32_TIMER  // TIM2 of an STM32, counting up

constexpr uint64_t kPeriod = uint64_t{1} << 32;
void start() {
  reg32(0x40023840) |= 1;                   // RCC_APB1ENR: TIM2
  reg32(kCounterBase + 0x2c) = 0xffffffff;  // ARR
  reg32(kCounterBase + 0x0c) = 1;           // DIER: interrupt on wrapping
  reg32(kCounterBase + 0x00) = 1 | 1 << 2;  // CR1: on, and only wrapping counts as an update
}
void restart() { reg32(kCounterBase + 0x24) = 0; }
uint32_t value() { return reg32(kCounterBase + 0x24); }
void acknowledge() { reg32(kCounterBase + 0x10) = 0; }  // SR

#elif TINYDEPLOY_COUNTER_SYSTICK  // Cortex-M's 24 bits, counting down

constexpr uint64_t kPeriod = uint64_t{1} << 24;
void start() {
  reg32(kCounterBase + 4) = 0xffffff;  // reload
  reg32(kCounterBase + 8) = 0;         // any write restarts it
  reg32(kCounterBase + 0) = 7;         // on, interrupt on reaching zero, core clock
}
void restart() { reg32(kCounterBase + 8) = 0; }
uint32_t value() { return 0xffffff - reg32(kCounterBase + 8); }
void acknowledge() {}

#elif TINYDEPLOY_COUNTER_DWT  // Cortex-M's cycle counter: ARMv7-M Architecture Reference Manual C1.8

// It wraps in silence, so SysTick interrupts every 2^24 cycles, and how often it has done so says which multiple
// of the counter's own period belongs to a difference. Where it stands still, as in an emulator that the firmware
// takes for a board, SysTick counts the cycles of the same clock. An emulator that it is made for has the counter,
// but may take the same time for two reads in a row.
constexpr uint64_t kTick = uint64_t{1} << 24;
constexpr uint64_t kPeriod = uint64_t{1} << 32;
constexpr uint32_t kSysTick = 0xe000e010;
#if TINYDEPLOY_COUNTS_INSTRUCTIONS
constexpr bool stands_still = false;
#else
bool stands_still;
#endif
void start() {
  constexpr uint32_t kDemcr = 0xe000edfc;
  reg32(kDemcr) |= 1u << 24;                // TRCENA
  reg32(kCounterBase + 0xfb0) = 0xc5acce55;  // LAR: Cortex-M7 has a lock
  reg32(kCounterBase + 0x004) = 0;           // CYCCNT
  reg32(kCounterBase + 0x000) |= 1;          // CTRL: CYCCNTENA
  reg32(kSysTick + 4) = kTick - 1;
  reg32(kSysTick + 8) = 0;
  reg32(kSysTick + 0) = 7;
#if !TINYDEPLOY_COUNTS_INSTRUCTIONS
  stands_still = reg32(kCounterBase + 0x004) == reg32(kCounterBase + 0x004);
#endif
}
void restart() { reg32(kSysTick + 8) = 0; }
uint32_t value() {
  return stands_still ? (wraps << 24) + 0xffffff - reg32(kSysTick + 8) : reg32(kCounterBase + 0x004);
}
void acknowledge() {}

#elif TINYDEPLOY_COUNTER_CCOUNT  // Xtensa's cycle counter: Instruction Set Architecture Reference Manual 4.4.5

// Its timer interrupts where it wraps, when it is equal to CCOMPARE0.
constexpr uint64_t kPeriod = uint64_t{1} << 32;
uint32_t value() {
  uint32_t count;
  asm volatile("rsr.ccount %0" : "=r"(count));
  return count;
}
void restart() { asm volatile("wsr.ccount %0\nwsr.ccompare0 %0\nesync" ::"r"(0)); }
void start() { restart(); }

#endif

#if TINYDEPLOY_COUNTER_CCOUNT
// Of a loop that takes longer than `soon` ticks, when the counter's interrupt may come.
[[gnu::noipa]] uint32_t instructions_until(uint32_t soon) {
  const uint32_t begin = value();
  asm volatile("wsr.ccompare0 %0\nesync\nrsil a15, 0" ::"r"(begin + soon) : "a15", "memory");
  for (uint32_t i = 0; i < 100; ++i) asm volatile("");
  const uint32_t end = value();
  asm volatile("rsil a15, 1" ::: "a15", "memory");
  return static_cast<uint32_t>(to_counts(end - begin));
}
#elif TINYDEPLOY_COUNTS_INSTRUCTIONS
// Of a call of `function`, with what surrounds it. Compiled once, so that it adds the same to any function's.
[[gnu::noipa]] uint32_t instructions_of(void (*function)()) {
  const uint32_t begin = value();
  function();
  const uint32_t end = value();
  return static_cast<uint32_t>(to_counts(end - begin));
}

[[gnu::naked, gnu::noipa]] void nothing() { asm volatile("bx lr"); }
#endif

#endif

}  // namespace

namespace counter {

#if TINYDEPLOY_COUNTER_RDINSTRET || TINYDEPLOY_COUNTER_MCYCLE

void open() {}
void on() {}
void off() {}

Reading read() {
  Reading reading;
  uint32_t again;
  do {
#if TINYDEPLOY_COUNTER_MCYCLE
    asm volatile("csrr %0, mcycleh\ncsrr %1, mcycle\ncsrr %2, mcycleh"
#else
    asm volatile("rdinstreth %0\nrdinstret %1\nrdinstreth %2"
#endif
                 : "=&r"(reading.wraps), "=&r"(reading.value), "=&r"(again));
  } while (again != reading.wraps);
  return reading;
}

#else

void open() {
  start();
  enable_interrupts();
#if TINYDEPLOY_COUNTER_CCOUNT
  constexpr uint32_t kSoon = 2000;  // some ten instructions or more
  wrap_cost = instructions_until(kSoon) - instructions_until(UINT32_MAX);
  wraps = 0;
#elif TINYDEPLOY_COUNTS_INSTRUCTIONS
  // An exception takes no instructions to enter, and then runs the handler as a call does.
  wrap_cost = instructions_of(tinydeploy_count_wrap) - instructions_of(nothing) + 1;  // "nothing" returns, too
  wraps = 0;
#endif
}

#if TINYDEPLOY_COUNTER_CCOUNT

void on() {
  restart();
  asm volatile("rsil a15, 0" ::: "a15", "memory");
}

void off() { asm volatile("rsil a15, 1" ::: "a15", "memory"); }

#else

void on() {
  constexpr uint32_t kIcsr = 0xe000ed04;       // ARMv7-M Architecture Reference Manual B3.2.4
  constexpr uint32_t kIcpr0 = 0xe000e280;      // B3.4.4
  constexpr uint32_t kClearSysTick = 1 << 25;  // if it is pending
  restart();
  acknowledge();
  reg32(kIcpr0) = 0xffffffff;
  reg32(kIcsr) = kClearSysTick;
  asm volatile("dsb\nisb\ncpsie i" ::: "memory");
}

void off() { asm volatile("cpsid i" ::: "memory"); }

#endif

Reading read() {
  Reading reading;
  do {
    reading.wraps = wraps;
    reading.value = value();
  } while (reading.wraps != wraps);
  return reading;
}

#endif

uint32_t hz() { return TINYDEPLOY_COUNTS_INSTRUCTIONS ? 0 : clock::core_hz(); }

uint64_t between(const Reading& begin, const Reading& end) {
  const uint32_t wrapped = end.wraps - begin.wraps;
#if TINYDEPLOY_COUNTER_DWT
  const uint32_t difference = end.value - begin.value;
  const uint64_t estimate = wrapped * kTick;  // one tick off, at most
  const uint64_t ticks = difference + (estimate + kPeriod / 2 - difference) / kPeriod * kPeriod;
#else
  const uint64_t ticks = wrapped * kPeriod + end.value - begin.value;
#endif
  return to_counts(ticks) - uint64_t{wrapped} * wrap_cost;
}

}  // namespace counter
}  // namespace tinydeploy

#if TINYDEPLOY_COUNTER_CCOUNT
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
#elif !TINYDEPLOY_COUNTER_RDINSTRET && !TINYDEPLOY_COUNTER_MCYCLE
extern "C" [[gnu::noipa]] void tinydeploy_count_wrap() {
  using namespace tinydeploy;
  acknowledge();
  wraps = wraps + 1;
}
#endif
