// From reset to main(): what all architectures have in common.
#pragma once

#include <stdint.h>

extern "C" {
// Defined by the linker script.
extern uint32_t __stack_start[], __stack_end[];
extern uint32_t __data_start[], __data_end[], __data_load[];
extern uint32_t __bss_start[], __bss_end[];
// Not addresses of anything: the values that the linker was given.
extern const uint8_t __flash_origin[], __flash_len[];
using Initializer = void (*)();
extern Initializer __init_array_start[], __init_array_end[];

// The reset handler.
void tinydeploy_start();
}

int main();

namespace tinydeploy {

constexpr uint32_t kStackPaint = 0xc5c5c5c5;

// Sets up memory and runs main(). The caller has a stack, and has enabled the FPU.
[[noreturn]] inline void run_main(uint32_t* stack_pointer) {
  // Through volatile pointers, else the compiler calls memcpy and memset, whose frames lie where this paints.
  for (volatile uint32_t* word = __stack_start; word < stack_pointer; ++word) *word = kStackPaint;
  const uint32_t* from = __data_load;
  for (volatile uint32_t* word = __data_start; word < __data_end; ++word) *word = *from++;
  for (volatile uint32_t* word = __bss_start; word < __bss_end; ++word) *word = 0;
  for (Initializer* initialize = __init_array_start; initialize < __init_array_end; ++initialize) (*initialize)();
  main();
  for (;;) {
  }
}

}  // namespace tinydeploy
