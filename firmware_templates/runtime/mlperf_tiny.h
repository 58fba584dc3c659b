// Instead of serving tinydeploy's host, a firmware built with TINYDEPLOY_MLPERF_TINY speaks the device protocol of MLPerf
// Tiny: lines of text, see docs/mlperf.md.
#pragma once

#include <stdint.h>

namespace tinydeploy {
namespace mlperf_tiny {

[[noreturn]] void run();

// Says where the core faulted, and that no more answers will come.
[[noreturn]] void report_fault(uint32_t pc);

}  // namespace mlperf_tiny
}  // namespace tinydeploy
