// QUANTIZE, DEQUANTIZE and the RELU family, where the input is not an 8-bit integer that a table could serve, and CAST.
// Element i is read, then written, in order: the output may lie over the input.
#pragma once

#include <stdint.h>

#include "requantize.h"

namespace tinydeploy {

// x / kScale + kZeroPoint, ties away from zero, saturated; NaN becomes the zero point.
template <typename P>
inline int32_t quantized(float x) {
  // Beyond any 16-bit type's range, within int32's, whatever the zero point.
  constexpr float kLimit = 131072.0f;
  const float scaled = x / P::kScale;
  int32_t quotient = 0;
  if (scaled >= kLimit) {
    quotient = 131072;
  } else if (scaled <= -kLimit) {
    quotient = -131072;
  } else if (scaled == scaled) {
    quotient = static_cast<int32_t>(scaled);
    const float rest = scaled - static_cast<float>(quotient);  // exact
    quotient += rest >= 0.5f ? 1 : rest <= -0.5f ? -1 : 0;
  }
  return clamp(quotient + P::kZeroPoint, P::kOutputMin, P::kOutputMax);
}

template <typename P, typename T>
void quantize(const float* input, T* output) {
  for (int32_t i = 0; i < P::kElements; ++i) {
    output[i] = static_cast<T>(quantized<P>(input[i]));
  }
}

// From one integer quantisation to another.
template <typename P, typename Input, typename Output>
void rescale(const Input* input, Output* output) {
  for (int32_t i = 0; i < P::kElements; ++i) {
    const int32_t centred = wrapping_add(input[i], -P::kInputZeroPoint);
    const int32_t scaled = multiply_by_quantized_multiplier(centred, P::kMultiplier, P::kShift);
    output[i] = static_cast<Output>(
        clamp(wrapping_add(scaled, P::kOutputZeroPoint), P::kOutputMin, P::kOutputMax));
  }
}

// LEAKY_RELU: another factor below the zero point, kNegativeMultiplier and kNegativeShift.
template <typename P, typename T>
void leaky_rescale(const T* input, T* output) {
  for (int32_t i = 0; i < P::kElements; ++i) {
    const int32_t x = input[i] - P::kInputZeroPoint;
    const int32_t scaled =
        x >= 0 ? multiply_by_quantized_multiplier(x, P::kMultiplier, P::kShift)
               : multiply_by_quantized_multiplier(x, P::kNegativeMultiplier, P::kNegativeShift);
    output[i] = static_cast<T>(clamp(wrapping_add(scaled, P::kOutputZeroPoint), P::kOutputMin, P::kOutputMax));
  }
}

// The integers as they are, between kOutputMin and kOutputMax.
template <typename P, typename T>
void clip(const T* input, T* output) {
  for (int32_t i = 0; i < P::kElements; ++i) {
    output[i] = static_cast<T>(clamp(input[i], P::kOutputMin, P::kOutputMax));
  }
}

// output[i] = kScale * (input[i] - kZeroPoint). The difference has at most 17 bits, so the product is rounded once.
template <typename P, typename T>
void dequantize(const T* input, float* output) {
  for (int32_t i = 0; i < P::kElements; ++i) {
    output[i] = P::kScale * static_cast<float>(input[i] - P::kZeroPoint);
  }
}

// The integers as they are, modulo the output's range.
template <typename P, typename Input, typename Output>
void cast(const Input* input, Output* output) {
  for (int32_t i = 0; i < P::kElements; ++i) {
    output[i] = static_cast<Output>(input[i]);
  }
}

}  // namespace tinydeploy
