// FULLY_CONNECTED of one row of int8 on cores with the DSP extension: six channels at a time, and inputs made pairs
// as they are read, which needs no working memory.
//
// Weights come block by block: six channels while there are six left, then two at a time. A block holds, for every
// four inputs, two words per two channels: SXTB16 of a word is channel c's pair, after a rotation channel c + 1's. If
// kWide, they are four words, of two int16 each: c's and (c + 1)'s first pair, then their second.
//
// All inputs are read before the last output is written; the two may not overlap.
#pragma once

#include <stdint.h>

#include "dsp.h"

namespace tinydeploy {

// The products of four inputs, given as one word, and 2 * kCouples channels; moves the weights on.
template <bool kWide, int32_t kCouples>
inline void multiply_word(uint32_t word, const int8_t*& weights, int32_t* sums) {
  const uint32_t x = sxtb16(word);
  const uint32_t y = sxtb16_odd(word);
#pragma GCC unroll 3
  for (int32_t i = 0; i < kCouples; ++i, sums += 2) {
    const Couple<kWide> first(weights);
    const Couple<kWide> second(weights);
    sums[0] = smlad(second.v, y, smlad(first.v, x, sums[0]));
    sums[1] = smlad(second.w, y, smlad(first.w, x, sums[1]));
  }
}

// The products of all inputs up to `end`, kWords words and then kBlock words at a time.
template <bool kWide, int32_t kFirst, int32_t kBlock, bool kMore, int32_t kChannels>
inline void multiply_words(const int8_t* input, const int8_t* end, const int8_t*& weights, int32_t (&sums)[kChannels]) {
  const auto step = [&]() {
    multiply_word<kWide, kChannels / 2>(load_word(input), weights, sums);
    input += 4;
  };
#pragma GCC unroll 4
  for (int32_t i = 0; i < kFirst; ++i) step();
  if (kBlock == 1) {
    while (kMore && input != end) step();
  } else {
    while (kMore && input != end) {
#pragma GCC unroll 4
      for (int32_t i = 0; i < kBlock; ++i) step();
    }
  }
}

#if defined(__ARM_FEATURE_DSP)

// Four inputs and six channels, 24 products, in 30 instructions. GCC would load the weights one by one.
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
// With int16 weights in 21.
#define TINYDEPLOY_WIDE_COUPLE(a, b)    \
  "ldrd   %[v], %[w], [%[weights]], #8\n" \
  "smlad  %[" a "], %[v], %[x], %[" a "]\n" \
  "smlad  %[" b "], %[w], %[x], %[" b "]\n" \
  "ldrd   %[v], %[w], [%[weights]], #8\n" \
  "smlad  %[" a "], %[v], %[y], %[" a "]\n" \
  "smlad  %[" b "], %[w], %[y], %[" b "]\n"
#define TINYDEPLOY_WORD(couple)         \
  "ldr    %[y], [%[input]], #4\n"       \
  "sxtb16 %[x], %[y]\n"                 \
  "sxtb16 %[y], %[y], ror #8\n"         \
  couple("s0", "s1") couple("s2", "s3") couple("s4", "s5")
#define TINYDEPLOY_2(words) words words
#define TINYDEPLOY_4(words) words words words words
#define TINYDEPLOY_UNTIL_END(words) "1:\n" words "ldr %[x], %[end]\ncmp %[input], %[x]\nbne 1b\n"
#define TINYDEPLOY_ASM(words)                                                                                 \
  asm volatile(words                                                                                          \
               : [input] "+r"(input), [weights] "+r"(weights), [s0] "+r"(sums[0]), [s1] "+r"(sums[1]),        \
                 [s2] "+r"(sums[2]), [s3] "+r"(sums[3]), [s4] "+r"(sums[4]), [s5] "+r"(sums[5]),              \
                 [u] "=&r"(u), [v] "=&r"(v), [w] "=&r"(w), [x] "=&r"(x), [y] "=&r"(y)                         \
               : [end] "m"(end)                                                                               \
               : "memory", "cc")
#define TINYDEPLOY_MULTIPLY(word)                                                        \
  if (kFirst & 4) TINYDEPLOY_ASM(TINYDEPLOY_4(word));                                    \
  if (kFirst & 2) TINYDEPLOY_ASM(TINYDEPLOY_2(word));                                    \
  if (kFirst & 1) TINYDEPLOY_ASM(word);                                                  \
  if (kMore && kBlock == 1) TINYDEPLOY_ASM(TINYDEPLOY_UNTIL_END(word));                  \
  if (kMore && kBlock == 4) TINYDEPLOY_ASM(TINYDEPLOY_UNTIL_END(TINYDEPLOY_4(word)));

template <bool kWide, int32_t kFirst, int32_t kBlock, bool kMore>
[[gnu::always_inline]] inline void multiply_words(const int8_t* input, const int8_t* const& end, const int8_t*& weights,
                                                  int32_t (&sums)[6]) {
  static_assert(kBlock == 1 || kBlock == 4);
  uint32_t u, v, w, x, y;
  if (kWide) {
    TINYDEPLOY_MULTIPLY(TINYDEPLOY_WORD(TINYDEPLOY_WIDE_COUPLE))
  } else {
    TINYDEPLOY_MULTIPLY(TINYDEPLOY_WORD(TINYDEPLOY_COUPLE))
  }
}

#undef TINYDEPLOY_MULTIPLY
#undef TINYDEPLOY_ASM
#undef TINYDEPLOY_UNTIL_END
#undef TINYDEPLOY_4
#undef TINYDEPLOY_2
#undef TINYDEPLOY_WORD
#undef TINYDEPLOY_WIDE_COUPLE
#undef TINYDEPLOY_COUPLE
#endif

// `count` blocks of kChannels channels; of the last, one channel less is stored if kOdd. kRest inputs are left over
// after the last whole word, at `end`. Layers with equal numbers and flags share the code.
template <int32_t kFlags, int32_t kFirst, int32_t kBlock, bool kMore, int32_t kRest, int32_t kChannels, bool kOdd>
[[gnu::noinline]] void fully_connected_blocks(const int8_t* input, const int8_t* end, const int8_t*& weights,
                                              const int32_t*& channel, int32_t count, int8_t*& output,
                                              const Outputs& outputs) {
  constexpr bool kWide = (kFlags & tinydeploy::kWide) != 0;
  constexpr int32_t kWords = channel_words(kFlags);
  // Copies, because a store to the output could be one to the originals.
  const Outputs layer = outputs;
  const int32_t* table = channel;
  const int8_t* next = weights;
  int8_t* to = output;
  do {
    int32_t sums[kChannels];
#pragma GCC unroll 6
    for (int32_t i = 0; i < kChannels; ++i) sums[i] = channel_bias<kFlags>(table + i * kWords);
    if (kFirst > 0) multiply_words<kWide, kFirst, kBlock, kMore>(input, end, next, sums);
    if (kRest > 0) {
      uint32_t word = 0;
      __builtin_memcpy(&word, end, kRest);
      multiply_word<kWide, kChannels / 2>(word, next, sums);
    }
#pragma GCC unroll 6
    for (int32_t i = 0; i < kChannels; ++i) {
      if (kOdd && i + 1 == kChannels && count == 1) break;
      to[i] = Requantization<kFlags>(table + i * kWords, layer)(sums[i]);
    }
    table += kChannels * kWords;
    to += kChannels;
  } while (--count != 0);
  weights = next;
  channel = table;
  output = to;
}

template <typename P, typename Weight>
inline void fully_connected_dsp(const int8_t* input, const Weight* weights, const int32_t* channels, int8_t* output) {
  constexpr int32_t kWords = P::kInputDepth / 4;
  constexpr int32_t kFirst = kWords == 0 ? 0 : (kWords - 1) % P::kBlock + 1;
  constexpr bool kMore = kWords > P::kBlock;
  constexpr int32_t kRest = P::kInputDepth % 4;
  constexpr int32_t kSixes = P::kOutputDepth / 6;
  constexpr int32_t kTwos = (P::kOutputDepth % 6 + 1) / 2;
  const int8_t* next = reinterpret_cast<const int8_t*>(weights);
  const int8_t* end = input + 4 * kWords;
  if (kSixes > 0) {
    fully_connected_blocks<kFlags<P>, kFirst, P::kBlock, kMore, kRest, 6, false>(input, end, next, channels, kSixes, output,
                                                                         kOutputs<P>);
  }
  if (kTwos > 0) {
    fully_connected_blocks<kFlags<P>, kFirst, P::kBlock, kMore, kRest, 2, P::kOutputDepth % 2 == 1>(
        input, end, next, channels, kTwos, output, kOutputs<P>);
  }
}

}  // namespace tinydeploy
