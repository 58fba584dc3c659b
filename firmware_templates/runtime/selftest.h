// Instead of serving a host, a firmware built with TINYDEPLOY_SELFTEST runs samples that it contains and prints
// the outcome as lines of text, for test tools that watch a UART.
#pragma once

#include <stdint.h>

namespace tinydeploy {
namespace selftest {

// Generated. One sample after another; a sample is its input tensors one after another, or its outputs.
extern const uint32_t kSamples;
extern const uint8_t kInputs[];
extern const uint8_t kExpected[];

[[noreturn]] void run();

// Says where the core faulted, and that the test has failed.
[[noreturn]] void report_fault(uint32_t pc);

}  // namespace selftest
}  // namespace tinydeploy
