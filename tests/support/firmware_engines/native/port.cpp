// The ports of the firmware that runs as a process of the host: the link is standard input and output.
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/engine.h"
#include "runtime/frame.h"
#include "runtime/port/clock.h"
#include "runtime/port/counter.h"
#include "runtime/port/link.h"
#include "runtime/port/stack.h"

namespace tinydeploy {
namespace link {

const uint8_t kWindow = 4;

void open() { signal(SIGPIPE, SIG_IGN); }  // so that write() says that the host has gone

size_t read(uint8_t* data, size_t bytes) {
  const ssize_t got = ::read(STDIN_FILENO, data, bytes);
  if (got <= 0) exit(0);
  return static_cast<size_t>(got);
}

void write(const uint8_t* data, size_t bytes) {
  while (bytes > 0) {
    const ssize_t put = ::write(STDOUT_FILENO, data, bytes);
    if (put <= 0) exit(0);
    data += put;
    bytes -= static_cast<size_t>(put);
  }
}

}  // namespace link

namespace clock {

void start() {}

}  // namespace clock

namespace counter {

// Each reading is one later than the one before, or also later by what the model's input holds: then no two
// inferences have the same count, unless they have the same input.
Reading read() {
  static uint32_t readings;
#if COUNTS_BY_INPUT
  const Span input = engine::input(0);
  if (input.data != nullptr) readings += frame::crc32(input.data, input.bytes) % 1000;
#endif
  return {0, readings++};
}

void open() {}
void on() {}
void off() {}
uint32_t hz() { return 0; }
uint64_t between(const Reading& begin, const Reading& end) { return end.value - begin.value; }

}  // namespace counter

namespace stack {

uint32_t high_water_bytes() { return 123; }

}  // namespace stack
}  // namespace tinydeploy
