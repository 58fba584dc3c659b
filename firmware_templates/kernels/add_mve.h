// ADD and SUB of int8 tensors of one shape on cores with MVE: elementwise.h's Add for four elements at once, with its
// parameters.
//
// Elements i to i + 3 of both inputs are read before those of the output are written.
#pragma once

#include <stdint.h>

#include "mve.h"

namespace tinydeploy {

// (values - zero point) * 2^kHeadroom, times the factor.
template <int32_t kHeadroom, int32_t kZeroPoint, int32_t kMultiplier, int32_t kShift>
inline int32x4_t scaled_operand(int32x4_t values) {
  int32x4_t x = vaddq_n_s32(values, -kZeroPoint);
  if (kMultiplier == int32_t{1} << 30 && kShift == 0) return vshlq_n_s32(x, kHeadroom - 1);
  x = vqrdmulhq_n_s32(vshlq_n_s32(x, kHeadroom), kMultiplier);
  if (kShift == 0) return x;
  return vrshlq_n_s32(vaddq_s32(x, vshrq_n_s32(x, 31)), kShift);
}

template <typename P>
inline int32x4_t add_values(int32x4_t a, int32x4_t b) {
  const int32x4_t x = scaled_operand<P::kHeadroom, P::kAZeroPoint, P::kAMultiplier, P::kAShift>(a);
  const int32x4_t y = scaled_operand<P::kHeadroom, P::kBZeroPoint, P::kBMultiplier, P::kBShift>(b);
  const int32x4_t sum = P::kSubtract ? vsubq_s32(x, y) : vaddq_s32(x, y);
  return requantized<P>(sum, int32_t{P::kOutputMultiplier}, int32_t{P::kOutputShift});
}

template <typename P>
inline void add_mve(const int8_t* a, const int8_t* b, int8_t* output) {
  constexpr int32_t kRest = P::kElements % 4;
  for (int32_t i = 0; i < P::kElements / 4; ++i, a += 4, b += 4, output += 4) {
    vstrbq_s32(output, add_values<P>(vldrbq_s32(a), vldrbq_s32(b)));
  }
  if (kRest > 0) {
    const mve_pred16_t lanes = vctp32q(kRest);
    vstrbq_p_s32(output, add_values<P>(vldrbq_z_s32(a, lanes), vldrbq_z_s32(b, lanes)), lanes);
  }
}

}  // namespace tinydeploy
