// DIV of int8 in gemmlowp's fixed point. Output elements are made in order, each written after its operands have been
// read: the output may lie over an operand.
#pragma once

#include <stdint.h>

#include "elementwise.h"
#include "reciprocal.h"

namespace tinydeploy {

// rounding_divide_by_pot up to 31. For exponents from 32 to 63 C++ says nothing; TFLite Micro's comes to this on a
// host, where a shift takes five bits of its count.
inline int32_t divide_by_any_pot(int32_t x, int32_t exponent) {
  return exponent <= 31 ? rounding_divide_by_pot(x, exponent) : wrapping_add(x >> (exponent & 31), x >= 0 ? 1 : 0);
}

// P says kAZeroPoint, kBZeroPoint, and the output's zero point, multiplier, shift and activation. What is divided by
// zero is as far from zero as the output goes; zero by zero is zero.
template <typename P>
struct Divide {
  int8_t operator()(int8_t a, int8_t b) const {
    int32_t x = int32_t{a} - P::kAZeroPoint;
    int32_t y = int32_t{b} - P::kBZeroPoint;
    if (y == 0) return static_cast<int8_t>(output(x > 0 ? UINT8_MAX : x < 0 ? -UINT8_MAX : 0));
    if (y < 0) {
      x = -x;
      y = -y;
    }
    // y is m * 2^k with m in [1, 2): its reciprocal is 1 / (1 + (m - 1)), shifted right by k.
    const int32_t zeros = leading_zeros(static_cast<uint32_t>(y));
    const uint32_t fraction = (static_cast<uint32_t>(y) << zeros) - (uint32_t{1} << 31);
    const int32_t reciprocal = one_over_one_plus_x(static_cast<int32_t>(fraction));
    const int32_t magnitude = x < 0 ? -x - 1 : x;
    const int32_t headroom = magnitude == 0 ? 31 : leading_zeros(static_cast<uint32_t>(magnitude)) - 1;
    const int32_t quotient =
        saturating_rounding_doubling_high_mul(wrapping_shift_left(x, headroom), reciprocal);
    return static_cast<int8_t>(
        output(divide_by_any_pot(saturating_rounding_doubling_high_mul(quotient, P::kOutputMultiplier),
                                 31 - zeros + headroom - P::kOutputShift)));
  }

 private:
  static int32_t output(int32_t x) {
    return clamp(wrapping_add(x, P::kOutputZeroPoint), P::kActivationMin, P::kActivationMax);
  }
};

template <typename P>
void divide(const int8_t* a, const int8_t* b, int8_t* output) {
  elementwise<P>(a, b, output, Divide<P>());
}
template <typename P>
void divide_broadcast(const int8_t* a, const int8_t* b, int8_t* output) {
  broadcast<P>(a, b, output, Divide<P>());
}

}  // namespace tinydeploy
