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

// x * y * 2^-32, ties upwards, added to sum.
inline int32_t smmlar(int32_t x, int32_t y, int32_t sum) {
  int32_t high;
  asm("smmlar %0, %1, %2, %3" : "=r"(high) : "r"(x), "r"(y), "r"(sum));
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
inline int32_t smmlar(int32_t x, int32_t y, int32_t sum) {
  return sum + static_cast<int32_t>((static_cast<int64_t>(x) * y + (int64_t{1} << 31)) >> 32);
}
inline int32_t ssat8(int32_t x) { return x < INT8_MIN ? INT8_MIN : x > INT8_MAX ? INT8_MAX : x; }

#endif

// The weights of two channels and a pair of inputs, and on to the next pair.
template <bool kWide>
struct Couple {
  explicit Couple(const int8_t*& weights) {
    const uint32_t word = load_word(weights);
    v = kWide ? word : sxtb16(word);
    w = kWide ? load_word(weights + 4) : sxtb16_odd(word);
    weights += kWide ? 8 : 4;
  }

  uint32_t v;
  uint32_t w;
};

// What an output channel needs lies in a table: the bias with the input's zero point folded in, and if kPerChannel
// the multiplier before it and the right shift below it, in five bits. Otherwise the layer has multiplier and shift.
//
// A kernel's flags are all that its code depends on besides loops, so that layers share it. With kWide, weights lie in
// flash as int16, they and the bias doubled, as the requantisation wants the sum.
constexpr int32_t kPerChannel = 1;
constexpr int32_t kClampsNegative = 2;
constexpr int32_t kBounded = 4;
constexpr int32_t kOddDepth = 8;
constexpr int32_t kWide = 16;

template <typename P>
constexpr int32_t kFlags = (P::kPerChannel ? kPerChannel : 0) | (P::kClampsNegative ? kClampsNegative : 0) |
                           (P::kActivationMin > INT8_MIN || P::kActivationMax < INT8_MAX ? kBounded : 0) |
                           (P::kOutputDepth % 2 == 1 ? kOddDepth : 0) | (P::kWide ? kWide : 0);

// What all channels of a layer share.
struct Outputs {
  int32_t depth;       // channels
  int32_t rounding;    // 2 * zero point + 1
  int32_t multiplier;  // unless kPerChannel
  int32_t shift;
  int32_t min;  // if kBounded
  int32_t max;

  // One channel of neighbouring pixels.
  template <int32_t kPixels>
  void store(const int32_t (&x)[kPixels], int8_t* to) const {
#pragma GCC unroll 4
    for (int32_t p = 0; p < kPixels; ++p, to += depth) *to = static_cast<int8_t>(x[p]);
  }
};

template <typename P>
constexpr Outputs kOutputs = {P::kOutputDepth, 2 * P::kOutputZeroPoint + 1, P::kMultiplier,
                              P::kShift,       P::kActivationMin,           P::kActivationMax};

constexpr int32_t channel_words(int32_t flags) { return (flags & kPerChannel) != 0 ? 2 : 1; }

template <int32_t kFlags>
inline int32_t channel_bias(const int32_t* channel) {
  return (kFlags & kPerChannel) != 0 ? channel[1] >> 5 : channel[0];
}

// TFLite's requantisation in four to six instructions. The host has made sure that |sum| < 2^30, that no shift is
// to the left, and that adding the rounding does not overflow. SMMLAR with the doubled sum is the rounding doubling
// high product, and adds. To round the shift half away from zero, the addend of a negative sum is one less; not with
// kClampsNegative, where the activation clamps all of them to the zero point in any case. Elsewhere the shift is not
// zero, so that a product that rounds to zero stays there.
template <int32_t kFlags>
struct Requantization {
  Requantization(const int32_t* channel, const Outputs& outputs)
      : multiplier((kFlags & kPerChannel) != 0 ? channel[0] : outputs.multiplier),
        shift((kFlags & kPerChannel) != 0 ? channel[1] & 31 : outputs.shift),
        // 2^(shift - 1), and the zero point * 2^shift.
        rounding(static_cast<int32_t>(static_cast<uint32_t>(outputs.rounding) << shift) >> 1),
        min(outputs.min),
        max(outputs.max) {}

  // An int8.
  int32_t operator()(int32_t sum) const {
    const int32_t addend = (kFlags & kClampsNegative) != 0 ? rounding : rounding + (sum >> 31);
    int32_t x = ssat8(smmlar((kFlags & kWide) != 0 ? sum : sum * 2, multiplier, addend) >> shift);
    if ((kFlags & kBounded) != 0) {
      x = x < min ? min : x;
      x = x > max ? max : x;
    }
    return x;
  }

  int32_t multiplier;
  int32_t shift;
  int32_t rounding;
  int32_t min;
  int32_t max;
};

}  // namespace tinydeploy
