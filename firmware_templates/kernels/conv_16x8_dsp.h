// The layers of conv_16x8.h on cores with the DSP extension, which multiplies pairs of int16 and adds them in 32 bits.
//
// Weights are int8 in words of two channels' pairs: SXTB16 of a word is channel c's pair, after a rotation channel
// c + 1's. Those of DEPTHWISE_CONV_2D lie as in the model.
//
// The host says with P::kNarrow that no sum of a layer with its bias exceeds 32 bits, and no factor is too large for
// narrow_requantize(). Else sums of P::kRun pairs, which fit, are added in 64 bits.
#pragma once

#include <stdint.h>

#include "conv_16x8.h"
#include "conv_dsp.h"
#include "dsp.h"

namespace tinydeploy {

inline uint32_t load_pair(const int16_t* from) {
  uint32_t pair;
  __builtin_memcpy(&pair, from, 4);
  return pair;
}

#if defined(__ARM_FEATURE_DSP)

// (x * y >> 32) + sum.
inline int32_t smmla(int32_t x, int32_t y, int32_t sum) {
  int32_t high;
  asm("smmla %0, %1, %2, %3" : "=r"(high) : "r"(x), "r"(y), "r"(sum));
  return high;
}

// x saturated to int16.
inline int32_t ssat16(int32_t x) {
  int32_t y;
  asm("ssat %0, #16, %1" : "=r"(y) : "r"(x));
  return y;
}

#else

inline int32_t smmla(int32_t x, int32_t y, int32_t sum) {
  return sum + static_cast<int32_t>((static_cast<int64_t>(x) * y) >> 32);
}
inline int32_t ssat16(int32_t x) { return clamp(x, INT16_MIN, INT16_MAX); }

#endif

// What multiply_wide() and the clamp make of a sum of 32 bits. `multiplier` has 15 bits before 16 zeros, so that the
// high word of the product only has to be rounded and shifted by `shift`, 1 to 30.
template <typename P>
inline int16_t narrow_requantize(int32_t sum, int32_t multiplier, int32_t shift) {
  int32_t x = ssat16(smmla(sum, multiplier, int32_t{1} << (shift - 1)) >> shift);
  if (P::kActivationMin > INT16_MIN) x = maximum(x, P::kActivationMin);
  if (P::kActivationMax < INT16_MAX) x = minimum(x, P::kActivationMax);
  return static_cast<int16_t>(x);
}

// The sums of `kSums` outputs, from their biases on.
template <bool kNarrow, int32_t kSums>
struct Sums {
  int32_t values[kSums];

  void add(const int32_t (&some)[kSums]) {
#pragma GCC unroll 8
    for (int32_t i = 0; i < kSums; ++i) values[i] += some[i];
  }
};
template <int32_t kSums>
struct Sums<false, kSums> {
  int64_t values[kSums];

