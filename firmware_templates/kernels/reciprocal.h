// Reciprocals in gemmlowp's fixed point. Qm.n: m integer and n fractional bits.
#pragma once

#include <stdint.h>

#include "requantize.h"

namespace tinydeploy {

// 1 / (1 + x) of x in [0, 1), both Q0.31, by three Newton-Raphson steps from 48/17 - 32/17 · d, where d = (1 + x) / 2.
inline int32_t one_over_one_plus_x(int32_t x) {
  const int32_t half_denominator = static_cast<int32_t>((int64_t{x} + INT32_MAX + 1) / 2);
  constexpr int32_t k48Over17 = 1515870810;     // Q2.29
  constexpr int32_t kMinus32Over17 = -1010580540;
  constexpr int32_t kOne = int32_t{1} << 29;
  int32_t y = k48Over17 + saturating_rounding_doubling_high_mul(half_denominator, kMinus32Over17);
  for (int step = 0; step < 3; ++step) {
    const int32_t error = kOne - saturating_rounding_doubling_high_mul(half_denominator, y);
    // The product is Q4.27; back to Q2.29, where it is too small to saturate.
    y += saturating_rounding_doubling_high_mul(y, error) * 4;
  }
  // y is 2 / (1 + x) in Q2.29, which is half of it in Q1.30; to Q0.31.
  return y >= (int32_t{1} << 30) ? INT32_MAX : y * 2;
}

}  // namespace tinydeploy
