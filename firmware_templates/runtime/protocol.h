// The words of the protocol between host and device. docs/protocol.md says what they mean.
#pragma once

#include <stdint.h>

namespace tinydeploy {

constexpr uint8_t kProtocolVersion = 3;

enum class Kind : uint8_t {
  // Requests; the reply has kReply set.
  kHello = 0x01,
  kSetup = 0x02,
  kWrite = 0x03,
  kInvoke = 0x04,
  kRead = 0x05,
  kOps = 0x06,
  kStats = 0x07,
  kReset = 0x08,
  // Said by the device alone.
  kOutOfOrder = 0xc0,
  kNoSession = 0xc1,
  kLog = 0xc2,
  kFault = 0xc3,
};
constexpr uint8_t kReply = 0x80;

// First byte of a reply's payload: a tinydeploy::Status, or why the request was not executed.
enum class Refusal : uint8_t {
  kNone = 0,
  kBadRequest = 0x40,  // unknown kind, wrong length, index or range
  kNotSetUp = 0x41,    // no SETUP has succeeded
};

}  // namespace tinydeploy
