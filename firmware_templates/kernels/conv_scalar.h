// CONV_2D, and FULLY_CONNECTED of many rows, of int8 on cores that multiply one pair of numbers at a time: a
// multiplication serves two pixels, see packed.h.
//
// The inputs of a block of P::kBlockPixels pixels are copied to columns of words: at each position of the window there
// lie, side by side, the values of two pixels each, 2^16 * the second's plus the first's. Then comes one block of
// P::kBlockChannels channels after the other, whose weights lie in the order of reading: [position][channel]. The host
// chooses the sizes for the core (scalar.py), and P::kRun, the positions of a run, for the weights.
//
// Where P::kBiased, weights come as unsigned bytes that are 128 more, for a core that loads no signed ones. Each run of
// a column then has a word of its own before its positions, which the sums of the run start at: it takes 128 times the
// run's inputs away again, and rounds.
//
// The excess of a block of channels is a list of bytes: how many positions further, from just before the first, and the
// block's weights there. A zero ends it.
#pragma once

#include <stdint.h>

#include "addend.h"
#include "packed.h"
#include "window.h"

namespace tinydeploy {

#define TINYDEPLOY_UNROLLED(i) [&](auto i) __attribute__((always_inline))

#if defined(__ARM_ARCH_6M__)

// kCount positions of one channel. A Cortex-M0+ has few registers that it can load to and multiply in, but LDM brings
// up to four words at once, and the sums of a run may stay in the other registers: 11 instructions for the eight
// products of a position, and 26 for a run. Its first products are moved, not added, and the carry of a shift rounds.
template <int32_t kCount, bool = false, int32_t kWords>
[[gnu::always_inline]] inline void multiply_run(const int32_t*& columns, const int8_t* weights,
                                                PackedPair (&sums)[1][kWords]) {
  static_assert(kWords <= 4);
#define TINYDEPLOY_PRODUCT(add, sum, word) "muls " word ", r4, " word "\n" add " %[" sum "], " word "\n"
#define TINYDEPLOY_STEP(out, add, words, products)                                          \
  asm volatile(".syntax unified\n"                                                          \
               "ldrb r4, [%[weights], %[k]]\n"                                              \
               "ldm  %[columns]!, {" words "}\n"                                            \
               "sxtb r4, r4\n" products                                                     \
               : [columns] "+l"(columns), [a] out(a), [b] out(b), [c] out(c), [d] out(d)    \
               : [weights] "l"(weights), [k] "i"(int32_t{k})                                \
               : "r0", "r1", "r2", "r3", "r4", "cc", "memory")
#define TINYDEPLOY_STEPS(out, add)                                                                        \
  if constexpr (kWords == 1) TINYDEPLOY_STEP(out, add, "r0", TINYDEPLOY_PRODUCT(add, "a", "r0"));         \
  if constexpr (kWords == 2) {                                                                            \
    TINYDEPLOY_STEP(out, add, "r0, r1", TINYDEPLOY_PRODUCT(add, "a", "r0") TINYDEPLOY_PRODUCT(add, "b", "r1")); \
  }                                                                                                       \
  if constexpr (kWords == 3) {                                                                            \
    TINYDEPLOY_STEP(out, add, "r0, r1, r2", TINYDEPLOY_PRODUCT(add, "a", "r0")                            \
                    TINYDEPLOY_PRODUCT(add, "b", "r1") TINYDEPLOY_PRODUCT(add, "c", "r2"));               \
  }                                                                                                       \
  if constexpr (kWords == 4) {                                                                            \
    TINYDEPLOY_STEP(out, add, "r0, r1, r2, r3", TINYDEPLOY_PRODUCT(add, "a", "r0")                        \
                    TINYDEPLOY_PRODUCT(add, "b", "r1") TINYDEPLOY_PRODUCT(add, "c", "r2")                 \
                    TINYDEPLOY_PRODUCT(add, "d", "r3"));                                                  \
  }
  uint32_t a, b, c, d;
  {
    constexpr int32_t k = 0;
    TINYDEPLOY_STEPS("=h", "mov")
  }
  repeat<kCount, 1>(TINYDEPLOY_UNROLLED(k) { TINYDEPLOY_STEPS("+h", "add") });
#undef TINYDEPLOY_STEPS
#undef TINYDEPLOY_STEP
#undef TINYDEPLOY_PRODUCT
#define TINYDEPLOY_ROUND(packed, high, sum) \
  "add   " packed ", %[" sum "]\n"          \
  "mov   r4, %[" sum "]\n"                  \
  "asrs  r4, r4, #16\n"                     \
  "adcs  " high ", r4\n"
#define TINYDEPLOY_ADD(words, rounds, bytes)                                    \
  asm volatile(".syntax unified\n"                                              \
               "ldm   %[into]!, {" words "}\n" rounds                           \
               "subs  %[into], #" bytes "\n"                                    \
               "stm   %[into]!, {" words "}\n"                                  \
               : [into] "+l"(into)                                              \
               : [a] "h"(a), [b] "h"(b), [c] "h"(c), [d] "h"(d)                 \
               : "r0", "r1", "r2", "r3", "r4", "cc", "memory")
#define TINYDEPLOY_ADD_TWO(a, b) \
  TINYDEPLOY_ADD("r0, r1, r2, r3", TINYDEPLOY_ROUND("r0", "r1", a) TINYDEPLOY_ROUND("r2", "r3", b), "16")
#define TINYDEPLOY_ADD_ONE(a) TINYDEPLOY_ADD("r0, r1", TINYDEPLOY_ROUND("r0", "r1", a), "8")
  PackedPair* into = sums[0];
  if constexpr (kWords >= 2) TINYDEPLOY_ADD_TWO("a", "b");
  if constexpr (kWords == 4) TINYDEPLOY_ADD_TWO("c", "d");
  if constexpr (kWords == 1) TINYDEPLOY_ADD_ONE("a");
  if constexpr (kWords == 3) TINYDEPLOY_ADD_ONE("c");
#undef TINYDEPLOY_ADD_ONE
#undef TINYDEPLOY_ADD_TWO
#undef TINYDEPLOY_ADD
#undef TINYDEPLOY_ROUND
}

#else

// kCount positions. On RISC-V, two channels and two words, 12 instructions for the eight products of a position, and 15
// for a run; on a Cortex-M3, one channel and two words, 4 for four, and 8; on Xtensa, one channel and three words, 10
// for six, and 15.
template <int32_t kCount, bool kBiased = false, int32_t kChannels, int32_t kWords>
[[gnu::always_inline]] inline void multiply_run(const int32_t*& columns, const int8_t* weights,
                                                PackedPair (&sums)[kChannels][kWords]) {
  uint32_t run[kChannels][kWords];
  if constexpr (kBiased) {
    int32_t starts[kWords];
    load_words(columns, starts);
    repeat<kChannels>(TINYDEPLOY_UNROLLED(c) {
      repeat<kWords>(TINYDEPLOY_UNROLLED(p) { run[c][p] = static_cast<uint32_t>(starts[p]); });
    });
  }
  repeat<kCount>(TINYDEPLOY_UNROLLED(k) {
    int32_t values[kWords];
    load_words(columns, values);
    repeat<kChannels>(TINYDEPLOY_UNROLLED(c) {
      const int8_t* const from = weights + k * kChannels + c;
      const int32_t weight = kBiased ? load_unsigned(from) : load(from);
      repeat<kWords>(TINYDEPLOY_UNROLLED(p) {
        if (k == 0 && !kBiased) {
          run[c][p] = static_cast<uint32_t>(values[p]) * static_cast<uint32_t>(weight);
        } else {
          add_product(run[c][p], values[p], weight);
        }
      });
    });
  });
  repeat<kChannels>(TINYDEPLOY_UNROLLED(c) {
    repeat<kWords>(TINYDEPLOY_UNROLLED(p) {
      if constexpr (kBiased) {
        sums[c][p].add_rounded(run[c][p]);
      } else {
        sums[c][p].add(run[c][p]);
      }
    });
  });
}

#endif

// Whole runs up to `end` in the weights, then the rest.
template <typename C, int32_t kChannels, int32_t kWords>
[[gnu::always_inline]] inline void multiply_columns(const int32_t* columns, const int8_t* weights, const int8_t* end,
                                                    PackedPair (&sums)[kChannels][kWords]) {
  if constexpr (C::kRuns) {
    do {
      multiply_run<C::kRun, C::kBiased>(columns, weights, sums);
      weights += C::kRun * kChannels;
    } while (weights != end);
  }
  if constexpr (C::kRestOfRun > 0) multiply_run<C::kRestOfRun, C::kBiased>(columns, weights, sums);
}

// What the code of convolve_columns depends on: with P::kShared, layers of which all of this is equal share it. The
// names are those of a layer's parameters; besides, kLength positions make some runs, if kRuns, and kRestOfRun.
template <int32_t kTheRun, bool kSomeRuns, int32_t kTheRest, bool kSomeExcess, int32_t kBlock, int32_t kRest, bool kEach,
          bool kSmall, bool kLeft, int32_t kFactor, int32_t kPower, bool kClamps, int32_t kZero, int32_t kLow,
          int32_t kHigh>
struct Common {
  static constexpr int32_t kRun = kTheRun;
  static constexpr bool kBiased = false;
  static constexpr uint32_t kHalves = 0;
  static constexpr bool kRuns = kSomeRuns;
  static constexpr int32_t kRestOfRun = kTheRest;
  static constexpr bool kExcess = kSomeExcess;
  static constexpr int32_t kBlockChannels = kBlock;
  static constexpr int32_t kRestOfChannels = kRest;
  static constexpr bool kPerChannel = kEach;
  static constexpr bool kSmallSums = kSmall;
  static constexpr bool kLeftShift = kLeft;
  static constexpr int32_t kMultiplier = kFactor;
  static constexpr int32_t kShift = kPower;
  static constexpr bool kClampsNegative = kClamps;
  static constexpr int32_t kOutputZeroPoint = kZero;
  static constexpr int32_t kActivationMin = kLow;
  static constexpr int32_t kActivationMax = kHigh;
};
// Code for a layer of its own.
template <typename P, int32_t kLength>
struct Own : P {
  static constexpr bool kRuns = kLength >= P::kRun;
  static constexpr int32_t kRestOfRun = kLength % P::kRun;
  static constexpr uint32_t kHalves = P::kBiased ? (kLength + P::kRun - 1) / P::kRun * kHalf : 0;
  static constexpr int32_t kRestOfChannels = P::kOutputDepth % P::kBlockChannels;
};
template <bool kShared, typename P, int32_t kLength>
struct FormOf {
  using Type = Own<P, kLength>;
};
template <typename P, int32_t kLength>
struct FormOf<true, P, kLength> {
  static_assert(!P::kBiased, "no core wants both");
  using Type =
      Common<P::kRun, (kLength >= P::kRun), kLength % P::kRun, P::kExcess, P::kBlockChannels,
             P::kOutputDepth % P::kBlockChannels, P::kPerChannel, P::kSmallSums, P::kLeftShift, P::kMultiplier,
             P::kShift, P::kClampsNegative, P::kOutputZeroPoint, P::kActivationMin, P::kActivationMax>;
};
template <typename P, int32_t kLength>
using Form = typename FormOf<P::kShared, P, kLength>::Type;

// kChannels channels from `channel` on, of the first kPixels pixels of the columns.
template <typename C, int32_t kPixels, int32_t kChannels, typename Output>
[[gnu::always_inline]] inline void convolve_channels(const int32_t* columns, const int8_t* weights, const int8_t* end,
                                                     const int32_t* bias, const int32_t* multiplier,
                                                     const int8_t* shift, const uint8_t*& excess, int32_t channel,
                                                     int32_t depth, Output output) {
  constexpr int32_t kWords = (kPixels + 1) / 2;
  PackedPair sums[kChannels][kWords];
  repeat<kChannels>(TINYDEPLOY_UNROLLED(c) {
    const uint32_t start = static_cast<uint32_t>(bias[channel + c]);
    repeat<kWords>(TINYDEPLOY_UNROLLED(p) { sums[c][p] = PackedPair::of(start - C::kHalves, start); });
  });
  multiply_columns<C>(columns, weights, end, sums);
  if constexpr (C::kExcess) {
    const int32_t* position = columns - kWords;
    for (int32_t further; (further = *excess++) != 0; excess += kChannels) {
      position += further * kWords;
      const int32_t* column = position;
      multiply_run<1>(column, reinterpret_cast<const int8_t*>(excess), sums);
    }
  }
  repeat<kChannels>(TINYDEPLOY_UNROLLED(c) {
    const ScalarRequantization<C> requantized(multiplier, shift, channel + c);
    Output to = output + (channel + c);
    const auto store = [&](uint32_t sum) __attribute__((always_inline)) {
      *to = requantized(sum);
      to += depth;
    };
#if defined(__ARM_ARCH_6M__)
#pragma GCC unroll 1  // the sums are in memory
    for (int32_t p = 0; p < kPixels / 2; ++p) {
      store(sums[c][p].low());
      store(sums[c][p].high);
    }
    if (kPixels % 2 == 1) store(sums[c][kPixels / 2].low());
#else
    repeat<kPixels>(TINYDEPLOY_UNROLLED(p) { store(p % 2 == 0 ? sums[c][p / 2].low() : sums[c][p / 2].high); });
#endif
  });
}

// All channels of kPixels pixels, of `length` positions. A function of its own, because the multiplication leaves few
// registers to the code around it.
template <typename C, int32_t kPixels, typename Output>
[[gnu::noinline]] void convolve_columns(const int32_t* columns, const int8_t* weights, const int32_t* bias,
                                        const int32_t* multiplier, const int8_t* shift, const uint8_t* excess,
                                        Output output, int32_t length, int32_t depth) {
  constexpr int32_t kBlock = C::kBlockChannels;
  constexpr int32_t kRest = C::kRestOfChannels;
  int32_t channel = 0;
  for (; channel + kBlock <= depth; channel += kBlock, weights += kBlock * length) {
    const int8_t* const end = weights + kBlock * (length - C::kRestOfRun);
    convolve_channels<C, kPixels, kBlock>(columns, weights, end, bias, multiplier, shift, excess, channel, depth, output);
  }
  if constexpr (kRest > 0) {
    const int8_t* const end = weights + kRest * (length - C::kRestOfRun);
    convolve_channels<C, kPixels, kRest>(columns, weights, end, bias, multiplier, shift, excess, channel, depth, output);
  }
}

// kLength values of two pixels as words kWords apart; kStep is 0 where all values of a pixel are one.
template <int32_t kLength, int32_t kWords>
inline void pack_values(const int8_t* a, int32_t a_step, const int8_t* b, int32_t b_step, int32_t* to) {
#pragma GCC unroll 4
  for (int32_t i = 0; i < kLength; ++i) {
    to[i * kWords] = *b * (1 << 16) + *a;
    a += a_step;
    b += b_step;
  }
}

// The words of a column's runs that their sums start at: how many, and what they are. The positions of kWords columns
// lie behind as many words, and move up to their places.
template <typename P>
constexpr int32_t starts_of(int32_t length) {
  return P::kBiased ? (length + P::kRun - 1) / P::kRun : 0;
}
template <typename P, int32_t kWords>
[[gnu::noinline]] void start_columns(int32_t* columns, int32_t length) {
  constexpr uint32_t kBias = 128;
  const int32_t* from = columns + starts_of<P>(length) * kWords;
  for (; length > 0; length -= P::kRun) {
    int32_t* const start = columns;
    columns += kWords;
    uint32_t totals[kWords] = {};
    for (int32_t i = minimum(length, P::kRun); i > 0; --i) {
      repeat<kWords>(TINYDEPLOY_UNROLLED(p) {
        const int32_t value = *from++;
        totals[p] += static_cast<uint32_t>(value);
        *columns++ = value;
      });
    }
    repeat<kWords>(TINYDEPLOY_UNROLLED(p) { start[p] = static_cast<int32_t>(kHalf - kBias * totals[p]); });
  }
}

// A pixel's window in its image.
struct Placed {
  const int8_t* image;
  Window window;
};

// The windows of two pixels as words kWords apart, padding and all.
template <typename P, int32_t kWords>
inline void pack_windows(const Placed& a, const Placed& b, int32_t* to) {
  static constexpr int8_t kZero = static_cast<int8_t>(P::kInputZeroPoint);
  constexpr int32_t kDepth = P::kInputDepth;
  constexpr int32_t kTaps = P::kDilationWidth == 1 ? P::kKernelWidth : 1;  // that lie together in the input
  const auto tap_of = [](const Placed& pixel, int32_t ky, int32_t kx, int32_t& step) {
    const int32_t y = pixel.window.y + ky * P::kDilationHeight;
    const int32_t x = pixel.window.x + kx * P::kDilationWidth;
    step = !P::kPadded || is_inside<P>(y, x);
    return step != 0 ? pixel.image + (y * P::kInputWidth + x) * kDepth : &kZero;
  };
  const bool inside = !P::kPadded || (a.window.inside && b.window.inside);
  for (int32_t ky = 0; ky < P::kKernelHeight; ++ky) {
    int32_t a_step, b_step;
    if (inside) {
      for (int32_t kx = 0; kx < P::kKernelWidth; kx += kTaps, to += kTaps * kDepth * kWords) {
        const int8_t* const from_a = tap_of(a, ky, kx, a_step);
        pack_values<kTaps * kDepth, kWords>(from_a, 1, tap_of(b, ky, kx, b_step), 1, to);
      }
    } else {
      for (int32_t kx = 0; kx < P::kKernelWidth; ++kx, to += kDepth * kWords) {
        const int8_t* const from_a = tap_of(a, ky, kx, a_step);
        const int8_t* const from_b = tap_of(b, ky, kx, b_step);
        pack_values<kDepth, kWords>(from_a, a_step, from_b, b_step, to);
      }
    }
  }
}

// Any window, stride, dilation and padding, without groups. `columns` holds the windows of a block of pixels (of one
// image or of two), which are read before the block's outputs are written.
template <typename P, typename... Addend>
inline void conv_2d_scalar(const int8_t* input, const int8_t* weights, const int32_t* bias, const int32_t* multiplier,
                           const int8_t* shift, const uint8_t* excess, int32_t* columns, int8_t* output,
                           const Addend*... addend) {
  constexpr int32_t kLength = P::kKernelHeight * P::kKernelWidth * P::kInputDepth;
  constexpr int32_t kPixels = P::kBatches * P::kOutputHeight * P::kOutputWidth;
  constexpr int32_t kRest = kPixels % P::kBlockPixels;
  int32_t y = 0;
  int32_t x = 0;
  const auto next = [&]() {
    const Placed pixel = {input, window_at<P>(y, x)};
    if (++x == P::kOutputWidth) {
      x = 0;
      if (++y == P::kOutputHeight) {
        y = 0;
        input += P::kInputHeight * P::kInputWidth * P::kInputDepth;
      }
    }
    return pixel;
  };
  auto to = destination<P>(output, addend...);
  const auto convolve = [&](auto count) __attribute__((always_inline)) {
    constexpr int32_t kCount = decltype(count)::value;
    constexpr int32_t kWords = (kCount + 1) / 2;
#pragma GCC unroll 1
    for (int32_t p = 0; p < kCount; p += 2) {
      const Placed a = next();
      const Placed b = p + 1 < kCount ? next() : a;
      pack_windows<P, kWords>(a, b, columns + starts_of<P>(kLength) * kWords + p / 2);
    }
    if constexpr (P::kBiased) start_columns<P, kWords>(columns, kLength);
    convolve_columns<Form<P, kLength>, kCount>(columns, weights, bias, multiplier, shift, excess, to, kLength,
                                               P::kOutputDepth);
    to += kCount * P::kOutputDepth;
  };
  for (int32_t pixel = 0; pixel + P::kBlockPixels <= kPixels; pixel += P::kBlockPixels) {
    convolve(Index<P::kBlockPixels>());
  }
  if constexpr (kRest > 0) convolve(Index<kRest>());
}

// Rows of kInputDepth values times the matrix of weights: also a 1×1 window on each of P::kRows pixels.
template <typename P, typename... Addend>
inline void fully_connected_scalar(const int8_t* input, const int8_t* weights, const int32_t* bias,
                                   const int32_t* multiplier, const int8_t* shift, const uint8_t* excess,
                                   int32_t* columns, int8_t* output, const Addend*... addend) {
  constexpr int32_t kDepth = P::kInputDepth;
  constexpr int32_t kRest = P::kRows % P::kBlockPixels;
  auto to = destination<P>(output, addend...);
  const auto convolve = [&](auto count) __attribute__((always_inline)) {
    constexpr int32_t kCount = decltype(count)::value;
    constexpr int32_t kWords = (kCount + 1) / 2;
#pragma GCC unroll 1
    for (int32_t p = 0; p < kCount; p += 2) {
      const int8_t* const second = p + 1 < kCount ? input + kDepth : input;
      pack_values<kDepth, kWords>(input, 1, second, 1, columns + starts_of<P>(kDepth) * kWords + p / 2);
      input = second + kDepth;
    }
    if constexpr (P::kBiased) start_columns<P, kWords>(columns, kDepth);
    convolve_columns<Form<P, kDepth>, kCount>(columns, weights, bias, multiplier, shift, excess, to, kDepth,
                                              P::kOutputDepth);
    to += kCount * P::kOutputDepth;
  };
  for (int32_t pixel = 0; pixel + P::kBlockPixels <= P::kRows; pixel += P::kBlockPixels) {
    convolve(Index<P::kBlockPixels>());
  }
  if constexpr (kRest > 0) convolve(Index<kRest>());
}

#undef TINYDEPLOY_UNROLLED

}  // namespace tinydeploy
