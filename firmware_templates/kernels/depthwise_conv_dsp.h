// DEPTHWISE_CONV_2D of int8 on cores with the DSP extension: windows of 3×3, stride 1 or 2 along a row, as many
// channels out as in, a multiple of four.
//
// The three input rows of a window are kept as int16, channel after channel, padded with the zero point. Input row y
// is always number y modulo 3 of a channel's rows, so that it is the weights' rows that rotate. Two outputs are
// computed at a time.
//
// Weights come as a word per channel and row of the window: the bytes w0, w1, w1, w2, of which SXTB16 makes
// (w0, w1) and (w1, w2).
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

// A window of three rows, kRow words apart, for two neighbouring outputs, and on to the next two: 15 or 18
// instructions for 18 products.
template <int32_t kStride, int32_t kRow>
inline void multiply_window(const uint32_t*& rows, const uint32_t (&w01)[3], const uint32_t (&w12)[3],
                            int32_t& first, int32_t& second) {
  uint32_t x, y;
  if (kStride == 1) {
    asm volatile(
        "ldrd   %[x], %[y], [%[rows], %[row1]]\n"
        "smlad  %[first], %[x], %[v1], %[first]\n"
        "smlatb %[second], %[x], %[v1], %[second]\n"
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
        : [rows] "+r"(rows), [first] "+r"(first), [second] "+r"(second), [x] "=&r"(x), [y] "=&r"(y)
        : [v0] "r"(w01[0]), [v1] "r"(w01[1]), [v2] "r"(w01[2]), [w0] "r"(w12[0]), [w1] "r"(w12[1]),
          [w2] "r"(w12[2]), [row1] "i"(4 * kRow), [row2] "i"(8 * kRow)
        : "memory");
  } else {
    asm volatile(
        "ldrd   %[x], %[y], [%[rows], %[row1]]\n"
        "smlad  %[first], %[x], %[v1], %[first]\n"
        "smlad  %[second], %[y], %[v1], %[second]\n"
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
        : [rows] "+r"(rows), [first] "+r"(first), [second] "+r"(second), [x] "=&r"(x), [y] "=&r"(y)
        : [v0] "r"(w01[0]), [v1] "r"(w01[1]), [v2] "r"(w01[2]), [w0] "r"(w12[0]), [w1] "r"(w12[1]),
          [w2] "r"(w12[2]), [row1] "i"(4 * kRow), [row2] "i"(8 * kRow)
        : "memory");
  }
}

#else

inline uint32_t low_halves(uint32_t x, uint32_t y) { return make_pair(low_half(x), low_half(y)); }
inline uint32_t high_halves(uint32_t x, uint32_t y) { return make_pair(high_half(x), high_half(y)); }

template <int32_t kStride, int32_t kRow>
inline void multiply_window(const uint32_t*& rows, const uint32_t (&w01)[3], const uint32_t (&w12)[3],
                            int32_t& first, int32_t& second) {
  for (int32_t i = 0; i < 3; ++i) {
    const uint32_t* x = rows + i * kRow;
    const uint32_t w2 = make_pair(high_half(w12[i]), 0);
    first = smlad(x[1], w2, smlad(x[0], w01[i], first));
    if (kStride == 1) {
      const uint32_t x12 = make_pair(high_half(x[0]), low_half(x[1]));
      second = smlad(make_pair(high_half(x[1]), 0), w2, smlad(x12, w01[i], second));
    } else {
      second = smlad(x[2], w2, smlad(x[1], w01[i], second));
    }
  }
  rows += kStride;
}

#endif

// The words of one channel in a row: what two outputs at a time read.
template <typename P>
constexpr int32_t row_words() {
  return (P::kOutputWidth + 1) / 2 * P::kStrideWidth + 1;
}

// Four channels of two pixels, given as a word each, to the four channels' rows.
template <int32_t kWords>
inline void split_channels(uint32_t x, uint32_t y, uint32_t* to) {
  const uint32_t x02 = sxtb16(x);
  const uint32_t x13 = sxtb16_odd(x);
  const uint32_t y02 = sxtb16(y);
  const uint32_t y13 = sxtb16_odd(y);
  to[0] = low_halves(x02, y02);
  to[3 * kWords] = low_halves(x13, y13);
  to[6 * kWords] = high_halves(x02, y02);
  to[9 * kWords] = high_halves(x13, y13);
}

