// L2_NORMALIZATION of int8, in gemmlowp's fixed point. Qm.n: m integer and n fractional bits.
#pragma once

#include <stdint.h>

#include "requantize.h"

namespace tinydeploy {

// A factor as multiply_by_quantized_multiplier takes it.
struct Factor {
  int32_t multiplier;
  int32_t shift;
};

// 1 / sqrt(x), by five Newton-Raphson steps from 1; of 0 as of 1.
inline Factor one_over_sqrt(int32_t x) {
  if (x <= 1) return {INT32_MAX, 0};
  int32_t right = 11;
  for (; x >= (int32_t{1} << 29); ++right) x /= 4;
  for (; x < (int32_t{1} << 27); --right) x *= 4;
  constexpr int32_t kHalfThree = (int32_t{1} << 28) + (int32_t{1} << 27);  // Q3.28
  const int32_t half = rounding_divide_by_pot(x >> 1, 1);
  int32_t y = int32_t{1} << 28;
  for (int32_t step = 0; step < 5; ++step) {
    const int32_t square = saturating_rounding_doubling_high_mul(y, y);                            // Q6.25
    const int32_t cube = saturating_shift_left(saturating_rounding_doubling_high_mul(square, y), 6);  // Q9.22 to Q3.28
    const int32_t next = saturating_rounding_doubling_high_mul(kHalfThree, y) -
                         saturating_rounding_doubling_high_mul(half, cube);
    y = saturating_shift_left(next, 3);
  }
  constexpr int32_t kHalfSqrt2 = 1518500250;  // Q0.31
  y = saturating_rounding_doubling_high_mul(y, kHalfSqrt2);
  return right < 0 ? Factor{y * (int32_t{1} << -right), 0} : Factor{y, -right};
}

// Each of P::kRows of P::kDepth elements, less P::kInputZeroPoint, divided by the row's length, times 128. A row's
// element i is last read just before element i of the output is written: the output may lie over the input.
template <typename P>
void l2_normalization(const int8_t* input, int8_t* output) {
  constexpr int32_t kOutputBits = 7;
  for (int32_t row = 0; row < P::kRows; ++row, input += P::kDepth, output += P::kDepth) {
    int32_t sum = 0;
    for (int32_t i = 0; i < P::kDepth; ++i) {
      const int32_t x = input[i] - P::kInputZeroPoint;
      sum += x * x;
    }
    const Factor factor = one_over_sqrt(sum);
    for (int32_t i = 0; i < P::kDepth; ++i) {
      const int32_t x = input[i] - P::kInputZeroPoint;
      const int32_t scaled =
          multiply_by_quantized_multiplier(x, factor.multiplier, factor.shift + kOutputBits);
      output[i] = static_cast<int8_t>(clamp(scaled, INT8_MIN, INT8_MAX));
    }
  }
}

}  // namespace tinydeploy
