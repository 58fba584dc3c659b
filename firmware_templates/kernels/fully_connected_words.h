// FULLY_CONNECTED of one row of int8 on Cortex-M3 and M0+: eight channels at a time, whose weights for an input are
// two words.
//
// To take a word apart costs as much as to load its bytes, so it is multiplied as it is, and again after each shift
// by eight bits; from the four sums those of the bytes follow, modulo 2^32 as all sums are. Of a word
// b0 + 2^8 * (b1 + 2^8 * (b2 + 2^8 * b3)) with a signed b3, the sum of x * word less 2^8 times the sum of
// x * (word >> 8) is the sum of x * b0. The unsigned bytes b0 to b2 are weights plus 128: the sum of all x sets that
// right.
//
// Channels that are left over come as bytes, as for fully_connected_scalar. All inputs are read before a block's
// outputs are written.
#pragma once

#include <stdint.h>

#include "conv_scalar.h"

namespace tinydeploy {

// The two words of one input.
[[gnu::always_inline]] inline void load_words(const int8_t*& from, int32_t (&words)[2]) {
#if defined(__thumb2__)
  asm volatile("ldrd %0, %1, [%2], #8" : "=r"(words[0]), "=r"(words[1]), "+r"(from) : : "memory");
#else
  __builtin_memcpy(words, from, 8);
  from += 8;
#endif
}

// sums[4 * i + j] += x * (word i >> 8 * j), over kLength inputs and the two words of each. On a Cortex-M3 16
// instructions for 8 products, on a Cortex-M0+ 26.
template <int32_t kLength>
[[gnu::always_inline]] inline void multiply_words(const int8_t* input, const int8_t* weights, uint32_t (&sums)[8]) {
#if defined(__ARM_ARCH_6M__)
#define TINYDEPLOY_WORD(a, b, c, d) \
  "ldm  %[weights]!, {r0}\n"        \
  "asrs r1, r0, #8\n"               \
  "muls r0, r2, r0\n"               \
  "add  %[" a "], %[" a "], r0\n"   \
  "asrs r0, r1, #8\n"               \
  "muls r1, r2, r1\n"               \
  "add  %[" b "], %[" b "], r1\n"   \
  "asrs r1, r0, #8\n"               \
  "muls r0, r2, r0\n"               \
  "add  %[" c "], %[" c "], r0\n"   \
  "muls r1, r2, r1\n"               \
  "add  %[" d "], %[" d "], r1\n"
#define TINYDEPLOY_STEP                   \
  "ldrsb r2, [%[input], r3]\n"            \
  "adds  %[input], #1\n"                  \
  TINYDEPLOY_WORD("s0", "s1", "s2", "s3") \
  TINYDEPLOY_WORD("s4", "s5", "s6", "s7")
#define TINYDEPLOY_STEPS(steps)                                                                                   \
  asm volatile(".syntax unified\n"                                                                                \
               "movs  r3, #0\n" steps                                                                             \
               : [input] "+l"(input), [weights] "+l"(weights), [s0] "+h"(sums[0]), [s1] "+h"(sums[1]),            \
                 [s2] "+h"(sums[2]), [s3] "+h"(sums[3]), [s4] "+h"(sums[4]), [s5] "+r"(s5), [s6] "+l"(sums[6]),   \
                 [s7] "+l"(sums[7])                                                                               \
               : [end] "m"(end)                                                                                   \
               : "r0", "r1", "r2", "r3", "cc", "memory")
  // Written out, because GCC counts lines to know how far its branches reach.
  const int8_t* const end = input + kLength;
  register uint32_t s5 asm("lr") = sums[5];  // GCC gives out only r8 to r12 by itself
  if (kLength & 2) TINYDEPLOY_STEPS(TINYDEPLOY_STEP TINYDEPLOY_STEP);
  if (kLength & 1) TINYDEPLOY_STEPS(TINYDEPLOY_STEP);
  if (kLength >= 4) {
    TINYDEPLOY_STEPS("1:\n" TINYDEPLOY_STEP TINYDEPLOY_STEP TINYDEPLOY_STEP TINYDEPLOY_STEP
                     "ldr   r0, %[end]\n"
                     "cmp   %[input], r0\n"
                     "bne   1b\n");
  }
  sums[5] = s5;
#undef TINYDEPLOY_STEPS
#undef TINYDEPLOY_STEP
#undef TINYDEPLOY_WORD
#else
  constexpr int32_t kTogether = 8;
  const auto step = [&](auto) __attribute__((always_inline)) {
    int32_t words[2];
    load_words(weights, words);
    const int32_t x = load_next(input);
    repeat<8>([&](auto i) __attribute__((always_inline)) {
      add_product(sums[i], words[i / 4], x);
      words[i / 4] >>= 8;
    });
  };
  if constexpr (kLength >= kTogether) {
    const int8_t* const end = input + kLength / kTogether * kTogether;
    do {
      repeat<kTogether>(step);
    } while (input != end);
  }
  repeat<kLength % kTogether>(step);
#endif
}

// Eight channels from `channel` on; `excess` is 128 times the sum of all inputs.
template <typename P>
[[gnu::noinline]] void fully_connected_block(const int8_t* input, const int8_t* weights, const int32_t* bias,
                                             const int32_t* multiplier, const int8_t* shift, int32_t channel,
                                             uint32_t excess, int8_t* output) {
  uint32_t sums[8] = {};
  multiply_words<P::kInputDepth>(input, weights, sums);
#pragma GCC unroll 8
  for (int32_t i = 0; i < 8; ++i) {
    uint32_t sum = sums[i] + static_cast<uint32_t>(bias[channel + i]);
    if (i % 4 < 3) sum -= (sums[i + 1] << 8) + excess;
    output[channel + i] = ScalarRequantization<P>(multiplier, shift, channel + i)(sum);
  }
}

template <typename P>
inline void fully_connected_words(const int8_t* input, const int8_t* weights, const int32_t* bias,
                                  const int32_t* multiplier, const int8_t* shift, int8_t* output) {
  constexpr int32_t kRest = P::kOutputDepth % 8;
  int32_t total = 0;
#pragma GCC unroll 4
  for (int32_t i = 0; i < P::kInputDepth; ++i) total += input[i];
  int32_t channel = 0;
  for (; channel + 8 <= P::kOutputDepth; channel += 8, weights += 8 * P::kInputDepth) {
    fully_connected_block<P>(input, weights, bias, multiplier, shift, channel, static_cast<uint32_t>(total) << 7, output);
  }
  if constexpr (kRest > 0) {
    convolve_block<P, P::kInputDepth, P::kInputDepth, kRest, 1>(input, weights, bias, multiplier, shift, channel, output);
  }
}

}  // namespace tinydeploy
