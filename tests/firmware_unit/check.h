// Unit tests that run on a microcontroller as on this machine: no heap, no libc, one line of output per test.
#pragma once

#include <stdint.h>

namespace check {

// Ends the running test as failed, if it has not failed before.
void fail(const char* file, int line, const char* expression);

void run(const char* name, void (*test)());

// Says that all tests were run, and ends the program.
[[noreturn]] void finish();

// The same pseudo-random numbers on each run: xorshift32 (Marsaglia, "Xorshift RNGs", 2003).
uint32_t random32();

}  // namespace check

#define CHECK(condition) \
  do { \
    if (!(condition)) return check::fail(__FILE__, __LINE__, #condition); \
  } while (false)

#define RUN(test) check::run(#test, test)