  void add(const int32_t (&some)[kSums]) {
    for (int32_t i = 0; i < kSums; ++i) values[i] += some[i];
  }
};

template <typename P>
inline int16_t scaled_16x8(int32_t sum, int32_t multiplier, int32_t shift) {
  return narrow_requantize<P>(sum, multiplier, shift);
}
template <typename P>
inline int16_t scaled_16x8(int64_t sum, int32_t multiplier, int32_t shift) {
  return requantize_16x8<P>(sum, multiplier, shift);
}

// Adds the products of `count` pairs and 2 * kCouples channels, and moves the weights on.
template <int32_t kCouples>
inline void multiply_pairs(const int16_t* x, int32_t count, const int8_t*& weights, int32_t (&sums)[2 * kCouples]) {
#pragma GCC unroll 4
  for (int32_t i = 0; i < count; ++i, x += 2) {
    const uint32_t pair = load_pair(x);
#pragma GCC unroll 3
    for (int32_t c = 0; c < kCouples; ++c) {
      const Couple<false> couple(weights);
      sums[2 * c] = smlad(couple.v, pair, sums[2 * c]);
      sums[2 * c + 1] = smlad(couple.w, pair, sums[2 * c + 1]);
    }
  }
}

// The outputs of 2 * kCouples channels, or of one less if kOdd, from a row of kLength values.
template <typename P, int32_t kLength, int32_t kCouples, bool kOdd, typename Bias>
inline void multiply_row(const int16_t* x, const int8_t*& weights, const Bias* bias, const int32_t* multiplier,
                         const int8_t* shift, int32_t channel, int16_t* output) {
  constexpr int32_t kChannels = 2 * kCouples;
  constexpr int32_t kOutputs = kOdd ? kChannels - 1 : kChannels;
  constexpr int32_t kPairs = kLength / 2;
  constexpr int32_t kRun = P::kNarrow ? kPairs : P::kRun;
  Sums<P::kNarrow, kChannels> sums = {};
#pragma GCC unroll 6
  for (int32_t r = 0; r < kOutputs; ++r) sums.values[r] = bias[channel + r];
  for (int32_t first = 0; first < kPairs; first += kRun) {
    int32_t run[kChannels] = {};
    multiply_pairs<kCouples>(x + 2 * first, minimum(kRun, kPairs - first), weights, run);
    sums.add(run);
  }
  if (kLength % 2 == 1) {
    int32_t last[kChannels] = {};
    const int16_t pair[2] = {x[kLength - 1], 0};
    multiply_pairs<kCouples>(pair, 1, weights, last);
    sums.add(last);
  }
#pragma GCC unroll 6
  for (int32_t r = 0; r < kOutputs; ++r) {
    const int32_t scale = P::kPerChannel ? channel + r : 0;
    output[channel + r] = scaled_16x8<P>(sums.values[r], multiplier[scale], shift[scale]);
  }
}

// One row of inputs. Weights: six channels' while there are six left, then two channels' at a time.
template <typename P, typename Bias>
void fully_connected_16x8_dsp(const int16_t* input, const int8_t* weights, const Bias* bias, const int32_t* multiplier,
                              const int8_t* shift, int16_t* output) {
  constexpr int32_t kBlocked = P::kOutputDepth / 6 * 6;
  constexpr int32_t kEven = P::kOutputDepth / 2 * 2;
  int32_t channel = 0;
  for (; channel < kBlocked; channel += 6) {
    multiply_row<P, P::kInputDepth, 3, false>(input, weights, bias, multiplier, shift, channel, output);
  }
  for (; channel < kEven; channel += 2) {
    multiply_row<P, P::kInputDepth, 1, false>(input, weights, bias, multiplier, shift, channel, output);
  }
  if (kEven < P::kOutputDepth) {
    multiply_row<P, P::kInputDepth, 1, true>(input, weights, bias, multiplier, shift, kEven, output);
  }
}

// `length` values as pairs that lie kStride words apart, the last with a zero if it is half.
template <int32_t kStride>
inline void copy_pairs(const int16_t* from, int32_t length, uint32_t* to) {
#pragma GCC unroll 8
  for (int32_t i = 0; i + 2 <= length; i += 2, to += kStride) *to = load_pair(from + i);
  if (length % 2 == 1) *to = static_cast<uint16_t>(from[length - 1]);
}

// How the windows of a layer become columns: runs of neighbouring values, each of whole pairs.
template <typename P>
struct Column {
  static constexpr int32_t kTaps = P::kDilationWidth == 1 ? P::kKernelWidth : 1;
  static constexpr int32_t kRuns = P::kKernelHeight * P::kKernelWidth / kTaps;
  static constexpr int32_t kLength = kTaps * P::kInputDepth;
  static constexpr int32_t kRunPairs = pairs(kLength);
  static constexpr int32_t kPairs = kRuns * kRunPairs;

  // One run; what lies outside is zero.
  template <int32_t kStride>
  static void run(const int16_t* image, int32_t y, int32_t x, uint32_t* to) {
    const int16_t* row = image + y * P::kInputWidth * P::kInputDepth;
    const bool row_inside = y >= 0 && y < P::kInputHeight;
    if (row_inside && x >= 0 && x + kTaps <= P::kInputWidth) {
      copy_pairs<kStride>(row + x * P::kInputDepth, kLength, to);
      return;
    }
    for (int32_t i = 0; i < kRunPairs; ++i) to[i * kStride] = 0;
    const int32_t first = maximum(-x, 0) * P::kInputDepth;
    const int32_t end = minimum(P::kInputWidth - x, kTaps) * P::kInputDepth;
    if (!row_inside || first >= end) return;
    const int16_t* from = row + x * P::kInputDepth;
    if (P::kInputDepth % 2 == 0) {
      copy_pairs<kStride>(from + first, end - first, to + first / 2 * kStride);
    } else {
      for (int32_t i = first; i < end; ++i) {
        to[i / 2 * kStride] |= static_cast<uint32_t>(static_cast<uint16_t>(from[i])) << (i % 2 * 16);
      }
    }
  }

