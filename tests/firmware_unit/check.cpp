#include "check.h"

#if defined(__arm__)
#include "runtime/memory.cpp"
#include "runtime/port/arm.cpp"
#else
#include <stdio.h>
#include <stdlib.h>
#endif

namespace check {
namespace {

#if defined(__arm__)

// Operations of Arm's "Semihosting for AArch32 and AArch64".
constexpr uint32_t kWriteString = 0x04;
constexpr uint32_t kExitExtended = 0x20;
constexpr uint32_t kApplicationExit = 0x20026;

void semihosting(uint32_t operation, const void* argument) {
  register uint32_t r0 asm("r0") = operation;
  register const void* r1 asm("r1") = argument;
  asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

void print(const char* text) { semihosting(kWriteString, text); }

[[noreturn]] void exit_program() {
  const uint32_t reason[] = {kApplicationExit, 0};
  for (;;) semihosting(kExitExtended, reason);
}

#else

void print(const char* text) { fputs(text, stdout); }

[[noreturn]] void exit_program() { exit(0); }

#endif

void print(int number) {
  if (number >= 10) print(number / 10);
  const char digit[] = {static_cast<char>('0' + number % 10), '\0'};
  print(digit);
}

bool failed;

}  // namespace

void fail(const char* file, int line, const char* expression) {
  if (!failed) {
    print("FAIL ");
    print(file);
    print(":");
    print(line);
    print(" ");
    print(expression);
    print("\n");
  }
  failed = true;
}

void run(const char* name, void (*test)()) {
  failed = false;
  print("TEST ");
  print(name);
  print("\n");
  test();
  if (!failed) print("PASS\n");
}

[[noreturn]] void finish() {
  print("DONE\n");
  exit_program();
}

uint32_t random32() {
  static uint32_t state = 2463534242u;
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

}  // namespace check

#if defined(__arm__)

// What the start-up code expects of the firmware around it.
namespace tinydeploy {
namespace fault {

void report(Architecture, const uint32_t*, uint32_t) {
  check::fail(__FILE__, __LINE__, "no fault");
  check::exit_program();
}

}  // namespace fault
}  // namespace tinydeploy

extern "C" void tinydeploy_count_wrap() {}

#endif
