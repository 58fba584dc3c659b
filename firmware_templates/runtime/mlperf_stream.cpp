#include "mlperf_stream.h"

#include "board.h"

#if TINYDEPLOY_MLPERF_STREAM

#include "engine.h"
#include "log_mel.h"
#include "log_mel_tables.h"
#include "mlperf_tiny_model.h"

namespace tinydeploy {
namespace mlperf_stream {
namespace {

using mlperf_tiny::Input;
using mlperf_tiny::Output;
using mlperf_tiny::kInputs;

constexpr uint32_t kStride = log_mel::kStride, kWindow = log_mel::kWindow, kBands = log_mel::kBands;

int16_t window[kWindow + 1];  // and the sample before it
Input recent[kInputs];         // features of the frames that the model takes, the last one's at the end
bool at_beginning;

// Towards zero, as the benchmark does it; within the type, where the benchmark's is left open.
Input quantized(float feature) {
  constexpr int32_t kLeast = Input(-1) < 0 ? -128 : 0;
  const float scaled = feature / mlperf_tiny::kInputScale + mlperf_tiny::kInputZeroPoint;
  if (!(scaled > kLeast)) return static_cast<Input>(kLeast);
  return static_cast<Input>(scaled < kLeast + 255 ? static_cast<int32_t>(scaled) : kLeast + 255);
}

}  // namespace

void begin() {
  for (int16_t& sample : window) sample = 0;
  for (Input& feature : recent) feature = 0;
  at_beginning = true;
  engine::reset();
}

bool hear(const uint8_t* sound) {
  for (uint32_t i = 0; i <= kWindow - kStride; ++i) window[i] = window[i + kStride];
  for (uint32_t i = 0; i < kStride; ++i) {
    window[kWindow + 1 - kStride + i] = static_cast<int16_t>(sound[2 * i] | sound[2 * i + 1] << 8);
  }
  float found[kBands];
  log_mel::features(window, found);
  for (uint32_t i = 0; i < kInputs - kBands; ++i) recent[i] = recent[i + kBands];
  for (uint32_t i = 0; i < kBands; ++i) recent[kInputs - kBands + i] = quantized(found[i]);
  auto* input = reinterpret_cast<Input*>(engine::input(0).data);
  for (uint32_t i = 0; i < kInputs; ++i) input[i] = recent[i];
  return engine::invoke() == Status::kOk;
}

int32_t feature(uint32_t index) { return recent[kInputs - kBands + index]; }

int32_t score(uint32_t index) { return reinterpret_cast<const Output*>(engine::output(0).data)[index]; }

bool is_detection() {
  const bool was_first = at_beginning;
  at_beginning = false;
  return score(0) > mlperf_tiny::kThreshold || was_first;
}

}  // namespace mlperf_stream
}  // namespace tinydeploy

#endif
