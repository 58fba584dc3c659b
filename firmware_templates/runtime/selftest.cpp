#include "selftest.h"

#if TINYDEPLOY_SELFTEST

#include "arena.h"
#include "board.h"
#include "engine.h"
#include "measure.h"
#include "print.h"

namespace tinydeploy {
namespace selftest {
namespace {

[[noreturn]] void end(const char* verdict) {
  print("tinydeploy: selftest ");
  print(verdict);
  print("\r\n");
  for (;;) asm volatile("");
}

// How many bytes of this sample's outputs are not what they should be. Steps `expected` on.
uint32_t differences(const uint8_t*& expected) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < engine::kDescription.outputs; ++i) {
    const Span output = engine::output(i);
    for (uint32_t at = 0; at < output.bytes; ++at) count += output.data[at] != *expected++;
  }
  return count;
}

}  // namespace

void run() {
  print("tinydeploy: selftest of ");
  print(kSamples);
  print(" samples\r\n");
  // An arena that is not planned has all RAM that is left, as nobody is there to name its size.
  arena::paint(arena::capacity());
  if (engine::setup(arena::begin(), arena::capacity()) != Status::kOk) end("failed: the arena is too small");

  const uint8_t* input = kInputs;
  const uint8_t* expected = kExpected;
  uint32_t wrong = 0;
  uint64_t most = 0;
  for (uint32_t sample = 1; sample <= kSamples; ++sample) {
    engine::reset();
    for (uint32_t i = 0; i < engine::kDescription.inputs; ++i) {
      const Span tensor = engine::input(i);
      for (uint32_t at = 0; at < tensor.bytes; ++at) tensor.data[at] = *input++;
    }
    const measure::Inference inference = measure::invoke(false);
    if (inference.status != Status::kOk) end("failed: an inference does not finish");
    if (inference.count > most) most = inference.count;
    const uint32_t different = differences(expected);
    print("tinydeploy: sample ");
    print(sample);
    if (different == 0) {
      print(" ok\r\n");
    } else {
      ++wrong;
      print(" wrong in ");
      print(different);
      print(" bytes\r\n");
    }
  }
  print(TINYDEPLOY_COUNTS_INSTRUCTIONS ? "tinydeploy: instructions " : "tinydeploy: cycles ");
  print(most);
  print("\r\n");
  end(wrong == 0 ? "passed" : "failed");
}

void report_fault(uint32_t pc) {
  print("\r\ntinydeploy: fault at 0x");
  print(pc, 16);
  print("\r\n");
  end("failed");
}

}  // namespace selftest
}  // namespace tinydeploy

#endif
