// The fixed-point arithmetic of TFLite's integer kernels, rounding for rounding.
//
// A real factor is a multiplier of 31 fractional bits in [2^30, 2^31) and a power of two, its shift
// (positive: to the left). The product is rounded twice, as gemmlowp defines it: to the high word, then by
// the shift. Accumulators are unsigned, because TFLite's wrap around and signed overflow is undefined.
#pragma once

#include <stdint.h>

namespace tinydeploy {

constexpr int32_t minimum(int32_t a, int32_t b) { return a < b ? a : b; }
constexpr int32_t maximum(int32_t a, int32_t b) { return a > b ? a : b; }
constexpr int32_t clamp(int32_t x, int32_t low, int32_t high) { return minimum(maximum(x, low), high); }

// x clamped to constants of eight bits.
template <int32_t kLow, int32_t kHigh>
inline int32_t clamp_to(int32_t x) {
#if defined(__ARM_FEATURE_SAT)
  asm("ssat %0, #8, %1" : "=r"(x) : "r"(x));
  if (kLow > INT8_MIN) x = maximum(x, kLow);
  return kHigh < INT8_MAX ? minimum(x, kHigh) : x;
#else
  return clamp(x, kLow, kHigh);
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

}  // namespace tinydeploy
