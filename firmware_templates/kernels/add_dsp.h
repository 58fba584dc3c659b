// ADD and SUB of int8 tensors of one shape on cores with the DSP extension: elementwise.h's Add in about 17
// instructions per output, with its parameters.
//
// Elements i of both inputs are read before element i of the output is written.
#pragma once

#include <stdint.h>

#include "dsp.h"

namespace tinydeploy {

// x / 2^kShift, ties away from zero. The host has made sure that adding half a step does not overflow.
template <int32_t kShift>
inline int32_t rounded_shift(int32_t x) {
  if (kShift == 0) return x;
  return (x + (x >> 31) + (int32_t{1} << kShift >> 1)) >> kShift;
}

// (value - kZeroPoint) * 2^kHeadroom, times the factor: SMMULR takes back the bit that a doubling high product has.
template <int32_t kHeadroom, int32_t kZeroPoint, int32_t kMultiplier, int32_t kShift>
inline int32_t scaled_operand(int32_t value) {
  if (kMultiplier == int32_t{1} << 30 && kShift == 0) {
    return (value - kZeroPoint) * (int32_t{1} << (kHeadroom - 1));
  }
  return rounded_shift<-kShift>(smmulr((value - kZeroPoint) * (int32_t{2} << kHeadroom), kMultiplier));
}

template <typename P>
inline void add_dsp(const int8_t* a, const int8_t* b, int8_t* output) {
  constexpr int32_t kRounding = ((2 * P::kOutputZeroPoint + 1) * (int32_t{1} << -P::kOutputShift)) >> 1;
#pragma GCC unroll 4
  for (int32_t i = 0; i < P::kElements; ++i) {
    const int32_t x = scaled_operand<P::kHeadroom, P::kAZeroPoint, P::kAMultiplier, P::kAShift>(a[i]);
    const int32_t y = scaled_operand<P::kHeadroom, P::kBZeroPoint, P::kBMultiplier, P::kBShift>(b[i]);
    const int32_t sum = (P::kSubtract ? x - y : x + y) * 2;
    const int32_t addend = P::kClampsNegative ? kRounding : kRounding + (sum >> 31);
    int32_t z = ssat8(smmlar(sum, P::kOutputMultiplier, addend) >> -P::kOutputShift);
    if (P::kActivationMin > INT8_MIN) z = z < P::kActivationMin ? P::kActivationMin : z;
    if (P::kActivationMax < INT8_MAX) z = z > P::kActivationMax ? P::kActivationMax : z;
    output[i] = static_cast<int8_t>(z);
  }
}

}  // namespace tinydeploy
