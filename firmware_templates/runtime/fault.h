// What a faulting core leaves behind, in the order of docs/protocol.md.
#pragma once

#include <stdint.h>

namespace tinydeploy {
namespace fault {

enum class Architecture : uint8_t { kArm = 1, kRiscv = 2, kXtensa = 3 };

// Reports the registers to the host, again and again whenever it says something. Needs no working stack but its
// caller's, and nothing of the program that failed.
[[noreturn]] void report(Architecture architecture, const uint32_t* registers, uint32_t count);

}  // namespace fault
}  // namespace tinydeploy
