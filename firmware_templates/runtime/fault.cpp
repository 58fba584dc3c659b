#include "fault.h"

#include "board.h"
#include "frame.h"
#include "mlperf_tiny.h"
#include "port/link.h"
#include "protocol.h"
#include "session.h"
#include "selftest.h"

namespace tinydeploy {
namespace fault {

[[noreturn]] void report(Architecture architecture, const uint32_t* registers, uint32_t count) {
#if TINYDEPLOY_SELFTEST || TINYDEPLOY_MLPERF_TINY
  const uint32_t pc = registers[architecture == Architecture::kArm ? 6 : 1];
#if TINYDEPLOY_SELFTEST
  selftest::report_fault(pc);
#else
  mlperf_tiny::report_fault(pc);
#endif
#endif
  constexpr uint32_t kMaxRegisters = 14;
  constexpr size_t kMaxBytes = 3 + 4 * kMaxRegisters;
  uint8_t body[kMaxBytes + frame::kTrailer];
  body[0] = static_cast<uint8_t>(Kind::kFault);
  body[2] = static_cast<uint8_t>(architecture);
  size_t bytes = 3;
  for (uint32_t i = 0; i < count && i < kMaxRegisters; ++i, bytes += 4) frame::store32(body + bytes, registers[i]);
  uint8_t encoded[1 + sizeof(body) + 2];
  encoded[0] = 0;  // ends the frame that was being sent, if any
  const size_t length = 1 + frame::encode(body, bytes, request_due(), encoded + 1);
  for (;;) {
    link::write(encoded, length);
    uint8_t byte;
    do link::read(&byte, 1);
    while (byte != 0);
  }
}

}  // namespace fault
}  // namespace tinydeploy
