// The fixed-point arithmetic of TFLite's integer kernels, rounding for rounding.
//
// A real factor is a multiplier of 31 fractional bits in [2^30, 2^31) and a power of two, its shift
// (positive: to the left). The product is rounded twice, as gemmlowp defines it: to the high word, then by
// the shift. Accumulators are unsigned, because TFLite's wrap around and signed overflow is undefined.
#pragma once

#include <stdint.h>

#include "xtensa_core.h"

namespace tinydeploy {

constexpr int32_t minimum(int32_t a, int32_t b) { return a < b ? a : b; }
constexpr int32_t maximum(int32_t a, int32_t b) { return a > b ? a : b; }
constexpr int32_t clamp(int32_t x, int32_t low, int32_t high) { return minimum(maximum(x, low), high); }

// A constant that GCC should not add in parts, as immediates, where it is needed often.
inline int32_t in_register(int32_t constant) {
#if defined(__thumb2__)
  asm("" : "+r"(constant));
#endif
  return constant;
}

// x * 2^-kRight, down, clamped to constants of eight bits.
template <int32_t kLow, int32_t kHigh, int32_t kRight = 0>
inline int32_t clamp_to(int32_t x) {
#if defined(__ARM_FEATURE_SAT)
  if constexpr (kRight > 0) {
    asm("ssat %0, #8, %1, asr %2" : "=r"(x) : "r"(x), "i"(kRight));
  } else {
    asm("ssat %0, #8, %1" : "=r"(x) : "r"(x));
  }
  if (kLow > INT8_MIN) x = maximum(x, kLow);
  return kHigh < INT8_MAX ? minimum(x, kHigh) : x;
#elif defined(__XTENSA__) && XCHAL_HAVE_CLAMPS
  asm("clamps %0, %1, 7" : "=r"(x) : "r"(x >> kRight));
  if (kLow > INT8_MIN) x = maximum(x, kLow);
  return kHigh < INT8_MAX ? minimum(x, kHigh) : x;
#else
  return clamp(x >> kRight, kLow, kHigh);
#endif
}

// Of a number that is not zero. An int has 16 bits on AVR.
inline int32_t leading_zeros(uint32_t x) { return sizeof(x) == sizeof(int) ? __builtin_clz(x) : __builtin_clzl(x); }

// x + y and x * 2^bits modulo 2^32.
inline int32_t wrapping_add(int32_t x, int32_t y) {
  return static_cast<int32_t>(static_cast<uint32_t>(x) + static_cast<uint32_t>(y));
}
inline int32_t wrapping_shift_left(int32_t x, int32_t bits) {
  return static_cast<int32_t>(static_cast<uint32_t>(x) << bits);
}

// x * multiplier * 2^-31, ties upwards; not both may be INT32_MIN.
inline int32_t rounding_doubling_high_mul(int32_t x, int32_t multiplier) {
  return static_cast<int32_t>((static_cast<int64_t>(x) * multiplier + (int64_t{1} << 30)) >> 31);
}

// The same of any two: the one product that overflows saturates.
inline int32_t saturating_rounding_doubling_high_mul(int32_t x, int32_t y) {
  return x == INT32_MIN && y == INT32_MIN ? INT32_MAX : rounding_doubling_high_mul(x, y);
}

// x * 2^bits, saturated.
inline int32_t saturating_shift_left(int32_t x, int32_t bits) {
  const int32_t limit = INT32_MAX >> bits;
  return x > limit ? INT32_MAX : x < -limit - 1 ? INT32_MIN : x * (int32_t{1} << bits);
}

// x / 2^exponent, ties away from zero; 0 <= exponent <= 31.
inline int32_t rounding_divide_by_pot(int32_t x, int32_t exponent) {
  const int32_t mask = static_cast<int32_t>((uint32_t{1} << exponent) - 1);
  const int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
  return (x >> exponent) + ((x & mask) > threshold ? 1 : 0);
}

// x * multiplier * 2^(shift - 31).
inline int32_t multiply_by_quantized_multiplier(int32_t x, int32_t multiplier, int32_t shift) {
  const int32_t left = maximum(shift, 0);
  const int32_t right = maximum(-shift, 0);
  return rounding_divide_by_pot(
      saturating_rounding_doubling_high_mul(wrapping_shift_left(x, left), multiplier), right);
}

// An accumulator as the kernel's output: scaled, moved by the output's zero point, clamped by the activation.
// P says kOutputZeroPoint, kActivationMin, kActivationMax, and kLeftShift: whether any shift is positive. The
// multiplier is positive.
template <typename P, typename T = int8_t>
inline T requantize(uint32_t accumulator, int32_t multiplier, int32_t shift) {
  const int32_t x = static_cast<int32_t>(accumulator);
  const int32_t scaled =
      P::kLeftShift
          ? multiply_by_quantized_multiplier(x, multiplier, shift)
          : rounding_divide_by_pot(rounding_doubling_high_mul(x, multiplier), -shift);
  return static_cast<T>(
      clamp(wrapping_add(scaled, P::kOutputZeroPoint), P::kActivationMin, P::kActivationMax));
}

// x * multiplier * 2^-shift, ties upwards, wrapping around; x has at most 48 bits, the multiplier 15.
inline int32_t multiply_wide(int64_t x, int32_t multiplier, int32_t shift) {
  return static_cast<int32_t>((x * multiplier + (int64_t{1} << (shift - 1))) >> shift);
}

// The same of a sum of int16 products: its multiplier has 15 fractional bits, its shift is all of the shift to the
// right, and the output's zero point is 0.
template <typename P, typename T = int16_t>
inline T requantize(int64_t accumulator, int32_t multiplier, int32_t shift) {
  return static_cast<T>(clamp(multiply_wide(accumulator, multiplier, shift), P::kActivationMin, P::kActivationMax));
}

}  // namespace tinydeploy
