// FULLY_CONNECTED of one row of int8 on cores with the DSP extension: six channels at a time, and inputs made pairs
// as they are read, which needs no working memory.
//
// Weights come block by block: six channels while there are six left, then two at a time. A block holds, for every
// four inputs, two words per two channels: SXTB16 of a word is channel c's pair, after a rotation channel c + 1's.
//
// All inputs are read before the last output is written; the two may not overlap.
#pragma once

#include <stdint.h>

#include "dsp.h"

namespace tinydeploy {

// The products of four inputs, given as one word, and 2 * kCouples channels.
template <int32_t kCouples>
inline void multiply_word(uint32_t word, const int8_t* weights, int32_t* sums) {
  const uint32_t x = sxtb16(word);
  const uint32_t y = sxtb16_odd(word);
#pragma GCC unroll 3
  for (int32_t i = 0; i < kCouples; ++i, weights += 8) {
    const uint32_t v = load_word(weights);
    const uint32_t w = load_word(weights + 4);
    sums[2 * i] = smlad(sxtb16(w), y, smlad(sxtb16(v), x, sums[2 * i]));
    sums[2 * i + 1] = smlad(sxtb16_odd(w), y, smlad(sxtb16_odd(v), x, sums[2 * i + 1]));
  }
}

// The products of kWords times four inputs.
template <int32_t kWords, int32_t kChannels>
inline void multiply_words(const int8_t* input, const int8_t* weights, int32_t (&sums)[kChannels]) {
#pragma GCC unroll 4
  for (int32_t i = 0; i < kWords; ++i) {
    multiply_word<kChannels / 2>(load_word(input + 4 * i), weights + 4 * kChannels * i, sums);
  }
}

#if defined(__ARM_FEATURE_DSP)

// Four inputs and six channels: 30 instructions for 24 products. GCC would load the weights one by one.
#define TINYDEPLOY_COUPLE(a, b)         \
  "ldrd   %[v], %[w], [%[weights]], #8\n" \
  "sxtb16 %[u], %[v]\n"                 \
  "sxtb16 %[v], %[v], ror #8\n"         \
  "smlad  %[" a "], %[u], %[x], %[" a "]\n" \
  "smlad  %[" b "], %[v], %[x], %[" b "]\n" \
  "sxtb16 %[u], %[w]\n"                 \
  "sxtb16 %[w], %[w], ror #8\n"         \
  "smlad  %[" a "], %[u], %[y], %[" a "]\n" \
  "smlad  %[" b "], %[w], %[y], %[" b "]\n"

template <int32_t kWords>
inline void multiply_words(const int8_t* input, const int8_t* weights, int32_t (&sums)[6]) {
  uint32_t u, v, w, x, y;
#pragma GCC unroll 4
  for (int32_t i = 0; i < kWords; ++i) {
    asm volatile(
        "ldr    %[y], [%[input]], #4\n"
        "sxtb16 %[x], %[y]\n"
        "sxtb16 %[y], %[y], ror #8\n"
        TINYDEPLOY_COUPLE("s0", "s1") TINYDEPLOY_COUPLE("s2", "s3") TINYDEPLOY_COUPLE("s4", "s5")
        : [input] "+r"(input), [weights] "+r"(weights), [s0] "+r"(sums[0]), [s1] "+r"(sums[1]),
          [s2] "+r"(sums[2]), [s3] "+r"(sums[3]), [s4] "+r"(sums[4]), [s5] "+r"(sums[5]), [u] "=&r"(u),
          [v] "=&r"(v), [w] "=&r"(w), [x] "=&r"(x), [y] "=&r"(y)
        :
        : "memory");
  }
}

#undef TINYDEPLOY_COUPLE
#endif

// kChannels channels from the first of a block on; `count` of them are stored.
template <typename P, int32_t kChannels>
inline void fully_connected_block(const int8_t* input, const int8_t* weights, const int32_t* channel,
                                  int32_t count, int8_t* output) {
  constexpr int32_t kWords = P::kInputDepth / 4;
  constexpr int32_t kRest = P::kInputDepth % 4;
  int32_t sums[kChannels];
#pragma GCC unroll 6
  for (int32_t i = 0; i < kChannels; ++i) sums[i] = channel_bias<P>(channel + i * kChannelWords<P>);
  if (kWords > 0) multiply_words<kWords>(input, weights, sums);
  if (kRest > 0) {
    uint32_t word = 0;
    __builtin_memcpy(&word, input + 4 * kWords, kRest);
    multiply_word<kChannels / 2>(word, weights + 4 * kChannels * kWords, sums);
  }
#pragma GCC unroll 6
  for (int32_t i = 0; i < kChannels; ++i) {
    if (i < count) output[i] = Requantization<P>(channel + i * kChannelWords<P>)(sums[i]);
  }
}

template <typename P>
inline void fully_connected_dsp(const int8_t* input, const int8_t* weights, const int32_t* channels, int8_t* output) {
  constexpr int32_t kPaddedDepth = (P::kInputDepth + 3) / 4 * 4;
  int32_t c = 0;
  for (; c + 6 <= P::kOutputDepth; c += 6) {
    fully_connected_block<P, 6>(input, weights + c * kPaddedDepth, channels + c * kChannelWords<P>, 6,
                                output + c);
  }
  for (; c < P::kOutputDepth; c += 2) {
    fully_connected_block<P, 2>(input, weights + c * kPaddedDepth, channels + c * kChannelWords<P>,
                                P::kOutputDepth - c, output + c);
  }
}

}  // namespace tinydeploy
