// ADD and SUB of int8 tensors of one shape on cores that multiply one pair of numbers at a time: elementwise.h's Add
// with the requantisation of scalar.h, and its parameters.
//
// Elements i of both inputs are read before element i of the output is written.
#pragma once

#include <stdint.h>

#include "scalar.h"

namespace tinydeploy {

// (value - kZeroPoint) * 2^kHeadroom, times the factor.
template <int32_t kHeadroom, int32_t kZeroPoint, int32_t kMultiplier, int32_t kShift>
inline int32_t scaled_operand(int32_t value) {
  if (kMultiplier == int32_t{1} << 30 && kShift == 0) {
    return (value - kZeroPoint) * (int32_t{1} << (kHeadroom - 1));
  }
  return rounded_product<-kShift, false>((value - kZeroPoint) * (int32_t{1} << kHeadroom), kMultiplier, 0);
}

template <typename P>
inline void add_scalar(const int8_t* a, const int8_t* b, int8_t* output) {
  for (int32_t i = 0; i < P::kElements; ++i) {
    const int32_t x = scaled_operand<P::kHeadroom, P::kAZeroPoint, P::kAMultiplier, P::kAShift>(a[i]);
    const int32_t y = scaled_operand<P::kHeadroom, P::kBZeroPoint, P::kBMultiplier, P::kBShift>(b[i]);
    const int32_t sum = P::kSubtract ? x - y : x + y;
    const int32_t z =
        rounded_product<-P::kOutputShift, P::kClampsNegative>(sum, P::kOutputMultiplier, P::kOutputZeroPoint);
    output[i] = static_cast<int8_t>(clamp_to<P::kActivationMin, P::kActivationMax>(z));
  }
}

}  // namespace tinydeploy
