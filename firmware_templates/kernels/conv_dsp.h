// CONV_2D of int8 on cores with the DSP extension: every window becomes a column of int16 pairs, and the columns
// of four pixels are multiplied with the weights of two channels at a time.
//
// Weights come in words of two channels' pairs, in the order of the columns: SXTB16 of a word is channel c's pair,
// after a rotation channel c + 1's. Four columns lie interleaved: pair k of pixels 0 to 3, then pair k + 1.
//
// Four consecutive pixels' windows are read, then their outputs are written; at the end single pixels. If kPixels is 1,
// all are single: the columns take a quarter of the memory.
#pragma once

#include <stdint.h>

#include "addend.h"
#include "dsp.h"

namespace tinydeploy {

// How many pairs `length` values make.
constexpr int32_t pairs(int32_t length) { return (length + 1) / 2; }

// Moves on by four values and two pairs. GCC would not use the addressing modes that count.
template <int32_t kStride>
inline void expand_word(const int8_t*& from, uint32_t*& to) {
#if defined(__ARM_FEATURE_DSP)
  uint32_t even, odd;
  asm volatile(
      "ldr    %[odd], [%[from]], #4\n"
      "sxtb16 %[even], %[odd]\n"
      "sxtb16 %[odd], %[odd], ror #8\n"
      "str    %[odd], [%[to], %[one]]\n"
      "str    %[even], [%[to]], %[two]\n"
      : [from] "+r"(from), [to] "+r"(to), [even] "=&r"(even), [odd] "=&r"(odd)
      : [one] "i"(4 * kStride), [two] "i"(8 * kStride)
      : "memory");
#else
  const uint32_t word = load_word(from);
  to[0] = sxtb16(word);
  to[kStride] = sxtb16_odd(word);
  from += 4;
  to += 2 * kStride;
#endif
}

// `length` values as pairs, kStride words apart: of four values (0, 2) and (1, 3), of a rest of three (0, 2) and
// (1, zero), of two (0, 1), of one (0, zero). The loop is unrolled where the length is known.
template <int32_t kStride, bool kShared>
[[gnu::always_inline]] inline void expand(const int8_t* from, int32_t length, uint32_t* to) {
  if (kShared) {
    for (int32_t i = 0; i + 4 <= length; i += 4) expand_word<kStride>(from, to);
  } else {
#pragma GCC unroll 8
    for (int32_t i = 0; i + 4 <= length; i += 4) expand_word<kStride>(from, to);
  }
  const int32_t rest = length % 4;
  if (rest == 3) {
    to[0] = (static_cast<uint32_t>(from[2]) << 16) | static_cast<uint16_t>(from[0]);
    to[kStride] = static_cast<uint16_t>(from[1]);
  } else if (rest == 2) {
    to[0] = (static_cast<uint32_t>(from[1]) << 16) | static_cast<uint16_t>(from[0]);
  } else if (rest == 1) {
    to[0] = static_cast<uint16_t>(from[0]);
  }
}

// What convolve_columns needs to know of its loops at compile time: kFirst pairs, then kBlock pairs at a time until
// the column ends, if kMore. Layers with equal numbers and flags share the code.
template <int32_t kPairs, int32_t kBlock>
struct Blocks {
  static constexpr int32_t kFirst = (kPairs - 1) % kBlock + 1;
  static constexpr bool kMore = kPairs > kBlock;
};

#if defined(__ARM_FEATURE_DSP)

// One pair of two channels and four pixels, 16 products: 13 instructions, or 11 if kWide. All 14 registers are in use.
#define TINYDEPLOY_NARROW              \
  "ldr    %[w], [%[weights]], #4\n"    \
  "sxtb16 %[v], %[w]\n"                \
  "sxtb16 %[w], %[w], ror #8\n"
#define TINYDEPLOY_WIDE "ldrd   %[v], %[w], [%[weights]], #8\n"
#define TINYDEPLOY_PAIR                \
  "ldrd   %[x], %[y], [%[column]], #8\n" \
  "smlad  %[a0], %[v], %[x], %[a0]\n"  \
  "smlad  %[a1], %[v], %[y], %[a1]\n"  \
  "smlad  %[b0], %[w], %[x], %[b0]\n"  \
  "smlad  %[b1], %[w], %[y], %[b1]\n"  \
  "ldrd   %[x], %[y], [%[column]], #8\n" \
  "smlad  %[a2], %[v], %[x], %[a2]\n"  \
  "smlad  %[a3], %[v], %[y], %[a3]\n"  \
  "smlad  %[b2], %[w], %[x], %[b2]\n"  \
  "smlad  %[b3], %[w], %[y], %[b3]\n"
// The first pair: all pixels' sums start from those of the first.
#define TINYDEPLOY_FIRST_PAIR          \
  "ldrd   %[x], %[y], [%[column], #8]\n" \
  "smlad  %[a2], %[v], %[x], %[a0]\n"  \
  "smlad  %[a3], %[v], %[y], %[a0]\n"  \
  "smlad  %[b2], %[w], %[x], %[b0]\n"  \
  "smlad  %[b3], %[w], %[y], %[b0]\n"  \
  "ldrd   %[x], %[y], [%[column]], #16\n" \
  "smlad  %[a1], %[v], %[y], %[a0]\n"  \
  "smlad  %[a0], %[v], %[x], %[a0]\n"  \
  "smlad  %[b1], %[w], %[y], %[b0]\n"  \
  "smlad  %[b0], %[w], %[x], %[b0]\n"
#define TINYDEPLOY_2(step) step step
#define TINYDEPLOY_4(step) step step step step
#define TINYDEPLOY_UNTIL_END(steps) "1:\n" steps "ldr %[x], %[end]\ncmp %[column], %[x]\nbne 1b\n"
#define TINYDEPLOY_IF(condition, steps) ".if " condition "\n" steps ".endif\n"
// One asm statement: between two of them GCC would move sums around, or find no register for it.
#define TINYDEPLOY_MULTIPLY(load)                                                                          \
  asm volatile(load TINYDEPLOY_FIRST_PAIR                                                                  \
               TINYDEPLOY_IF("(%c[first] - 1) & 4", TINYDEPLOY_4(load TINYDEPLOY_PAIR))                    \
               TINYDEPLOY_IF("(%c[first] - 1) & 2", TINYDEPLOY_2(load TINYDEPLOY_PAIR))                    \
               TINYDEPLOY_IF("(%c[first] - 1) & 1", load TINYDEPLOY_PAIR)                                  \
               TINYDEPLOY_IF("%c[block] == 1", TINYDEPLOY_UNTIL_END(load TINYDEPLOY_PAIR))                 \
               TINYDEPLOY_IF("%c[block] == 4", TINYDEPLOY_UNTIL_END(TINYDEPLOY_4(load TINYDEPLOY_PAIR)))   \
               TINYDEPLOY_IF("%c[block] == 8",                                                             \
                             TINYDEPLOY_UNTIL_END(TINYDEPLOY_4(TINYDEPLOY_2(load TINYDEPLOY_PAIR))))       \
               : [weights] "+r"(weights), [column] "+r"(column), [a0] "+r"(a[0]), [a1] "=&r"(a[1]),        \
                 [a2] "=&r"(a[2]), [a3] "=&r"(a[3]), [b0] "+r"(b[0]), [b1] "=&r"(b[1]), [b2] "=&r"(b[2]),  \
                 [b3] "=&r"(b[3]), [v] "=&r"(v), [w] "=&r"(w), [x] "=&r"(x), [y] "=&r"(y)                  \
               : [end] "m"(end), [first] "i"(kFirst), [block] "i"(kMore ? kBlock : 0)                      \
               : "memory", "cc")

// Adds the products to the biases a[0] and b[0], and moves the weights on.
template <bool kWide, int32_t kFirst, int32_t kBlock, bool kMore>
[[gnu::always_inline]] inline void multiply(const int8_t*& weights, const uint32_t* column, const uint32_t* const& end,
                                            int32_t (&a)[4], int32_t (&b)[4]) {
  static_assert(kBlock == 1 || kBlock == 4 || kBlock == 8);
  uint32_t v, w, x, y;
  if (kWide) {
    TINYDEPLOY_MULTIPLY(TINYDEPLOY_WIDE);
  } else {
    TINYDEPLOY_MULTIPLY(TINYDEPLOY_NARROW);
  }
}

#undef TINYDEPLOY_MULTIPLY
#undef TINYDEPLOY_FIRST_PAIR
#undef TINYDEPLOY_PAIR

// One pixel's pair, and two of its pairs: ten instructions for eight products, or seven if kWide.
#define TINYDEPLOY_PAIR                \
  "ldr    %[x], [%[column]], #4\n"     \
  "smlad  %[a], %[v], %[x], %[a]\n"    \
  "smlad  %[b], %[w], %[x], %[b]\n"
#define TINYDEPLOY_NARROW_PAIRS        \
  "ldrd   %[w], %[u], [%[weights]], #8\n" \
  "ldrd   %[x], %[y], [%[column]], #8\n" \
  "sxtb16 %[v], %[w]\n"                \
  "sxtb16 %[w], %[w], ror #8\n"        \
  "smlad  %[a], %[v], %[x], %[a]\n"    \
  "smlad  %[b], %[w], %[x], %[b]\n"    \
  "sxtb16 %[v], %[u]\n"                \
  "sxtb16 %[w], %[u], ror #8\n"        \
  "smlad  %[a], %[v], %[y], %[a]\n"    \
  "smlad  %[b], %[w], %[y], %[b]\n"
#define TINYDEPLOY_WIDE_PAIRS          \
  TINYDEPLOY_WIDE                      \
  "ldrd   %[x], %[y], [%[column]], #8\n" \
  "smlad  %[a], %[v], %[x], %[a]\n"    \
  "smlad  %[b], %[w], %[x], %[b]\n"    \
  TINYDEPLOY_WIDE                      \
  "smlad  %[a], %[v], %[y], %[a]\n"    \
  "smlad  %[b], %[w], %[y], %[b]\n"
#define TINYDEPLOY_MULTIPLY(pair, pairs)                                                                     \
  asm volatile(TINYDEPLOY_IF("%c[first] & 1", pair)                                                          \
               TINYDEPLOY_IF("%c[first] & 2", pairs)                                                         \
               TINYDEPLOY_IF("%c[first] & 4", TINYDEPLOY_2(pairs))                                           \
               TINYDEPLOY_IF("%c[first] & 8", TINYDEPLOY_4(pairs))                                           \
               TINYDEPLOY_IF("%c[block] == 1", TINYDEPLOY_UNTIL_END(pair))                                   \
               TINYDEPLOY_IF("%c[block] == 4", TINYDEPLOY_UNTIL_END(TINYDEPLOY_2(pairs)))                    \
               TINYDEPLOY_IF("%c[block] == 8", TINYDEPLOY_UNTIL_END(TINYDEPLOY_4(pairs)))                    \
               : [weights] "+r"(weights), [column] "+r"(column), [a] "+r"(a[0]), [b] "+r"(b[0]), [u] "=&r"(u), \
                 [v] "=&r"(v), [w] "=&r"(w), [x] "=&r"(x), [y] "=&r"(y)                                      \
               : [end] "m"(end), [first] "i"(kFirst), [block] "i"(kMore ? kBlock : 0)                        \
               : "memory", "cc")

template <bool kWide, int32_t kFirst, int32_t kBlock, bool kMore>
[[gnu::always_inline]] inline void multiply(const int8_t*& weights, const uint32_t* column, const uint32_t* const& end,
                                            int32_t (&a)[1], int32_t (&b)[1]) {
  uint32_t u, v, w, x, y;
  if (kWide) {
    TINYDEPLOY_MULTIPLY(TINYDEPLOY_WIDE TINYDEPLOY_PAIR, TINYDEPLOY_WIDE_PAIRS);
  } else {
    TINYDEPLOY_MULTIPLY(TINYDEPLOY_NARROW TINYDEPLOY_PAIR, TINYDEPLOY_NARROW_PAIRS);
  }
}

#undef TINYDEPLOY_MULTIPLY
#undef TINYDEPLOY_WIDE_PAIRS
#undef TINYDEPLOY_NARROW_PAIRS
#undef TINYDEPLOY_PAIR
#undef TINYDEPLOY_IF
#undef TINYDEPLOY_UNTIL_END
#undef TINYDEPLOY_4
#undef TINYDEPLOY_2
#undef TINYDEPLOY_WIDE
#undef TINYDEPLOY_NARROW

#else

template <bool kWide, int32_t kFirst, int32_t kBlock, bool kMore, int32_t kPixels>
inline void multiply(const int8_t*& weights, const uint32_t* column, const uint32_t* end, int32_t (&a)[kPixels],
                     int32_t (&b)[kPixels]) {
  for (int32_t p = 1; p < kPixels; ++p) {
    a[p] = a[0];
    b[p] = b[0];
  }
  for (; column != end; column += kPixels) {
    const Couple<kWide> couple(weights);
    for (int32_t p = 0; p < kPixels; ++p) {
      a[p] = smlad(couple.v, column[p], a[p]);
      b[p] = smlad(couple.w, column[p], b[p]);
    }
  }
}

#endif

// The same with an addend, see addend.h. It lies `apart` behind the output.
template <int32_t kShift>
struct AddingOutputs : Outputs {
  int32_t a;
  int32_t start;
  int32_t b;
  int32_t apart;