  template <int32_t kStride>
  static void gather(const int16_t* input, int32_t pixel, uint32_t* to) {
    const int32_t row_number = pixel / P::kOutputWidth;
    const Window at = window_at<P>(row_number % P::kOutputHeight, pixel % P::kOutputWidth);
    const int16_t* image = input + row_number / P::kOutputHeight * (P::kInputHeight * P::kInputWidth * P::kInputDepth);
    for (int32_t ky = 0; ky < P::kKernelHeight; ++ky) {
      for (int32_t kx = 0; kx < P::kKernelWidth; kx += kTaps, to += kRunPairs * kStride) {
        run<kStride>(image, at.y + ky * P::kDilationHeight, at.x + kx * P::kDilationWidth, to);
      }
    }
  }
};

// All channels of four pixels whose columns lie interleaved, as in conv_dsp.h. A function of its own, because the
// multiplication leaves no register to the code around it.
template <typename P, typename Bias>
[[gnu::noinline]] void convolve_four_16x8(const uint32_t* columns, const int8_t* weights, const Bias* bias,
                                          const int32_t* multiplier, const int8_t* shift, int16_t* output) {
  constexpr int32_t kPairs = Column<P>::kPairs;
  constexpr int32_t kRun = P::kNarrow ? kPairs : minimum(P::kRun, kPairs);
  constexpr int32_t kBlock = kRun == kPairs ? 8 : 1;
  using B = Blocks<kRun == kPairs ? kPairs : 1, kBlock>;
  for (int32_t channel = 0; channel < P::kOutputDepth; channel += 2) {
    const int32_t channels = minimum(P::kOutputDepth - channel, 2);
    Sums<P::kNarrow, 4> sums[2];
    for (int32_t r = 0; r < 2; ++r) {
#pragma GCC unroll 4
      for (int32_t p = 0; p < 4; ++p) sums[r].values[p] = bias[channel + (r < channels ? r : 0)];
    }
    for (int32_t first = 0; first < kPairs; first += kRun) {
      int32_t a[4] = {}, b[4] = {};
      const uint32_t* const end = columns + 4 * minimum(first + kRun, kPairs);
      multiply<false, B::kFirst, kBlock, B::kMore || kBlock == 1>(weights, columns + 4 * first, end, a, b);
      sums[0].add(a);
      sums[1].add(b);
    }
    for (int32_t r = 0; r < channels; ++r) {
      const int32_t scale = P::kPerChannel ? channel + r : 0;
      int16_t* to = output + channel + r;
#pragma GCC unroll 4
      for (int32_t p = 0; p < 4; ++p, to += P::kOutputDepth) {
        *to = scaled_16x8<P>(sums[r].values[p], multiplier[scale], shift[scale]);
      }
    }
  }
}

// Four consecutive pixels' windows are read, then their outputs are written; at the end single pixels. If P::kPixels is
// 1, all are single: the columns take a quarter of the memory.
template <typename P, typename Bias>
void conv_2d_16x8_dsp(const int16_t* input, const int8_t* weights, const Bias* bias, const int32_t* multiplier,
                      const int8_t* shift, uint32_t* columns, int16_t* output) {
  constexpr int32_t kCount = P::kBatches * P::kOutputHeight * P::kOutputWidth;
  constexpr int32_t kLength = 2 * Column<P>::kPairs;
  constexpr int32_t kEven = P::kOutputDepth / 2 * 2;
  constexpr int32_t kByFours = P::kPixels == 4 ? kCount / 4 * 4 : 0;
  for (int32_t pixel = 0; pixel < kByFours; pixel += 4, output += 4 * P::kOutputDepth) {
#pragma GCC unroll 1
    for (int32_t p = 0; p < 4; ++p) Column<P>::template gather<4>(input, pixel + p, columns + p);
    convolve_four_16x8<P>(columns, weights, bias, multiplier, shift, output);
  }
  for (int32_t pixel = kByFours; pixel < kCount; ++pixel, output += P::kOutputDepth) {
    Column<P>::template gather<1>(input, pixel, columns);
    const int16_t* row = reinterpret_cast<const int16_t*>(columns);
    const int8_t* next = weights;
    for (int32_t channel = 0; channel < kEven; channel += 2) {
      multiply_row<P, kLength, 1, false>(row, next, bias, multiplier, shift, channel, output);
    }
    if (kEven < P::kOutputDepth) {
      multiply_row<P, kLength, 1, true>(row, next, bias, multiplier, shift, kEven, output);
    }
  }
}

// The products of one position and four channels, in nine instructions. The weights of channels 0 and 2 make a pair,
// and those of 1 and 3. In one piece, because GCC would load all of a window before it multiplied, and spill.
inline void multiply_position(const int16_t* from, const int8_t* weights, int32_t (&sums)[4]) {
#if defined(__ARM_FEATURE_DSP)
  using Word = uint32_t __attribute__((may_alias, aligned(1)));
  uint32_t v, w, x;
  asm volatile(
      "ldr    %[w], %[weights]\n"
      "ldr    %[x], %[low]\n"
      "sxtb16 %[v], %[w]\n"
      "sxtb16 %[w], %[w], ror #8\n"
      "smlabb %[a], %[x], %[v], %[a]\n"
      "smlatb %[b], %[x], %[w], %[b]\n"
      "ldr    %[x], %[high]\n"
      "smlabt %[c], %[x], %[v], %[c]\n"
      "smlatt %[d], %[x], %[w], %[d]\n"
      : [a] "+r"(sums[0]), [b] "+r"(sums[1]), [c] "+r"(sums[2]), [d] "+r"(sums[3]), [v] "=&r"(v), [w] "=&r"(w),
        [x] "=&r"(x)
      : [weights] "m"(*reinterpret_cast<const Word*>(weights)), [low] "m"(*reinterpret_cast<const Word*>(from)),
        [high] "m"(*reinterpret_cast<const Word*>(from + 2)));
#else
  for (int32_t i = 0; i < 4; ++i) sums[i] += from[i] * weights[i];
#endif
}

// Which rows, or columns, of a window lie inside the input.
struct Extent {
  int32_t first;
  int32_t end;
};

template <int32_t kKernel, int32_t kDilation, int32_t kInput>
inline Extent extent_inside(int32_t start) {
  const int32_t end = (kInput - start + kDilation - 1) / kDilation;
  return {maximum(kDilation - 1 - start, 0) / kDilation, minimum(end, kKernel)};
}

// All channels of a pixel, by fours, each four read, then written. `input` and `weights` start at the window's first
// position that lies inside. A function of its own for the sake of its registers.
template <typename P, bool kInside>
[[gnu::noinline]] void depthwise_pixel_16x8(const int16_t* input, const int8_t* weights, int32_t rows, int32_t columns,
                                            const int32_t* bias, const int32_t* multiplier, const int8_t* shift,
                                            int16_t* output) {
  constexpr int32_t kDepth = P::kInputDepth;
  constexpr int32_t kDown = P::kDilationHeight * P::kInputWidth * kDepth;
  constexpr int32_t kRight = P::kDilationWidth * kDepth;
  for (int32_t channel = 0; channel < kDepth; channel += 4, input += 4, weights += 4, output += 4) {
    int32_t sums[4] = {bias[channel], bias[channel + 1], bias[channel + 2], bias[channel + 3]};
    if (kInside) {
#pragma GCC unroll 8
      for (int32_t ky = 0; ky < P::kKernelHeight; ++ky) {
#pragma GCC unroll 8
        for (int32_t kx = 0; kx < P::kKernelWidth; ++kx) {
          const int32_t place = (ky * P::kKernelWidth + kx) * kDepth;
          multiply_position(input + ky * kDown + kx * kRight, weights + place, sums);
        }
      }
    } else {
      const int16_t* row = input;
      const int8_t* row_weights = weights;
      for (int32_t ky = 0; ky < rows; ++ky, row += kDown, row_weights += P::kKernelWidth * kDepth) {
        for (int32_t kx = 0; kx < columns; ++kx) multiply_position(row + kx * kRight, row_weights + kx * kDepth, sums);
      }
    }
#pragma GCC unroll 4
    for (int32_t r = 0; r < 4; ++r) {
      const int32_t scale = P::kPerChannel ? channel + r : 0;
      output[r] = narrow_requantize<P>(sums[r], multiplier[scale], shift[scale]);
    }
  }
}

template <typename P>
void depthwise_conv_2d_16x8_dsp(const int16_t* input, const int8_t* weights, const int32_t* bias,
                                const int32_t* multiplier, const int8_t* shift, int16_t* output) {
  for (int32_t batch = 0; batch < P::kBatches; ++batch) {
    for (int32_t y = 0; y < P::kOutputHeight; ++y) {
      for (int32_t x = 0; x < P::kOutputWidth; ++x, output += P::kOutputDepth) {
        const Window at = window_at<P>(y, x);
        if (at.inside) {
          const int16_t* from = input + (at.y * P::kInputWidth + at.x) * P::kInputDepth;
          depthwise_pixel_16x8<P, true>(from, weights, 0, 0, bias, multiplier, shift, output);
          continue;
        }
        const Extent rows = extent_inside<P::kKernelHeight, P::kDilationHeight, P::kInputHeight>(at.y);
        const Extent columns = extent_inside<P::kKernelWidth, P::kDilationWidth, P::kInputWidth>(at.x);
        const int32_t from_y = at.y + rows.first * P::kDilationHeight;
        const int32_t from_x = at.x + columns.first * P::kDilationWidth;
        const int32_t place = rows.first * P::kKernelWidth + columns.first;
        depthwise_pixel_16x8<P, false>(input + (from_y * P::kInputWidth + from_x) * P::kInputDepth,
                                       weights + place * P::kInputDepth, rows.end - rows.first,
                                       columns.end - columns.first, bias, multiplier, shift, output);
      }
    }
    input += P::kInputHeight * P::kInputWidth * P::kInputDepth;
  }
}

}  // namespace tinydeploy
