#include "counter.h"

#include "board.h"
#include "clock.h"
#include "interrupt.h"
#include "mmio.h"

namespace tinydeploy {
namespace {

[[maybe_unused]] volatile uint32_t wraps asm("tinydeploy_wraps");
uint32_t wrap_cost;  // instructions of the interrupt that counts a wrap

}  // namespace
}  // namespace tinydeploy

#include TINYDEPLOY_COUNTER_DRIVER

namespace tinydeploy {
namespace {

constexpr uint64_t greatest_common_divisor(uint64_t a, uint64_t b) {
  return b == 0 ? a : greatest_common_divisor(b, a % b);
}
// In lowest terms, so that the products below stay within 64 bits.
constexpr uint64_t kCommon = greatest_common_divisor(board::kTickNumerator, board::kTickDenominator);
constexpr uint64_t kNumerator = board::kTickNumerator / kCommon;
constexpr uint64_t kDenominator = board::kTickDenominator / kCommon;

uint64_t to_counts(uint64_t ticks) { return (ticks * kNumerator + kDenominator / 2) / kDenominator; }

#if TINYDEPLOY_COUNTER_RDINSTRET || TINYDEPLOY_COUNTER_MCYCLE || TINYDEPLOY_COUNTER_MPCCR

constexpr uint64_t kPeriod = uint64_t{1} << 32;

#elif TINYDEPLOY_COUNTS_INSTRUCTIONS && !TINYDEPLOY_COUNTER_CCOUNT

// Of a call of `function`, with what surrounds it. Compiled once, so that it adds the same to any function's.
[[gnu::noipa]] uint32_t instructions_of(void (*function)()) {
  const uint32_t begin = value();
  function();
  const uint32_t end = value();
  return static_cast<uint32_t>(to_counts(end - begin));
}

[[gnu::naked, gnu::noipa]] void nothing() { asm volatile("bx lr"); }

#endif

}  // namespace

namespace counter {

#if TINYDEPLOY_COUNTER_RDINSTRET || TINYDEPLOY_COUNTER_MCYCLE || TINYDEPLOY_COUNTER_MPCCR

void open() { start(); }
void on() {}
void off() {}

Reading read() {
  Reading reading;
  uint32_t again;
  do {
    read_halves(reading.wraps, reading.value, again);
  } while (again != reading.wraps);
  return reading;
}

#else

void open() {
  start();
  enable_interrupts();
#if TINYDEPLOY_COUNTER_CCOUNT
  wrap_cost = TINYDEPLOY_COUNTS_INSTRUCTIONS ? static_cast<uint32_t>(to_counts(ticks_of_interrupt())) : 0;
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
  let_interrupt();
}
void off() { hold_interrupt(); }

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
#if TINYDEPLOY_COUNTER_DWT || TINYDEPLOY_COUNTER_MPCCR
  const uint32_t difference = end.value - begin.value;
  const uint64_t estimate = cycles_of(wrapped);  // one tick off, at most
  const uint64_t ticks = difference + (estimate + kPeriod / 2 - difference) / kPeriod * kPeriod;
#else
  const uint64_t ticks = wrapped * kPeriod + end.value - begin.value;
#endif
  return to_counts(ticks) - uint64_t{wrapped} * wrap_cost;
}

}  // namespace counter
}  // namespace tinydeploy

#if !TINYDEPLOY_COUNTER_RDINSTRET && !TINYDEPLOY_COUNTER_MCYCLE && !TINYDEPLOY_COUNTER_MPCCR && !TINYDEPLOY_COUNTER_CCOUNT
extern "C" [[gnu::noipa]] void tinydeploy_count_wrap() {
  using namespace tinydeploy;
  acknowledge();
  wraps = wraps + 1;
}
#endif