// Input row y as int16, with the padding that belongs to it; `rows` is the first channel's.
template <typename P>
inline void expand_row(const int8_t* image, int32_t y, uint32_t* rows) {
  constexpr int32_t kWords = row_words<P>();
  constexpr int32_t kDepth = P::kInputDepth;
  constexpr uint32_t kPadding = static_cast<uint8_t>(P::kInputZeroPoint) * uint32_t{0x01010101};
  // The words whose two pixels both lie in the image are [kFirst, kEnd).
  constexpr int32_t kFirst = (P::kPadLeft + 1) / 2;
  constexpr int32_t kInside = (P::kInputWidth + P::kPadLeft) / 2;
  constexpr int32_t kEnd = kInside < kWords ? kInside : kWords;
  if (y < 0 || y >= P::kInputHeight) {
    for (int32_t channel = 0; channel < kDepth; ++channel, rows += 3 * kWords) {
      for (int32_t i = 0; i < kWords; ++i) rows[i] = sxtb16(kPadding);
    }
    return;
  }
  const int8_t* row = image + y * P::kInputWidth * kDepth;
  for (int32_t channel = 0; channel < kDepth; channel += 4, row += 4, rows += 12 * kWords) {
    int32_t i = 0;
    uint32_t* to = rows;
    const auto edge = [&]() {
      const int32_t x = 2 * i - P::kPadLeft;
      split_channels<kWords>(x >= 0 && x < P::kInputWidth ? load_word(row + x * kDepth) : kPadding,
                             x + 1 >= 0 && x + 1 < P::kInputWidth ? load_word(row + (x + 1) * kDepth) : kPadding, to++);
    };
    for (; i < kFirst; ++i) edge();
    const int8_t* from = row + (2 * kFirst - P::kPadLeft) * kDepth;
    for (; i < kEnd; ++i, from += 2 * kDepth) {
      split_channels<kWords>(load_word(from), load_word(from + kDepth), to++);
    }
    for (; i < kWords; ++i) edge();
  }
}

template <typename P>
inline void depthwise_conv_2d_dsp(const int8_t* input, const int8_t* weights, const int32_t* channels, uint32_t* rows,
                                  int8_t* output) {
  constexpr int32_t kWords = row_words<P>();
  constexpr int32_t kDepth = P::kInputDepth;
  for (int32_t batch = 0; batch < P::kBatches; ++batch) {
    int32_t ready = -P::kPadTop;  // the next row to read
    for (int32_t y = 0; y < P::kOutputHeight; ++y) {
      const int32_t top = y * P::kStrideHeight - P::kPadTop;
      if (ready < top) ready = top;  // a stride beyond the window's height leaves rows out
      for (; ready < top + 3; ++ready) expand_row<P>(input, ready, rows + (ready + 3) % 3 * kWords);
      const int32_t phase = (top + 3) % 3;  // the number of the window's first row
      const int8_t* w0 = weights + (3 - phase) % 3 * 4;
      const int8_t* w1 = weights + (4 - phase) % 3 * 4;
      const int8_t* w2 = weights + (5 - phase) % 3 * 4;
      const uint32_t* row = rows;
      const int32_t* channel = channels;
      for (int32_t c = 0; c < kDepth; ++c, ++output, w0 += 12, w1 += 12, w2 += 12) {
        const uint32_t words[3] = {load_word(w0), load_word(w1), load_word(w2)};
        const uint32_t w01[3] = {sxtb16(words[0]), sxtb16(words[1]), sxtb16(words[2])};
        const uint32_t w12[3] = {sxtb16_odd(words[0]), sxtb16_odd(words[1]), sxtb16_odd(words[2])};
        const Requantization<P> requantized(channel);
        const uint32_t* x = row;
        int8_t* to = output;
        int8_t* const end = output + P::kOutputWidth / 2 * 2 * kDepth;
        for (; to != end; to += 2 * kDepth) {
          int32_t first = channel_bias<P>(channel);
          int32_t second = first;
          multiply_window<P::kStrideWidth, kWords>(x, w01, w12, first, second);
          to[0] = requantized(first);
          to[kDepth] = requantized(second);
        }
        if (P::kOutputWidth % 2 == 1) {
          int32_t first = channel_bias<P>(channel);
          int32_t second = first;
          multiply_window<P::kStrideWidth, kWords>(x, w01, w12, first, second);
          to[0] = requantized(first);
        }
        row += 3 * kWords;
        channel += kChannelWords<P>;
      }
      output += (P::kOutputWidth - 1) * kDepth;
    }
    input += P::kInputHeight * P::kInputWidth * kDepth;
  }
}

}  // namespace tinydeploy
