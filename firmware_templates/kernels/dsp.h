// Arm's DSP extension (Cortex-M4, M7, M33): instructions on two int16 in one word, with the same in portable C++.
//
// The kernels that use it keep eight-bit values as pairs of int16, because SMLAD multiplies and adds two pairs at
// once. SXTB16 makes such pairs from a word of four values: (0, 2), and after a rotation (1, 3).
#pragma once

#include <stdint.h>

namespace tinydeploy {

// Four int8 as one word, from any address.
inline uint32_t load_word(const int8_t* from) {
  uint32_t word;
  __builtin_memcpy(&word, from, 4);
  return word;
}

#if defined(__ARM_FEATURE_DSP)

// Bytes 0 and 2 of x as int16.
inline uint32_t sxtb16(uint32_t x) {
  uint32_t pair;
  asm("sxtb16 %0, %1" : "=r"(pair) : "r"(x));
  return pair;
}

// Bytes 1 and 3 of x as int16.
inline uint32_t sxtb16_odd(uint32_t x) {
  uint32_t pair;
  asm("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(x));
  return pair;
}

// sum + both products of the pairs x and y.
inline int32_t smlad(uint32_t x, uint32_t y, int32_t sum) {
  asm("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(x), "r"(y));
  return sum;
}

// x * y * 2^-32, ties upwards.
inline int32_t smmulr(int32_t x, int32_t y) {
  int32_t high;
  asm("smmulr %0, %1, %2" : "=r"(high) : "r"(x), "r"(y));
  return high;
}

// x saturated to int8.
inline int32_t ssat8(int32_t x) {
  int32_t y;
  asm("ssat %0, #8, %1" : "=r"(y) : "r"(x));
  return y;
}

#else

inline int32_t low_half(uint32_t pair) { return static_cast<int16_t>(pair & 0xFFFF); }
inline int32_t high_half(uint32_t pair) { return static_cast<int16_t>(pair >> 16); }
inline uint32_t make_pair(int32_t low, int32_t high) {
  return (static_cast<uint32_t>(high) << 16) | (static_cast<uint32_t>(low) & 0xFFFF);
}

inline uint32_t sxtb16(uint32_t x) {
  return make_pair(static_cast<int8_t>(x & 0xFF), static_cast<int8_t>(x >> 16 & 0xFF));
}
inline uint32_t sxtb16_odd(uint32_t x) { return sxtb16(x >> 8); }
inline int32_t smlad(uint32_t x, uint32_t y, int32_t sum) {
  const uint32_t low = static_cast<uint32_t>(low_half(x) * low_half(y));
  const uint32_t high = static_cast<uint32_t>(high_half(x) * high_half(y));
  return static_cast<int32_t>(static_cast<uint32_t>(sum) + low + high);
}
inline int32_t smmulr(int32_t x, int32_t y) {
  return static_cast<int32_t>((static_cast<int64_t>(x) * y + (int64_t{1} << 31)) >> 32);
}
inline int32_t ssat8(int32_t x) { return x < INT8_MIN ? INT8_MIN : x > INT8_MAX ? INT8_MAX : x; }

#endif

// What an output channel needs lies in a table: the bias with the input's zero point folded in, and if P::kPerChannel
// the multiplier before it and the right shift below it, in five bits. Otherwise P says kMultiplier and kShift.
template <typename P>
constexpr int32_t kChannelWords = P::kPerChannel ? 2 : 1;

template <typename P>
inline int32_t channel_bias(const int32_t* channel) {
  return P::kPerChannel ? channel[1] >> 5 : channel[0];
}

// TFLite's requantisation in six or seven instructions. The host has made sure that |sum| < 2^30, that no shift is
// to the left, and that adding the rounding does not overflow. SMMULR of the doubled sum is the rounding doubling
// high product. To round the shift half away from zero, a negative value is made one less first; not if
// P::kClampsNegative says that the activation clamps all of them to the zero point in any case.
template <typename P>
struct Requantization {
  explicit Requantization(const int32_t* channel)
      : multiplier(P::kPerChannel ? channel[0] : P::kMultiplier),
        shift(P::kPerChannel ? channel[1] & 31 : P::kShift),
        // 2^(shift - 1), and the zero point * 2^shift.
        rounding(static_cast<int32_t>(static_cast<uint32_t>(2 * P::kOutputZeroPoint + 1) << shift) >> 1) {}

  int8_t operator()(int32_t sum) const {
    int32_t x = smmulr(sum * 2, multiplier);
    if (!P::kClampsNegative) x += x >> 31;
    x = ssat8((x + rounding) >> shift);
    if (P::kActivationMin > INT8_MIN) x = x < P::kActivationMin ? P::kActivationMin : x;
    if (P::kActivationMax < INT8_MAX) x = x > P::kActivationMax ? P::kActivationMax : x;
    return static_cast<int8_t>(x);
  }

  int32_t multiplier;
  int32_t shift;
  int32_t rounding;
};

}  // namespace tinydeploy