  template <int32_t kPixels>
  void store(const int32_t (&x)[kPixels], int8_t* to) const {
    for (int32_t p = 0; p < kPixels; ++p, to += depth) {
      *to = static_cast<int8_t>(ssat8((x[p] * a + (to[apart] * b + start)) >> kShift));
    }
  }

#if defined(__ARM_FEATURE_DSP)
  // Four instructions for an output beyond its store, and few registers.
  [[gnu::always_inline]] void store(const int32_t (&sums)[4], int8_t* to) const {
#define TINYDEPLOY_STORE(x)              \
  "ldrsb %[t], [%[to], %[v]]\n"          \
  "mla   %[" x "], %[t], %[u], %[" x "]\n" \
  "ssat  %[" x "], #8, %[" x "], asr %[shift]\n" \
  "strb  %[" x "], [%[to]]\n"
#define TINYDEPLOY_NEXT "add   %[to], %[depth]\n"
    int32_t w = sums[0], x = sums[1], y = sums[2], z = sums[3];
    int32_t t, u, v;
    asm volatile(
        "ldrd  %[u], %[v], %[a]\n"
        "mla   %[w], %[w], %[u], %[v]\n"
        "mla   %[x], %[x], %[u], %[v]\n"
        "mla   %[y], %[y], %[u], %[v]\n"
        "mla   %[z], %[z], %[u], %[v]\n"
        "ldrd  %[u], %[v], %[b]\n"
        TINYDEPLOY_STORE("w") TINYDEPLOY_NEXT TINYDEPLOY_STORE("x") TINYDEPLOY_NEXT
        TINYDEPLOY_STORE("y") TINYDEPLOY_NEXT TINYDEPLOY_STORE("z")
        : [to] "+&r"(to), [w] "+&r"(w), [x] "+&r"(x), [y] "+&r"(y), [z] "+&r"(z), [t] "=&r"(t), [u] "=&r"(u),
          [v] "=&r"(v)
        : [depth] "r"(depth), [a] "m"(a), "m"(start), [b] "m"(b), "m"(apart), [shift] "i"(kShift)
        : "memory");
#undef TINYDEPLOY_NEXT
#undef TINYDEPLOY_STORE
  }
#endif
};

template <typename P>
inline const Outputs& outputs_of(const int8_t*) {
  return kOutputs<P>;
}
template <typename P>
inline auto outputs_of(const int8_t* output, const int8_t* addend) {
  const int32_t apart = static_cast<int32_t>(addend - output);
  return AddingOutputs<P::kAddShift>{kOutputs<P>, P::kAddA, P::kAddStart, P::kAddB, apart};
}

// All channels of kPixels pixels, whose columns end at `end`. A function of its own, because the multiplication leaves
// no register to the code around it; for that reason GCC should not schedule before it has allocated registers.
template <int32_t kFlags, int32_t kFirst, int32_t kBlock, bool kMore, int32_t kPixels, typename AnyOutputs>
[[gnu::noinline, gnu::optimize("no-schedule-insns")]] void convolve_columns(
    const uint32_t* column, const uint32_t* end, const int8_t* weights, const int32_t* channel, int8_t* output,
    const AnyOutputs& outputs) {
  constexpr int32_t kWords = channel_words(kFlags);
  const AnyOutputs layer = outputs;  // a store to the output could be one to the original
  const int32_t depth = layer.depth;
  const int8_t* const output_end = output + depth;
  do {
    int32_t a[kPixels];
    int32_t b[kPixels];
    a[0] = channel_bias<kFlags>(channel);
    b[0] = channel_bias<kFlags>(channel + kWords);
    multiply<(kFlags & kWide) != 0, kFirst, kBlock, kMore>(weights, column, end, a, b);
    const auto store = [&](const int32_t(&sums)[kPixels]) {
      const Requantization<kFlags> requantized(channel, layer);
      channel += kWords;
      int32_t x[kPixels];
      // Unrolled before the optimiser decides what lives in registers.
#pragma GCC unroll 4
      for (int32_t p = 0; p < kPixels; ++p) x[p] = requantized(sums[p]);
      layer.store(x, output++);
    };
    store(a);
    if ((kFlags & kOddDepth) != 0 && output == output_end) break;
    store(b);
  } while (output != output_end);
}

// 1×1 windows on each of P::kRows pixels, P::kPixels at a time.
template <typename P, typename Weight, typename... Addend>
inline void pointwise_dsp(const int8_t* input, const Weight* weights, const int32_t* channels, uint32_t* columns,
                          int8_t* output, const Addend*... addend) {
  constexpr int32_t kPairs = pairs(P::kInputDepth);
  using B = Blocks<kPairs, P::kBlock>;
  const int8_t* const packed = reinterpret_cast<const int8_t*>(weights);
  const auto& outputs = outputs_of<P>(output, addend...);
  constexpr int32_t kFours = P::kPixels == 4 ? P::kRows / 4 : 0;
  for (int32_t pixel = 0; pixel < kFours; ++pixel) {
#pragma GCC unroll 1
    for (int32_t p = 0; p < 4; ++p, input += P::kInputDepth) expand<4, false>(input, P::kInputDepth, columns + p);
    convolve_columns<kFlags<P>, B::kFirst, P::kBlock, B::kMore, 4>(columns, columns + 4 * kPairs, packed, channels,
                                                                  output, outputs);
    output += 4 * P::kOutputDepth;
  }
  for (int32_t pixel = 0; pixel < P::kRows - 4 * kFours; ++pixel) {
    expand<1, false>(input, P::kInputDepth, columns);
    convolve_columns<kFlags<P>, B::kFirst, P::kBlock, B::kMore, 1>(columns, columns + kPairs, packed, channels, output,
                                                                  outputs);
    input += P::kInputDepth;
    output += P::kOutputDepth;
  }
}

// The shape of a convolution at run time, with the names that it has as a layer's constants.
struct ConvolutionShape {
  static constexpr bool kShared = true;
  static constexpr int32_t kPixels = 4;
  int16_t kBatches, kInputHeight, kInputWidth, kInputDepth, kOutputHeight, kOutputWidth, kOutputDepth;
  int16_t kKernelHeight, kKernelWidth, kStrideHeight, kStrideWidth, kDilationHeight, kDilationWidth;
  int16_t kPadTop, kPadLeft, kPadded, kInputZeroPoint;
};

template <typename P>
constexpr ConvolutionShape kConvolutionShape = {
    P::kBatches,      P::kInputHeight, P::kInputWidth,   P::kInputDepth,  P::kOutputHeight,   P::kOutputWidth,
    P::kOutputDepth,  P::kKernelHeight, P::kKernelWidth, P::kStrideHeight, P::kStrideWidth,   P::kDilationHeight,
    P::kDilationWidth, P::kPadTop,     P::kPadLeft,      P::kPadded,      P::kInputZeroPoint};

// A window at (y, x) as a column, run by run: a run is what lies together in the input, a row of the window or, if it
// is dilated, a pixel. `padded` has room for one.
template <int32_t kStride, typename Shape>
[[gnu::always_inline]] inline void gather(Shape s, const int8_t* image, int32_t top, int32_t left, uint32_t* column,
                                          int8_t* padded) {
  const int32_t taps = s.kDilationWidth == 1 ? s.kKernelWidth : 1;
  const int32_t length = taps * s.kInputDepth;
  const int32_t last_y = top + (s.kKernelHeight - 1) * s.kDilationHeight;
  const int32_t last_x = left + (s.kKernelWidth - 1) * s.kDilationWidth;
  const bool inside = top >= 0 && left >= 0 && last_y < s.kInputHeight && last_x < s.kInputWidth;
#pragma GCC unroll 1
  for (int32_t ky = 0; ky < s.kKernelHeight; ++ky) {
    const int32_t y = top + ky * s.kDilationHeight;
    for (int32_t kx = 0; kx < s.kKernelWidth; kx += taps, column += pairs(length) * kStride) {
      const int32_t x = left + kx * s.kDilationWidth;
      const int8_t* run = image + (y * s.kInputWidth + x) * s.kInputDepth;
      if (s.kPadded && !inside) {
        __builtin_memset(padded, s.kInputZeroPoint, static_cast<uint32_t>(length));
        const int32_t first = x < 0 ? -x : 0;
        const int32_t end = x + taps > s.kInputWidth ? s.kInputWidth - x : taps;
        if (y >= 0 && y < s.kInputHeight && first < end) {
          __builtin_memcpy(padded + first * s.kInputDepth, run + first * s.kInputDepth,
                           static_cast<uint32_t>((end - first) * s.kInputDepth));
        }
        run = padded;
      }
      expand<kStride, Shape::kShared>(run, length, column);
    }
  }
}

// How many words two pairs of a column lie apart.
template <int32_t kCount>
struct Apart {
  static constexpr int32_t kWords = kCount;
};

// Any window, stride, dilation and padding, without groups.
template <int32_t kFlags, int32_t kFirst, int32_t kBlock, bool kMore, typename Shape, typename AnyOutputs>
[[gnu::always_inline]] inline void convolve_windows(Shape s, const int8_t* input, const int8_t* weights,
                                                    const int32_t* channels, uint32_t* columns, int8_t* padded,
                                                    int8_t* output, const AnyOutputs& outputs) {
  const int32_t taps = s.kDilationWidth == 1 ? s.kKernelWidth : 1;
  const int32_t column_pairs = s.kKernelHeight * (s.kKernelWidth / taps) * pairs(taps * s.kInputDepth);
  const int32_t pixels = s.kBatches * s.kOutputHeight * s.kOutputWidth;
  int32_t y = 0;
  int32_t x = 0;
  const auto next = [&](auto apart, uint32_t* column) {
    if (s.kBatches > 1 && y == s.kOutputHeight) {
      y = 0;
      input += s.kInputHeight * s.kInputWidth * s.kInputDepth;
    }
    gather<apart.kWords>(s, input, y * s.kStrideHeight - s.kPadTop, x * s.kStrideWidth - s.kPadLeft, column, padded);
    if (++x == s.kOutputWidth) {
      x = 0;
      ++y;
    }
  };
  const int32_t fours = Shape::kPixels == 4 ? pixels / 4 : 0;
  for (int32_t pixel = 0; pixel < fours; ++pixel) {
#pragma GCC unroll 1
    for (int32_t p = 0; p < 4; ++p) next(Apart<4>(), columns + p);
    convolve_columns<kFlags, kFirst, kBlock, kMore, 4>(columns, columns + 4 * column_pairs, weights, channels, output,
                                                      outputs);
    output += 4 * s.kOutputDepth;
  }
  for (int32_t pixel = 0; pixel < pixels - 4 * fours; ++pixel) {
    next(Apart<1>(), columns);
    convolve_columns<kFlags, kFirst, kBlock, kMore, 1>(columns, columns + column_pairs, weights, channels, output,
                                                      outputs);
    output += s.kOutputDepth;
  }
}

// One instance for all layers with these flags and numbers. After the columns there is room for a run.
template <int32_t kFlags, int32_t kFirst, int32_t kBlock, bool kMore, typename AnyOutputs>
[[gnu::noinline]] void convolve_shared(const ConvolutionShape& shape, const int8_t* input, const int8_t* weights,
                                       const int32_t* channels, uint32_t* columns, int8_t* padded, int8_t* output,
                                       const AnyOutputs& outputs) {
  convolve_windows<kFlags, kFirst, kBlock, kMore>(shape, input, weights, channels, columns, padded, output, outputs);
}

template <typename P, typename Weight, typename... Addend>
inline void conv_2d_dsp(const int8_t* input, const Weight* weights, const int32_t* channels, uint32_t* columns,
                        int8_t* output, const Addend*... addend) {
  constexpr int32_t kTaps = P::kDilationWidth == 1 ? P::kKernelWidth : 1;
  constexpr int32_t kPairs = P::kKernelHeight * (P::kKernelWidth / kTaps) * pairs(kTaps * P::kInputDepth);
  using B = Blocks<kPairs, P::kBlock>;
  const int8_t* const packed = reinterpret_cast<const int8_t*>(weights);
  const auto& outputs = outputs_of<P>(output, addend...);
  if constexpr (P::kShared) {
    convolve_shared<kFlags<P>, B::kFirst, P::kBlock, B::kMore>(
        kConvolutionShape<P>, input, packed, channels, columns, reinterpret_cast<int8_t*>(columns + 4 * kPairs), output,
        outputs);
  } else {
    int8_t padded[kTaps * P::kInputDepth];
    convolve_windows<kFlags<P>, B::kFirst, P::kBlock, B::kMore>(P{}, input, packed, channels, columns, padded, output,
                                                               outputs);
  }
}

}  // namespace tinydeploy
