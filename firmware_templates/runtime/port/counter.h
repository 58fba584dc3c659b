// The counter that inferences are measured with: instructions in an emulator, cycles on a board.
#pragma once

#include <stdint.h>

namespace tinydeploy {
namespace counter {

// A moment: how often the counter's register has wrapped, and its value, which goes up.
struct Reading {
  uint32_t wraps;
  uint32_t value;
};

void open();

// The clock whose cycles are counted, at the rate at which it really runs; 0 if it is instructions that are counted.
uint32_t hz();

// Begins a period of the counter, and lets the interrupt come that counts periods; `off` holds it back. So it comes
// at the same places of equal inferences, and of one that takes no whole period nowhere: its frame is on the stack.
void on();
void off();

// Takes the same number of instructions each time.
Reading read();

// The count from one moment to a later one, less what counting itself took in between. Between two reads with
// nothing in between it is read()'s own cost, which the caller knows to subtract.
uint64_t between(const Reading& begin, const Reading& end);

}  // namespace counter
}  // namespace tinydeploy
