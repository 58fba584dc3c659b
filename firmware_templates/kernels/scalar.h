// What the kernels share for cores that multiply one pair of numbers at a time: Cortex-M3, Cortex-M0+, RISC-V, Xtensa.
#pragma once

#include <stdint.h>

#include "requantize.h"
#include "xtensa_core.h"

// The high word of a product, which otherwise is a call.
#if defined(__ARM_ARCH_6M__) || (defined(__XTENSA__) && !XCHAL_HAVE_MUL32_HIGH)
#define TINYDEPLOY_HIGH_PRODUCT 0
#else
#define TINYDEPLOY_HIGH_PRODUCT 1
#endif

namespace tinydeploy {

// Calls function(Index<i>()) for i from 0 to kCount - 1. A loop would be unrolled too late for GCC to keep the
// elements of its arrays in registers.
template <int32_t kValue>
struct Index {
  static constexpr int32_t value = kValue;
  constexpr operator int32_t() const { return kValue; }
};
template <int32_t kCount, int32_t kFirst = 0, typename Function>
[[gnu::always_inline]] inline void repeat(const Function& function) {
  if constexpr (kFirst < kCount) {
    function(Index<kFirst>());
    repeat<kCount, kFirst + 1>(function);
  }
}

// A load, and a multiplication and addition, that stay where they stand in the program. GCC would load ahead and
// add products up apart from the sums, until it runs out of registers.
[[gnu::always_inline]] inline int32_t load(const int8_t* from) {
  int32_t value;
#if defined(__riscv)
  asm volatile("lb %0, %1" : "=r"(value) : "m"(*from));
#elif defined(__thumb2__)
  asm volatile("ldrsb %0, %1" : "=r"(value) : "m"(*from));
#elif defined(__XTENSA__)
  asm volatile("l8ui %0, %1" : "=r"(value) : "m"(*from));
  value = static_cast<int8_t>(value);  // SEXT, or two shifts
#else
  value = *from;
#endif
  return value;
}
// The same of a byte that is not signed: the only bytes that Xtensa loads.
[[gnu::always_inline]] inline int32_t load_unsigned(const int8_t* from) {
#if defined(__XTENSA__)
  int32_t value;
  asm volatile("l8ui %0, %1" : "=r"(value) : "m"(*from));
  return value;
#else
  return static_cast<uint8_t>(*from);
#endif
}
// The same, and a step forward.
[[gnu::always_inline]] inline int32_t load_next(const int8_t*& from) {
#if defined(__thumb2__)
  int32_t value;
  asm volatile("ldrsb %0, [%1], #1" : "=r"(value), "+r"(from) : : "memory");
  return value;
#else
  return load(from++);
#endif
}
template <int32_t kCount, typename T>
[[gnu::always_inline]] inline void load_words(const T*& from, int32_t (&words)[kCount]) {
#if defined(__thumb2__)
  if constexpr (kCount == 2) {
    asm volatile("ldrd %0, %1, [%2], #8" : "=r"(words[0]), "=r"(words[1]), "+r"(from) : : "memory");
    return;
  }
#endif
  repeat<kCount>([&](auto i) __attribute__((always_inline)) {
#if defined(__riscv)
    asm volatile("lw %0, %1" : "=r"(words[i]) : "m"(*reinterpret_cast<const int32_t*>(from + i * (4 / sizeof(T)))));
#elif defined(__XTENSA__)
    asm volatile("l32i %0, %1" : "=r"(words[i]) : "m"(*reinterpret_cast<const int32_t*>(from + i * (4 / sizeof(T)))));
#else
    __builtin_memcpy(&words[i], __builtin_assume_aligned(from + i * (4 / sizeof(T)), 4), 4);
#endif
  });
  from += kCount * (4 / sizeof(T));
}
// Modulo 2^32.
[[gnu::always_inline]] inline void add_product(uint32_t& sum, int32_t x, int32_t y) {
#if defined(__riscv) || defined(__XTENSA__)
  asm volatile("add %0, %0, %1" : "+r"(sum) : "r"(static_cast<uint32_t>(x) * static_cast<uint32_t>(y)));
#elif defined(__thumb2__)
  asm volatile("mla %0, %1, %2, %0" : "+r"(sum) : "r"(x), "r"(y));
#else
  sum += static_cast<uint32_t>(x) * static_cast<uint32_t>(y);
  asm volatile("" : "+r"(sum));
#endif
}

// The high part of a product from 32-bit products of halves, for cores whose multiplier gives no more: 16
// instructions on a Cortex-M0+ and on Xtensa without MULSH, where a 64-bit product is a call. Exact for |x| < 2^29 and a multiplier from 0 to
// 2^31 - 1: no partial sum leaves 32 bits.
inline int32_t high_product_by_halves(int32_t x, int32_t multiplier) {
  const int32_t high = (x + (1 << 14)) >> 15;
  const int32_t low = x - high * (1 << 15);  // from -2^14 to 2^14 - 1
  const int32_t multiplier_high = multiplier >> 15;
  const int32_t multiplier_low = multiplier & 0x7FFF;
  const int32_t middle = high * multiplier_low + low * multiplier_high + ((low * multiplier_low) >> 15);
  return high * multiplier_high + (middle >> 15);
}

// floor(x * multiplier * 2^-30), under the same conditions.
inline int32_t high_product(int32_t x, int32_t multiplier) {
#if !TINYDEPLOY_HIGH_PRODUCT
  return high_product_by_halves(x, multiplier);
#else
  return static_cast<int32_t>((static_cast<int64_t>(x * 4) * multiplier) >> 32);
#endif
}

// The requantisation of one channel's sums; see requantize<P>.
//
// P::kSmallSums says what the host has made sure of: |sum| < 2^29, and all shifts to the right by 1 to 21. One
// fractional bit of the product is then enough for both of TFLite's roundings: with y = floor(2 * scaled sum) the
// output is (y + 1 + 2^right) >> (right + 1), and for a negative y two are taken from it first. Where the
// activation clamps whatever is negative (P::kClampsNegative), that makes no difference.
//
// Without P::kPerChannel, all channels have P::kMultiplier and P::kShift.
template <typename P>
class ScalarRequantization {
 public:
  ScalarRequantization(const int32_t* multiplier, const int8_t* shift, int32_t channel)
      : multiplier_(P::kPerChannel ? multiplier[channel] : P::kMultiplier),
        shift_(P::kPerChannel ? shift[channel] : P::kShift),
        // The zero point and a half, and the 1.
        rounding_(static_cast<int32_t>((static_cast<uint32_t>(2 * P::kOutputZeroPoint + 1) << (-shift_ & 31)) + 1)) {}

  // An int8.
  int32_t operator()(uint32_t sum) const {
    if (!P::kSmallSums) return requantize<P>(sum, multiplier_, shift_);
    int32_t x = high_product(static_cast<int32_t>(sum), multiplier_);
    if (!P::kClampsNegative) x += 2 * (x >> 31);
    return clamp_to<P::kActivationMin, P::kActivationMax>((x + rounding_) >> (1 - shift_));
  }

 private:
  int32_t multiplier_;
  int32_t shift_;
  int32_t rounding_;
};

}  // namespace tinydeploy
