// SOFTMAX of int8 to int8 or int16, in gemmlowp's fixed point, and of int16 by tables. Qm.n: m integer and n
// fractional bits.
#pragma once

#include <stdint.h>

#include "reciprocal.h"
#include "requantize.h"

namespace tinydeploy {

// Each of P::kRows of P::kDepth elements. exponentials[d], Q0.31, is the exponential of the difference -d between
// an element and its row's maximum; beyond P::kExponentials it is zero. A row's element i is last read just before
// element i of the output is written: the output may lie over the input.
template <typename P, typename T>
void softmax(const int8_t* input, T* output, const int32_t* exponentials) {
  constexpr int32_t kSumIntegerBits = 12;
  constexpr int32_t kOutputMin = sizeof(T) == 1 ? INT8_MIN : INT16_MIN;
  constexpr int32_t kOutputMax = sizeof(T) == 1 ? INT8_MAX : INT16_MAX;
  constexpr int32_t kOutputBits = 8 * sizeof(T);
  for (int32_t row = 0; row < P::kRows; ++row, input += P::kDepth, output += P::kDepth) {
    int32_t largest = INT8_MIN;
    for (int32_t i = 0; i < P::kDepth; ++i) {
      largest = maximum(largest, input[i]);
    }
    int32_t sum = 0;  // Q12.19
    for (int32_t i = 0; i < P::kDepth; ++i) {
      const int32_t difference = largest - input[i];
      if (difference < P::kExponentials) {
        sum += rounding_divide_by_pot(exponentials[difference], kSumIntegerBits);
      }
    }
    // The sum is m · 2^k with m in [1, 2): its reciprocal is 1 / (1 + (m - 1)), shifted right by k.
    const int32_t headroom = leading_zeros(static_cast<uint32_t>(sum));
    const uint32_t fraction = (static_cast<uint32_t>(sum) << headroom) - (uint32_t{1} << 31);
    const int32_t reciprocal = one_over_one_plus_x(static_cast<int32_t>(fraction));
    const int32_t shift = kSumIntegerBits - headroom + 31 - kOutputBits;
    for (int32_t i = 0; i < P::kDepth; ++i) {
      const int32_t difference = largest - input[i];
      int32_t scaled = 0;
      if (difference < P::kExponentials && shift <= 31) {
        scaled = rounding_divide_by_pot(
            saturating_rounding_doubling_high_mul(reciprocal, exponentials[difference]), shift);
      }
      output[i] = static_cast<T>(clamp(scaled + kOutputMin, kOutputMin, kOutputMax));
    }
  }
}

// A function of int16 by a table of its values at every 128th, and at the end, with straight lines between.
inline int32_t interpolate(int32_t x, const int16_t* table) {
  const int16_t* entry = table + 256 + (x >> 7);
  const int32_t slope = static_cast<int16_t>(entry[1] - entry[0]);
  return static_cast<int16_t>(entry[0] + ((slope * (x & 0x7F) + 64) >> 7));
}

// Each of P::kRows of P::kDepth elements of int16. `exponentials` is 2^15 * exp(x) over x from -10 to 0,
// `reciprocals` 2^15 / (1 + x) over x from 0 to 1. A row's exponentials lie in the output until their sum is known.
// Element i is last read just before element i of the output is written: the output may lie over the input.
template <typename P>
void softmax(const int16_t* input, int16_t* output, const int16_t* exponentials, const int16_t* reciprocals) {
  for (int32_t row = 0; row < P::kRows; ++row, input += P::kDepth, output += P::kDepth) {
    int32_t largest = INT16_MIN;
    for (int32_t i = 0; i < P::kDepth; ++i) {
      largest = maximum(largest, input[i]);
    }
    int32_t sum = 0;  // Q16.15
    for (int32_t i = 0; i < P::kDepth; ++i) {
      const int32_t scaled = multiply_by_quantized_multiplier(input[i] - largest, P::kMultiplier, P::kShift);
      output[i] = static_cast<int16_t>(interpolate(clamp(scaled + INT16_MAX, INT16_MIN, INT16_MAX), exponentials));
      sum += output[i];
    }
    // The sum is m * 2^k with m in [1, 2). m - 1 is brought to all of int16.
    const int32_t headroom = leading_zeros(static_cast<uint32_t>(sum)) - 1;
    const uint32_t mantissa = ((static_cast<uint32_t>(sum) << headroom) + (uint32_t{1} << 13)) >> 14;
    const int32_t fraction = static_cast<int32_t>(mantissa) - (int32_t{3} << 15);
    const int32_t reciprocal = interpolate(clamp(fraction, INT16_MIN, INT16_MAX), reciprocals);
    const int32_t shift = 30 - headroom;
    for (int32_t i = 0; i < P::kDepth; ++i) {
      const int32_t scaled = (output[i] * reciprocal + (int32_t{1} << (shift - 1))) >> shift;
      output[i] = static_cast<int16_t>(clamp(scaled, 0, INT16_MAX));
    }
  }
}

}  // namespace tinydeploy
