// The ports of an Arduino core: the link over Serial, and the best counter that the chip has. setup() and loop() stand
// in for main(). A fault is not reported: what becomes of it is the core's business.
#if defined(ARDUINO)

#include <Arduino.h>
#if defined(__AVR__)
#include <HardwareSerial_private.h>
#endif

#include "board.h"
#if TINYDEPLOY_ARENA_IN_PSRAM
#include <esp_heap_caps.h>
#endif

#include "../arena.h"
#include "../measure.h"
#include "mlperf_tiny.h"
#include "../session.h"
#include "counter.h"
#include "link.h"
#include "mmio.h"
#include "stack.h"

namespace tinydeploy {
namespace link {

const uint8_t kWindow = 1;  // some cores keep no more than 64 bytes that nobody has read yet

#if defined(__AVR__)

// Serial's interrupt handlers are called from here instead: with interrupts off, none is in the way of an inference,
// nor counted with it.
void open() {
  Serial.begin(board::kUartBaud);
  noInterrupts();
}

size_t read(uint8_t* data, size_t bytes) {
  size_t count = 0;
  // A frame is taken whole: nobody takes what comes while it is worked on. It does not begin as what is typed does.
  while (count < bytes && (count == 0 || (data[count - 1] != 0 && data[0] < ' ' && data[0] != '\r' && data[0] != '\n'))) {
    while (!(UCSR0A & 1 << RXC0)) continue;
    Serial._rx_complete_irq();
    data[count++] = static_cast<uint8_t>(Serial.read());
  }
  return count;
}

void write(const uint8_t* data, size_t bytes) {
  Serial.write(data, bytes);
  while (UCSR0B & 1 << UDRIE0) {
    if (UCSR0A & 1 << UDRE0) Serial._tx_udr_empty_irq();
  }
}

#else

void open() { Serial.begin(board::kUartBaud); }

size_t read(uint8_t* data, size_t bytes) {
  while (Serial.available() <= 0) yield();
  size_t count = 0;
  while (count < bytes && Serial.available() > 0) data[count++] = static_cast<uint8_t>(Serial.read());
  return count;
}

void write(const uint8_t* data, size_t bytes) {
  Serial.write(data, bytes);
  Serial.flush();
}

#endif

}  // namespace link

namespace counter {
namespace {

#if defined(ESP32)
uint32_t clock_hz() { return getCpuFrequencyMhz() * 1000000; }
#elif defined(F_CPU_ACTUAL)  // Teensy 4
uint32_t clock_hz() { return F_CPU_ACTUAL; }
#else
uint32_t clock_hz() { return F_CPU; }
#endif

}  // namespace

uint32_t hz() { return TINYDEPLOY_COUNTS_INSTRUCTIONS ? 0 : clock_hz(); }

// The interrupts are the core's.
void on() {}
void off() {}

#if defined(__AVR__)

// Timer 1 counts cycles and wraps every 65536; timer 3 counts 1024 at a time, and wraps every four seconds. Of
// wraps of the latter between two readings one is noticed: nothing may take longer than eight seconds.
namespace {
uint32_t wraps;
}  // namespace

void open() {
  noInterrupts();
  TCCR1A = TCCR3A = 0;
  TCCR1B = 1;
  TCCR3B = 5;
  TCNT1 = 0;
  TCNT3 = 0;
  TIFR3 = 1 << TOV3;
}

Reading read() {
  uint16_t coarse = TCNT3;
  if (TIFR3 & 1 << TOV3) {
    TIFR3 = 1 << TOV3;
    ++wraps;
    coarse = TCNT3;
  }
  const uint16_t fine = TCNT1;
  // The two were not started in the same cycle, and are not read in the same: what fine says of the low bits holds.
  const uint32_t near = static_cast<uint32_t>(coarse) << 10;
  const auto off = static_cast<int16_t>(fine - static_cast<uint16_t>(near));
  return {wraps, near + static_cast<uint32_t>(static_cast<int32_t>(off))};
}

uint64_t between(const Reading& begin, const Reading& end) {
  const uint64_t wrapped = end.wraps - begin.wraps;
  const uint64_t cycles = (wrapped << 26) + end.value - begin.value;
  return (cycles * board::kTickNumerator + board::kTickDenominator / 2) / board::kTickDenominator;
}

#else

// A reading is the time in microseconds, and the cycle counter if there is one; the time then says how often that
// has wrapped.
#if defined(ESP32)
void open() {}
uint32_t cycles() { return ESP.getCycleCount(); }
constexpr bool kCountsCycles = true;
#elif defined(__ARM_ARCH) && __ARM_ARCH >= 7  // DWT: ARMv7-M Architecture Reference Manual C1.8
constexpr bool kCountsCycles = true;
void open() {
  reg32(0xe000edfc) |= 1u << 24;   // DEMCR: TRCENA
  reg32(0xe0001fb0) = 0xc5acce55;  // LAR: Cortex-M7 has a lock
  reg32(0xe0001000) |= 1;          // CTRL: CYCCNTENA
}
uint32_t cycles() { return reg32(0xe0001004); }
#else
constexpr bool kCountsCycles = false;
void open() {}
uint32_t cycles() { return 0; }
#endif

Reading read() { return {static_cast<uint32_t>(micros()), cycles()}; }

uint64_t between(const Reading& begin, const Reading& end) {
  const uint64_t estimate = static_cast<uint64_t>(end.wraps - begin.wraps) * (clock_hz() / 1000000);
  if (!kCountsCycles) return estimate;
  const uint32_t counted = end.value - begin.value;
  constexpr uint64_t kHalf = uint64_t{1} << 31;
  const uint64_t wrapped = estimate + kHalf > counted ? (estimate + kHalf - counted) >> 32 : 0;
  return counted + (wrapped << 32);
}

#endif

}  // namespace counter

#if TINYDEPLOY_ARENA_IN_PSRAM
namespace arena {

void* from_psram(size_t bytes, size_t alignment) {
  return heap_caps_aligned_alloc(alignment, bytes, MALLOC_CAP_SPIRAM);
}

}  // namespace arena
#endif

namespace stack {

#if defined(__AVR__)

extern "C" uint8_t __heap_start[];  // nothing here allocates: from there to the stack all is free

namespace {
constexpr uint8_t kPaint = 0xc5;
uint8_t* top;
}  // namespace

[[gnu::noinline]] void paint() {
  uint8_t here;
  top = reinterpret_cast<uint8_t*>(RAMEND);
  constexpr int kFrame = 16;  // of this function
  for (volatile uint8_t* byte = __heap_start; byte < &here - kFrame; ++byte) *byte = kPaint;
}

uint32_t high_water_bytes() {
  const uint8_t* byte = __heap_start;
  while (byte < top && *byte == kPaint) ++byte;
  return static_cast<uint32_t>(top - byte) + 1;
}

#else

void paint() {}
uint32_t high_water_bytes() { return 0; }  // not known: the stack is the core's, or its operating system's

#endif

}  // namespace stack
}  // namespace tinydeploy

void setup() {
  tinydeploy::stack::paint();
  tinydeploy::link::open();
  tinydeploy::measure::open();
}

void loop() {
#if TINYDEPLOY_MLPERF_TINY
  tinydeploy::mlperf_tiny::run();
#else
  tinydeploy::serve();
#endif
}

#endif
