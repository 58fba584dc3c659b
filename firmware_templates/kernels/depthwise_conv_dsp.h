// DEPTHWISE_CONV_2D of int8 on cores with the DSP extension: windows three wide, stride 1 or 2, as many channels
// out as in, a multiple of four.
//
// The input rows of a window are kept as int16, channel after channel, padded with the zero point. Row y has its
// place in slot y modulo the window's height. Two outputs are computed at a time.
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

// One row of the window for two neighbouring outputs, and on to the next two: five or six instructions for six
// products.
template <int32_t kStride>
inline void multiply_row(const uint32_t*& row, uint32_t w01, uint32_t w12, int32_t& first, int32_t& second) {
  uint32_t x01, x23, x45;
  if (kStride == 1) {
    asm volatile(
        "ldrd   %[x01], %[x23], [%[row]], #4\n"
        "smlad  %[first], %[x01], %[w01], %[first]\n"
        "smlatb %[second], %[x01], %[w01], %[second]\n"
        "smlabt %[first], %[x23], %[w12], %[first]\n"
        "smlad  %[second], %[x23], %[w12], %[second]\n"
        : [row] "+r"(row), [first] "+r"(first), [second] "+r"(second), [x01] "=&r"(x01), [x23] "=&r"(x23)
        : [w01] "r"(w01), [w12] "r"(w12)
        : "memory");
  } else {
    asm volatile(
        "ldr    %[x45], [%[row], #8]\n"
        "ldrd   %[x01], %[x23], [%[row]], #8\n"
        "smlad  %[first], %[x01], %[w01], %[first]\n"
        "smlad  %[second], %[x23], %[w01], %[second]\n"
        "smlabt %[first], %[x23], %[w12], %[first]\n"
        "smlabt %[second], %[x45], %[w12], %[second]\n"
        : [row] "+r"(row), [first] "+r"(first), [second] "+r"(second), [x01] "=&r"(x01), [x23] "=&r"(x23),
          [x45] "=&r"(x45)
        : [w01] "r"(w01), [w12] "r"(w12)
        : "memory");
  }
}

#else

inline uint32_t low_halves(uint32_t x, uint32_t y) { return make_pair(low_half(x), low_half(y)); }
inline uint32_t high_halves(uint32_t x, uint32_t y) { return make_pair(high_half(x), high_half(y)); }

template <int32_t kStride>
inline void multiply_row(const uint32_t*& row, uint32_t w01, uint32_t w12, int32_t& first, int32_t& second) {
  const uint32_t w2 = make_pair(high_half(w12), 0);
  first = smlad(row[1], w2, smlad(row[0], w01, first));
  if (kStride == 1) {
    const uint32_t x12 = make_pair(high_half(row[0]), low_half(row[1]));
    second = smlad(make_pair(high_half(row[1]), 0), w2, smlad(x12, w01, second));
  } else {
    second = smlad(row[2], w2, smlad(row[1], w01, second));
  }
  row += kStride;
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
  to[kWords] = low_halves(x13, y13);
  to[2 * kWords] = high_halves(x02, y02);
  to[3 * kWords] = high_halves(x13, y13);
}

// Input row y as int16, with the padding that belongs to it.
template <typename P>
inline void expand_row(const int8_t* image, int32_t y, uint32_t* slot) {
  constexpr int32_t kWords = row_words<P>();
  constexpr int32_t kDepth = P::kInputDepth;
  constexpr uint32_t kPadding = static_cast<uint8_t>(P::kInputZeroPoint) * uint32_t{0x01010101};
  // The words whose two pixels both lie in the image are [kFirst, kEnd).
  constexpr int32_t kFirst = (P::kPadLeft + 1) / 2;
  constexpr int32_t kInside = (P::kInputWidth + P::kPadLeft) / 2;
  constexpr int32_t kEnd = kInside < kWords ? kInside : kWords;
  if (y < 0 || y >= P::kInputHeight) {
    for (int32_t i = 0; i < kDepth * kWords; ++i) slot[i] = sxtb16(kPadding);
    return;
  }
  const int8_t* row = image + y * P::kInputWidth * kDepth;
  for (int32_t channel = 0; channel < kDepth; channel += 4, row += 4, slot += 4 * kWords) {
    int32_t i = 0;
    uint32_t* to = slot;
    const auto edge = [&]() {
      const int32_t x = 2 * i - P::kPadLeft;
      split_channels<kWords>(x >= 0 && x < P::kInputWidth ? load_word(row + x * kDepth) : kPadding,
                             x + 1 < P::kInputWidth ? load_word(row + (x + 1) * kDepth) : kPadding, to++);
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
inline void depthwise_conv_2d_dsp(const int8_t* input, const int8_t* weights, const int32_t* table,
                                  uint32_t* slots, int8_t* output) {
  constexpr int32_t kWords = row_words<P>();
  constexpr int32_t kSlot = P::kInputDepth * kWords;
  constexpr int32_t kHeight = P::kKernelHeight;
  constexpr int32_t kDepth = P::kInputDepth;
  for (int32_t batch = 0; batch < P::kBatches; ++batch) {
    int32_t ready = -P::kPadTop;  // the next row to read
    for (int32_t y = 0; y < P::kOutputHeight; ++y) {
      const int32_t top = y * P::kStrideHeight - P::kPadTop;
      if (ready < top) ready = top;  // a stride beyond the window's height leaves rows out
      for (; ready < top + kHeight; ++ready) {
        expand_row<P>(input, ready, slots + (ready + kHeight) % kHeight * kSlot);
      }
      const uint32_t* starts[kHeight];
      for (int32_t i = 0; i < kHeight; ++i) starts[i] = slots + (top + i + kHeight) % kHeight * kSlot;
      const int8_t* w = weights;
      const Channel* channel = channels(table);
      for (int32_t c = 0; c < kDepth; ++c, ++channel, ++output) {
        uint32_t w01[kHeight], w12[kHeight];
        const uint32_t* rows[kHeight];
#pragma GCC unroll 8
        for (int32_t i = 0; i < kHeight; ++i, w += 4) {
          const uint32_t word = load_word(w);
          w01[i] = sxtb16(word);
          w12[i] = sxtb16_odd(word);
          rows[i] = starts[i];
          starts[i] += kWords;
        }
        const Requantization<P> requantized(*channel);
        int8_t* to = output;
        for (int32_t x = 0; x < P::kOutputWidth; x += 2, to += 2 * kDepth) {
          int32_t first = channel->bias;
          int32_t second = first;
#pragma GCC unroll 8
          for (int32_t i = 0; i < kHeight; ++i) {
            multiply_row<P::kStrideWidth>(rows[i], w01[i], w12[i], first, second);
          }
          to[0] = requantized(first);
          if (P::kOutputWidth % 2 == 1 && x + 1 == P::kOutputWidth) break;
          to[kDepth] = requantized(second);
        }
      }
      output += (P::kOutputWidth - 1) * kDepth;
    }
    input += P::kInputHeight * P::kInputWidth * kDepth;
  }
}

}  // namespace tinydeploy
