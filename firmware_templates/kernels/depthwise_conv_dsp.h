// DEPTHWISE_CONV_2D of int8 on cores with the DSP extension: windows of 3×3, stride 1 or 2 along a row, as many
// channels out as in, a multiple of four.
//
// The three input rows of a window are kept as int16, channel after channel, padded with the zero point. Input row y
// is always number y modulo 3 of a channel's rows, so that it is the weights' rows that rotate. Two outputs are
// computed at a time.
//
// Weights come as a word per channel and row of the window: the bytes w0, w1, w1, w2, of which SXTB16 makes
// (w0, w1) and (w1, w2). If kWide, those two lie there as words of int16.
//
// All input rows of output row y's windows are read, then output row y is written; rows are read in order, once.
#pragma once

#include <stdint.h>

#include "dsp.h"

namespace tinydeploy {

#if defined(__ARM_FEATURE_DSP)

inline uint32_t low_halves(uint32_t x, uint32_t y) {
  uint32_t pair;
  asm("pkhbt %0, %1, %2, lsl #16" : "=r"(pair) : "r"(x), "r"(y));
  return pair;
}
inline uint32_t high_halves(uint32_t x, uint32_t y) {
  uint32_t pair;
  asm("pkhtb %0, %1, %2, asr #16" : "=r"(pair) : "r"(y), "r"(x));
  return pair;
}

// Pairs of neighbouring outputs of one channel until `to` is `end`: per pair three rows of the window, kRow words apart,
// and two requantisations. 31 instructions for 18 products, 34 with a stride of 2; 2 less if kWide, 3 more unless
// kClampsNegative. Nearly all registers are in use: what is needed once in a pair is in memory.
template <int32_t kFlags, int32_t kStride, int32_t kRow, int32_t kDepth>
[[gnu::always_inline]] inline void convolve_pairs(const uint32_t*& rows, const uint32_t (&w01)[3],
                                                  const uint32_t (&w12)[3], int32_t bias,
                                                  const Requantization<kFlags>& requantized, int8_t*& to,
                                                  const int8_t* end) {
  uint32_t x, y, first, second;
  const struct {
    int32_t rounding[2];  // and the shift
    int32_t bias;
    const int8_t* end;
  } once = {{requantized.rounding, requantized.shift}, bias, end};
  constexpr bool kHasBounds = (kFlags & kBounded) != 0;
  const int32_t* const min = kHasBounds ? &requantized.min : &once.bias;
  const int32_t* const max = kHasBounds ? &requantized.max : &once.bias;
  asm volatile(
      "1:\n"
      "ldr    %[first], %[bias]\n"
      ".if %c[stride] == 1\n"
      "ldrd   %[x], %[y], [%[rows], %[row1]]\n"
      "smlatb %[second], %[x], %[v1], %[first]\n"
      "smlad  %[first], %[x], %[v1], %[first]\n"
      "smlabt %[first], %[y], %[w1], %[first]\n"
      "smlad  %[second], %[y], %[w1], %[second]\n"
      "ldrd   %[x], %[y], [%[rows], %[row2]]\n"
      "smlad  %[first], %[x], %[v2], %[first]\n"
      "smlatb %[second], %[x], %[v2], %[second]\n"
      "smlabt %[first], %[y], %[w2], %[first]\n"
      "smlad  %[second], %[y], %[w2], %[second]\n"
      "ldrd   %[x], %[y], [%[rows]], #4\n"
      "smlad  %[first], %[x], %[v0], %[first]\n"
      "smlatb %[second], %[x], %[v0], %[second]\n"
      "smlabt %[first], %[y], %[w0], %[first]\n"
      "smlad  %[second], %[y], %[w0], %[second]\n"
      ".else\n"
      "ldrd   %[x], %[y], [%[rows], %[row1]]\n"
      "smlad  %[second], %[y], %[v1], %[first]\n"
      "smlad  %[first], %[x], %[v1], %[first]\n"
      "ldr    %[x], [%[rows], %[row1] + 8]\n"
      "smlabt %[first], %[y], %[w1], %[first]\n"
      "smlabt %[second], %[x], %[w1], %[second]\n"
      "ldrd   %[x], %[y], [%[rows], %[row2]]\n"
      "smlad  %[first], %[x], %[v2], %[first]\n"
      "smlad  %[second], %[y], %[v2], %[second]\n"
      "ldr    %[x], [%[rows], %[row2] + 8]\n"
      "smlabt %[first], %[y], %[w2], %[first]\n"
      "smlabt %[second], %[x], %[w2], %[second]\n"
      "ldrd   %[x], %[y], [%[rows]], #8\n"
      "smlad  %[first], %[x], %[v0], %[first]\n"
      "smlad  %[second], %[y], %[v0], %[second]\n"
      "ldr    %[x], [%[rows]]\n"
      "smlabt %[first], %[y], %[w0], %[first]\n"
      "smlabt %[second], %[x], %[w0], %[second]\n"
      ".endif\n"
      ".if !(%c[flags] & %c[wide])\n"
      "lsl    %[first], %[first], #1\n"
      "lsl    %[second], %[second], #1\n"
      ".endif\n"
      "ldrd   %[x], %[y], %[rounding_shift]\n"
      ".if %c[flags] & %c[clamps_negative]\n"
      "smmlar %[first], %[first], %[multiplier], %[x]\n"
      "smmlar %[second], %[second], %[multiplier], %[x]\n"
      ".else\n"
      "add    %[y], %[x], %[first], asr #31\n"
      "smmlar %[first], %[first], %[multiplier], %[y]\n"
      "add    %[y], %[x], %[second], asr #31\n"
      "smmlar %[second], %[second], %[multiplier], %[y]\n"
      "ldr    %[y], %[shift]\n"
      ".endif\n"
      "asr    %[first], %[first], %[y]\n"
      "asr    %[second], %[second], %[y]\n"
      "ssat   %[first], #8, %[first]\n"
      "ssat   %[second], #8, %[second]\n"
      ".if %c[flags] & %c[bounded]\n"
      "ldr    %[x], %[min]\n"
      "ldr    %[y], %[max]\n"
      "cmp    %[first], %[x]\n"
      "it     lt\n"
      "movlt  %[first], %[x]\n"
      "cmp    %[first], %[y]\n"
      "it     gt\n"
      "movgt  %[first], %[y]\n"
      "cmp    %[second], %[x]\n"
      "it     lt\n"
      "movlt  %[second], %[x]\n"
      "cmp    %[second], %[y]\n"
      "it     gt\n"
      "movgt  %[second], %[y]\n"
      ".endif\n"
      "strb   %[second], [%[to], %[depth]]\n"
      "strb   %[first], [%[to]]\n"
      "addw   %[to], %[to], %[depth] * 2\n"
      "ldr    %[x], %[end]\n"
      "cmp    %[to], %[x]\n"
      "bne    1b\n"
      : [rows] "+r"(rows), [to] "+r"(to), [first] "=&r"(first), [second] "=&r"(second), [x] "=&r"(x), [y] "=&r"(y)
      : [v0] "r"(w01[0]), [v1] "r"(w01[1]), [v2] "r"(w01[2]), [w0] "r"(w12[0]), [w1] "r"(w12[1]), [w2] "r"(w12[2]),
        [multiplier] "r"(requantized.multiplier), [rounding_shift] "m"(once.rounding), [shift] "m"(once.rounding[1]),
        [min] "m"(*min), [max] "m"(*max), [bias] "m"(once.bias), [end] "m"(once.end),
        [stride] "i"(kStride), [row1] "i"(4 * kRow), [row2] "i"(8 * kRow), [depth] "i"(kDepth), [flags] "i"(kFlags),
        [wide] "i"(kWide), [clamps_negative] "i"(kClampsNegative), [bounded] "i"(kBounded)
      : "memory", "cc");
}

// One row of the window for two neighbouring outputs, whatever the stride.
[[gnu::always_inline]] inline void multiply_row(const uint32_t* row, int32_t stride, uint32_t w01, uint32_t w12,
                                                int32_t& first, int32_t& second) {
  uint32_t x = row[0];
  uint32_t y = row[1];
  asm("smlad  %[first], %[x], %[v], %[first]\n"
      "smlabt %[first], %[y], %[w], %[first]\n"
      : [first] "+r"(first)
      : [x] "r"(x), [y] "r"(y), [v] "r"(w01), [w] "r"(w12));
  if (stride == 1) {
    asm("smlatb %[second], %[x], %[v], %[second]\n"
        "smlad  %[second], %[y], %[w], %[second]\n"
        : [second] "+r"(second)
        : [x] "r"(x), [y] "r"(y), [v] "r"(w01), [w] "r"(w12));
  } else {
    asm("smlad  %[second], %[y], %[v], %[second]\n"
        "smlabt %[second], %[x], %[w], %[second]\n"
        : [second] "+r"(second)
        : [x] "r"(row[2]), [y] "r"(y), [v] "r"(w01), [w] "r"(w12));
  }
}

// A last single output: nine instructions for nine products.
template <int32_t kRow>
inline int32_t convolve_one(const uint32_t* rows, const uint32_t (&w01)[3], const uint32_t (&w12)[3], int32_t sum) {
  uint32_t x, y;
  asm volatile(
      "ldrd   %[x], %[y], [%[rows]]\n"
      "smlad  %[sum], %[x], %[v0], %[sum]\n"
      "smlabt %[sum], %[y], %[w0], %[sum]\n"
      "ldrd   %[x], %[y], [%[rows], %[row1]]\n"
      "smlad  %[sum], %[x], %[v1], %[sum]\n"
      "smlabt %[sum], %[y], %[w1], %[sum]\n"
      "ldrd   %[x], %[y], [%[rows], %[row2]]\n"
      "smlad  %[sum], %[x], %[v2], %[sum]\n"
      "smlabt %[sum], %[y], %[w2], %[sum]\n"
      : [sum] "+r"(sum), [x] "=&r"(x), [y] "=&r"(y)
      : [rows] "r"(rows), [v0] "r"(w01[0]), [v1] "r"(w01[1]), [v2] "r"(w01[2]), [w0] "r"(w12[0]), [w1] "r"(w12[1]),
        [w2] "r"(w12[2]), [row1] "i"(4 * kRow), [row2] "i"(8 * kRow)
      : "memory");
  return sum;
}

#else

inline uint32_t low_halves(uint32_t x, uint32_t y) { return make_pair(low_half(x), low_half(y)); }
inline uint32_t high_halves(uint32_t x, uint32_t y) { return make_pair(high_half(x), high_half(y)); }

inline void multiply_row(const uint32_t* row, int32_t stride, uint32_t w01, uint32_t w12, int32_t& first,
                         int32_t& second) {
  const uint32_t w2 = make_pair(high_half(w12), 0);
  const uint32_t x12 = make_pair(high_half(row[0]), low_half(row[1]));
  first = smlad(row[1], w2, smlad(row[0], w01, first));
  second = stride == 1 ? smlad(make_pair(high_half(row[1]), 0), w2, smlad(x12, w01, second))
                       : smlad(row[2], w2, smlad(row[1], w01, second));
}

template <int32_t kRow>
inline int32_t convolve_one(const uint32_t* rows, const uint32_t (&w01)[3], const uint32_t (&w12)[3], int32_t sum) {
  int32_t unused = 0;
  for (int32_t i = 0; i < 3; ++i) multiply_row(rows + i * kRow, 1, w01[i], w12[i], sum, unused);
  return sum;
}

template <int32_t kFlags, int32_t kStride, int32_t kRow, int32_t kDepth>
inline void convolve_pairs(const uint32_t*& rows, const uint32_t (&w01)[3], const uint32_t (&w12)[3], int32_t bias,
                           const Requantization<kFlags>& requantized, int8_t*& to, const int8_t* end) {
  for (; to != end; to += 2 * kDepth, rows += kStride) {
    int32_t first = bias;
    int32_t second = bias;
    for (int32_t i = 0; i < 3; ++i) multiply_row(rows + i * kRow, kStride, w01[i], w12[i], first, second);
    to[0] = requantized(first);
    to[kDepth] = requantized(second);
  }
}

#endif

// The words of one channel in a row: what two outputs at a time read.
constexpr int32_t row_words(int32_t outputs, int32_t stride) { return (outputs + 1) / 2 * stride + 1; }

// A layer's rows: layers with equal ones share code. DepthwiseShape is the same at run time, for all layers.
template <int32_t depth, int32_t input_width, int32_t output_width, int32_t stride, int32_t pad_left>
struct RowShape {
  static constexpr bool kShared = false;
  static constexpr int32_t kDepth = depth;
  static constexpr int32_t kInputWidth = input_width;
  static constexpr int32_t kOutputWidth = output_width;
  static constexpr int32_t kStrideWidth = stride;
  static constexpr int32_t kPadLeft = pad_left;
  static constexpr int32_t kWords = row_words(output_width, stride);
};
struct DepthwiseShape {
  static constexpr bool kShared = true;
  int16_t kDepth, kInputWidth, kOutputWidth, kStrideWidth, kPadLeft, kWords;
  int16_t kBatches, kInputHeight, kOutputHeight, kStrideHeight, kPadTop, kInputZeroPoint;
};

template <typename P>
constexpr DepthwiseShape kDepthwiseShape = {
    P::kInputDepth, P::kInputWidth,  P::kOutputWidth,  P::kStrideWidth,  P::kPadLeft,
    row_words(P::kOutputWidth, P::kStrideWidth),
    P::kBatches,    P::kInputHeight, P::kOutputHeight, P::kStrideHeight, P::kPadTop, P::kInputZeroPoint};

// Four channels of two pixels, given as a word each, to the four channels' rows.
[[gnu::always_inline]] inline void split_channels(uint32_t x, uint32_t y, uint32_t* to, int32_t words) {
  const uint32_t x02 = sxtb16(x);
  const uint32_t x13 = sxtb16_odd(x);
  const uint32_t y02 = sxtb16(y);
  const uint32_t y13 = sxtb16_odd(y);
  to[0] = low_halves(x02, y02);
  to[3 * words] = low_halves(x13, y13);
  to[6 * words] = high_halves(x02, y02);
  to[9 * words] = high_halves(x13, y13);
}

// An input row, or none where there is only padding, as int16 with the padding that belongs to it: four zero points.
// `rows` is the first channel's.
template <typename Shape>
[[gnu::always_inline]] inline void expand_row(Shape s, const int8_t* row, uint32_t padding, uint32_t* rows) {
  if (row == nullptr) {
    for (int32_t channel = 0; channel < s.kDepth; ++channel, rows += 3 * s.kWords) {
      for (int32_t i = 0; i < s.kWords; ++i) rows[i] = sxtb16(padding);
    }
    return;
  }
  // The words whose two pixels both lie in the image are [first, end).
  const int32_t first = (s.kPadLeft + 1) / 2;
  const int32_t inside = (s.kInputWidth + s.kPadLeft) / 2;
  const int32_t end = inside < s.kWords ? inside : s.kWords;
  for (int32_t channel = 0; channel < s.kDepth; channel += 4, row += 4, rows += 12 * s.kWords) {
    int32_t i = 0;
    uint32_t* to = rows;
    const auto at = [&](int32_t x) { return x >= 0 && x < s.kInputWidth ? load_word(row + x * s.kDepth) : padding; };
    const auto edge = [&]() { split_channels(at(2 * i - s.kPadLeft), at(2 * i - s.kPadLeft + 1), to++, s.kWords); };
    if (Shape::kShared) {
#pragma GCC unroll 1
      for (; i < s.kWords; ++i) edge();
    } else {
      for (; i < first; ++i) edge();
      const int8_t* from = row + (2 * first - s.kPadLeft) * s.kDepth;
#pragma GCC unroll 4
      for (; i < end; ++i, from += 2 * s.kDepth) {
        split_channels(load_word(from), load_word(from + s.kDepth), to++, s.kWords);
      }
      for (; i < s.kWords; ++i) edge();
    }
  }
}

// Where the weights of the window's three rows lie, in bytes: they rotate as the rows do.
struct Phase {
  int32_t rows[3];
};

// One row of outputs.
template <int32_t kFlags, typename Shape>
[[gnu::always_inline]] inline void depthwise_row(Shape s, const uint32_t* rows, const int8_t* weights,
                                                 const Phase& phase, const int32_t* channel, int8_t* output,
                                                 const Outputs& outputs) {
  constexpr bool kWide = (kFlags & tinydeploy::kWide) != 0;
  const Outputs layer = outputs;  // a store to the output could be one to the original
  const int8_t* const output_end = output + s.kDepth;
  do {
    uint32_t w01[3];
    uint32_t w12[3];
    // Unrolled before the optimiser decides what lives in registers.
#pragma GCC unroll 3
    for (int32_t i = 0; i < 3; ++i) {
      const int8_t* row = weights + phase.rows[i];
      const Couple<kWide> couple(row);
      w01[i] = couple.v;
      w12[i] = couple.w;
    }
    weights += kWide ? 24 : 12;
    const int32_t bias = channel_bias<kFlags>(channel);
    const Requantization<kFlags> requantized(channel, layer);
    channel += channel_words(kFlags);
    const uint32_t* x = rows;
    int8_t* to = output++;
    if constexpr (Shape::kShared) {
      for (int32_t i = s.kOutputWidth; i > 0; i -= 2) {
        int32_t first = bias;
        int32_t second = bias;
        const uint32_t* row = x;
#pragma GCC unroll 3
        for (int32_t ky = 0; ky < 3; ++ky, row += s.kWords) {
          multiply_row(row, s.kStrideWidth, w01[ky], w12[ky], first, second);
        }
        x += s.kStrideWidth;
        *to = requantized(first);
        to += s.kDepth;
        if (i == 1) break;
        *to = requantized(second);
        to += s.kDepth;
      }
    } else {
      if (s.kOutputWidth > 1) {
        convolve_pairs<kFlags, s.kStrideWidth, s.kWords, s.kDepth>(x, w01, w12, bias, requantized, to,
                                                                  to + s.kOutputWidth / 2 * 2 * s.kDepth);
      }
      if (s.kOutputWidth % 2 == 1) *to = requantized(convolve_one<s.kWords>(x, w01, w12, bias));
    }
    rows += 3 * s.kWords;
  } while (output != output_end);
}

template <typename Shape>
[[gnu::noinline]] void expand_row(const int8_t* row, uint32_t padding, uint32_t* rows) {
  expand_row(Shape{}, row, padding, rows);
}

template <int32_t kFlags, typename Shape>
[[gnu::noinline]] void depthwise_row(const uint32_t* rows, const int8_t* weights, const Phase& phase,
                                     const int32_t* channel, int8_t* output, const Outputs& outputs) {
  depthwise_row<kFlags>(Shape{}, rows, weights, phase, channel, output, outputs);
}

// All rows: `s` has their number, and `rows_of` a layer's own or the shape at run time.
template <int32_t kFlags, typename Shape, typename Rows>
[[gnu::always_inline]] inline void convolve_rows(Shape s, Rows rows_of, const int8_t* input, const int8_t* weights,
                                                 const int32_t* channels, uint32_t* rows, int8_t* output,
                                                 const Outputs& outputs) {
  constexpr int32_t kRowWeights = (kFlags & kWide) != 0 ? 8 : 4;
  const uint32_t padding = static_cast<uint8_t>(s.kInputZeroPoint) * uint32_t{0x01010101};
  const int32_t row_bytes = s.kInputWidth * rows_of.kDepth;
  for (int32_t batch = 0; batch < s.kBatches; ++batch) {
    int32_t ready = -s.kPadTop;  // the next row to read
    for (int32_t y = 0; y < s.kOutputHeight; ++y) {
      const int32_t top = y * s.kStrideHeight - s.kPadTop;
      if (ready < top) ready = top;  // a stride beyond the window's height leaves rows out
      for (; ready < top + 3; ++ready) {
        const int8_t* const row = ready >= 0 && ready < s.kInputHeight ? input + ready * row_bytes : nullptr;
        uint32_t* const to = rows + (ready + 3) % 3 * rows_of.kWords;
        if constexpr (Rows::kShared) {
          expand_row(rows_of, row, padding, to);
        } else {
          expand_row<Rows>(row, padding, to);
        }
      }
      const int32_t first = (top + 3) % 3;  // the number of the window's first row
      const Phase phase = {
          {(3 - first) % 3 * kRowWeights, (4 - first) % 3 * kRowWeights, (5 - first) % 3 * kRowWeights}};
      if constexpr (Rows::kShared) {
        depthwise_row<kFlags>(rows_of, rows, weights, phase, channels, output, outputs);
      } else {
        depthwise_row<kFlags, Rows>(rows, weights, phase, channels, output, outputs);
      }
      output += s.kOutputWidth * rows_of.kDepth;
    }
    input += s.kInputHeight * row_bytes;
  }
}

// One instance for all layers with these flags.
template <int32_t kFlags>
[[gnu::noinline]] void depthwise_shared(const DepthwiseShape& shape, const int8_t* input, const int8_t* weights,
                                        const int32_t* channels, uint32_t* rows, int8_t* output,
                                        const Outputs& outputs) {
  convolve_rows<kFlags>(shape, shape, input, weights, channels, rows, output, outputs);
}

template <typename P, typename Weight>
inline void depthwise_conv_2d_dsp(const int8_t* input, const Weight* weights, const int32_t* channels, uint32_t* rows,
                                  int8_t* output) {
  const int8_t* const packed = reinterpret_cast<const int8_t*>(weights);
  if constexpr (P::kShared) {
    depthwise_shared<kFlags<P>>(kDepthwiseShape<P>, input, packed, channels, rows, output, kOutputs<P>);
  } else {
    using Rows = RowShape<P::kInputDepth, P::kInputWidth, P::kOutputWidth, P::kStrideWidth, P::kPadLeft>;
    convolve_rows<kFlags<P>>(P{}, Rows{}, input, packed, channels, rows, output, kOutputs<P>);
  }
}

}  // namespace tinydeploy
