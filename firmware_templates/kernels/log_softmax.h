// LOG_SOFTMAX of int8 in gemmlowp's fixed point. Qm.n: m integer and n fractional bits.
#pragma once

#include <stdint.h>

#include "reciprocal.h"
#include "requantize.h"

namespace tinydeploy {

// log(x) of x >= 1 in Q12.19, as Q5.26.
//
// x is 2^k * r, with r around sqrt(sqrt(1/2)): from x itself or from x * sqrt(1/2), whichever has the smaller r.
// log(r) is a rational function of q = 2 * (r - sqrt(sqrt(1/2))), from which the numerator and the denominator less 1
// come in Q0.31.
inline int32_t log_of_at_least_one(int32_t x) {
  constexpr int32_t kLog2 = 1488522236;  // Q0.31, like all that follow
  constexpr int32_t kSqrtHalf = 1518500250;
  constexpr int32_t kFourthRootOfHalf = 1805811301;
  constexpr int32_t kNumeratorCube = 117049297;
  constexpr int32_t kDenominatorSquare = 127690142;
  constexpr int32_t kDenominatorOne = 1057819769;
  constexpr int32_t kDenominatorSlope = 638450708;
  constexpr int32_t kQuarter = int32_t{1} << 23;  // Q6.25, like the powers of two
  constexpr int32_t kPower = int32_t{1} << 25;
  const auto times = saturating_rounding_doubling_high_mul;

  const int32_t zeros = leading_zeros(static_cast<uint32_t>(x));
  const int32_t whole = saturating_shift_left(times(saturating_shift_left(x, zeros - 1), kSqrtHalf), 1);
  const int32_t headroom = leading_zeros(static_cast<uint32_t>(times(x, kSqrtHalf))) - 1;
  const int32_t scaled = saturating_shift_left(x, headroom);
  const int32_t r = minimum(whole, scaled);
  const int32_t power = maximum((12 - zeros) * kPower + kQuarter, (12 - headroom) * kPower - kQuarter);

  const int32_t half = static_cast<int32_t>((int64_t{r} + kFourthRootOfHalf + 1) / 2);
  const int32_t q = 2 * (r - kFourthRootOfHalf);
  const int32_t square = times(q, q);
  const int32_t numerator = times(q, r) + times(times(q, square), kNumeratorCube);
  const int32_t denominator =
      times(half, kDenominatorOne + q + times(kDenominatorSquare, square)) + times(kDenominatorSlope, q);
  const int32_t fraction = times(rounding_divide_by_pot(numerator, 6), one_over_one_plus_x(denominator));
  return saturating_shift_left(times(power, kLog2) + fraction, 1);
}

// Each of P::kRows of P::kDepth elements, to int8 of scale 1/16 and zero point 127. exponentials[d], Q12.19, is the
// exponential of the difference -d between an element and its row's maximum, which kMultiplier and kShift bring to
// Q5.26; beyond P::kExponentials it is zero. kBackMultiplier and kBackShift turn Q5.26 into such a difference. A row's
// element i is last read just before element i of the output is written: the output may lie over the input.
template <typename P>
void log_softmax(const int8_t* input, int8_t* output, const int32_t* exponentials) {
  for (int32_t row = 0; row < P::kRows; ++row, input += P::kDepth, output += P::kDepth) {
    int32_t largest = INT8_MIN;
    for (int32_t i = 0; i < P::kDepth; ++i) {
      largest = maximum(largest, input[i]);
    }
    int32_t sum = 0;  // Q12.19
    for (int32_t i = 0; i < P::kDepth; ++i) {
      const int32_t difference = largest - input[i];
      if (difference < P::kExponentials) sum += exponentials[difference];
    }
    const int32_t log_of_sum = log_of_at_least_one(sum);
    // From here on the output is the lowest: Q5.26 ends 32 below the logarithm.
    const int32_t end = wrapping_add(INT32_MIN, log_of_sum);
    const int32_t lowest = maximum(
        -P::kExponentials, multiply_by_quantized_multiplier(end, P::kBackMultiplier, P::kBackShift));
    for (int32_t i = 0; i < P::kDepth; ++i) {
      const int32_t difference = input[i] - largest;
      int32_t scaled = INT8_MIN;
      if (difference > lowest) {
        const int32_t x = multiply_by_quantized_multiplier(difference, P::kMultiplier, P::kShift);
        scaled = rounding_divide_by_pot(wrapping_add(x, -log_of_sum), 22) + INT8_MAX;
      }
      output[i] = static_cast<int8_t>(clamp(scaled, INT8_MIN, INT8_MAX));
    }
  }
}

}  // namespace tinydeploy
