// DEPTHWISE_CONV_2D of int8 on cores with MVE: a window of up to 16 values of one channel is one vector, which
// VMLADAV multiplies with the channel's weights.
//
// The host has spread a dilated window's weights, with zeros between them, so no window here is dilated. In the
// working memory each channel has a strip of bytes: row y of column x lies at x * P::kKernelHeight + y, so a window is
// the bytes from its corner on, and the next row takes the place of what the columns to its left no longer need. Where
// a vector also holds the window to the right, it serves both.
//
// Weights come as whole chunks of 16 bytes per channel, [column][row]; if one vector serves two windows, with so many
// zeros before them as lie between the two windows' corners, and again after all channels. The table is bias and, if
// P::kPerChannel, multiplier and shift of each channel; otherwise P says kMultiplier and kShift.
//
// For each output row, the rows of its windows that are new are read, then the row is written, channel by channel.
#pragma once

#include <stdint.h>

#include "mve.h"

namespace tinydeploy {

template <typename P>
struct Strips {
  static constexpr int32_t kColumns = (P::kOutputWidth - 1) * P::kStrideWidth + P::kKernelWidth;
  static constexpr int32_t kRows = (P::kOutputHeight - 1) * P::kStrideHeight + P::kKernelHeight;
  static constexpr int32_t kStrip = (kColumns - 1) * P::kKernelHeight + kRows;  // bytes of a channel
  static constexpr int32_t kWindow = P::kKernelHeight * P::kKernelWidth;
  static constexpr int32_t kStep = P::kKernelHeight * P::kStrideWidth;  // from one window to the next
  static constexpr bool kPairs = kWindow + kStep <= 16;
  static constexpr int32_t kChunks = (kWindow + 15) / 16;
};

// Row y of the input as row `row` of all strips, with the padding that belongs to it.
template <typename P>
inline void spread_row(const int8_t* image, int32_t y, int8_t* row) {
  using S = Strips<P>;
  constexpr int32_t kInside = P::kInputWidth + P::kPadLeft;
  constexpr int32_t kEnd = kInside < S::kColumns ? kInside : S::kColumns;
  const uint16x8_t strips = vmulq_n_u16(vidupq_n_u16(0, 1), S::kStrip);
  const int16x8_t padding = vdupq_n_s16(P::kInputZeroPoint);
  const bool outside = P::kPadded && (y < 0 || y >= P::kInputHeight);
  const int8_t* pixel = image + y * P::kInputWidth * P::kInputDepth;
  for (int32_t channel = 0; channel < P::kInputDepth; channel += 8, pixel += 8, row += 8 * S::kStrip) {
    const mve_pred16_t lanes = vctp16q(static_cast<uint32_t>(P::kInputDepth - channel));
    const auto store = [&](int8_t* to, int16x8_t values) {
      if (P::kInputDepth % 8 == 0) {
        vstrbq_scatter_offset_s16(to, strips, values);
      } else {
        vstrbq_scatter_offset_p_s16(to, strips, values, lanes);
      }
    };
    int8_t* to = row;
    const auto pad = [&](int32_t columns) {
      for (int32_t i = 0; i < columns; ++i, to += P::kKernelHeight) store(to, padding);
    };
    if (outside) {
      pad(S::kColumns);
      continue;
    }
    if (P::kPadLeft > 0) pad(P::kPadLeft);
    const int8_t* from = pixel;
#pragma GCC unroll 4
    for (int32_t i = P::kPadLeft; i < kEnd; ++i, from += P::kInputDepth, to += P::kKernelHeight) {
      store(to, P::kInputDepth % 8 == 0 ? vldrbq_s16(from) : vldrbq_z_s16(from, lanes));
    }
    if (kEnd < S::kColumns) pad(S::kColumns - kEnd);
  }
}

// kOutputs outputs of one channel, next to each other. `x` is the first one's window.
template <typename P, int32_t kOutputs, int32_t kVectors>
inline int32x4_t multiply_windows(const int8_t* x, const int8x16_t (&weights)[kVectors]) {
  using S = Strips<P>;
  int32_t sums[4] = {};
#pragma GCC unroll 4
  for (int32_t i = 0; i < kOutputs; ++i) {
    if (S::kPairs) {
      sums[i] = vmladavq_s8(vldrbq_s8(x + i / 2 * 2 * S::kStep), weights[i % 2]);
      continue;
    }
    sums[i] = vmladavq_s8(vldrbq_s8(x + i * S::kStep), weights[0]);
#pragma GCC unroll 8
    for (int32_t chunk = 1; chunk < S::kChunks; ++chunk) {
      sums[i] = vmladavaq_s8(sums[i], vldrbq_s8(x + i * S::kStep + 16 * chunk), weights[chunk]);
    }
  }
  return make_vector(sums[0], sums[1], sums[2], sums[3]);
}

template <typename P>
inline void depthwise_conv_2d_mve(const int8_t* input, const int8_t* weights, const int32_t* channels, int8_t* strips,
                                  int8_t* output) {
  using S = Strips<P>;
  constexpr int32_t kRest = P::kOutputWidth % 4;
  constexpr int32_t kVectors = S::kPairs ? 2 : S::kChunks;
  const uint32x4_t pixels = vmulq_n_u32(vidupq_n_u32(0, 1), P::kOutputDepth);
  for (int32_t batch = 0; batch < P::kBatches; ++batch) {
    int32_t ready = 0;  // the next row to read
    for (int32_t y = 0; y < P::kOutputHeight; ++y) {
      const int32_t top = y * P::kStrideHeight;
      if (ready < top) ready = top;  // a stride beyond the window's height leaves rows out
      for (; ready < top + P::kKernelHeight; ++ready) spread_row<P>(input, ready - P::kPadTop, strips + ready);
      const int8_t* row = strips + top;
      const int8_t* taps = weights;
      const int32_t* channel = channels;
      for (int32_t c = 0; c < P::kOutputDepth; ++c, taps += 16 * S::kChunks) {
        int8x16_t vectors[kVectors];
#pragma GCC unroll 8
        for (int32_t i = 0; i < kVectors; ++i) {
          vectors[i] = vldrbq_s8(S::kPairs ? taps + (i == 0 ? S::kStep : 0) : taps + 16 * i);
        }
        const int32_t bias = channel[0];
        const int32_t multiplier = P::kPerChannel ? channel[1] : P::kMultiplier;
        const int32_t shift = P::kPerChannel ? channel[2] : P::kShift;
        channel += P::kPerChannel ? 3 : 1;
        const auto finished = [&](int32x4_t sums) {
          return requantized<P>(vaddq_n_s32(sums, bias), multiplier, shift);
        };
        const int8_t* x = row;
        int8_t* to = output + c;
        for (int32_t i = 0; i < P::kOutputWidth / 4; ++i, x += 4 * S::kStep, to += 4 * P::kOutputDepth) {
          const int32x4_t sums = multiply_windows<P, 4>(x, vectors);
          vstrbq_scatter_offset_s32(to, pixels, finished(sums));
        }
        if (kRest > 0) {
          const int32x4_t sums = multiply_windows<P, kRest>(x, vectors);
          vstrbq_scatter_offset_p_s32(to, pixels, finished(sums), vctp32q(kRest));
        }
        if (P::kDepthMultiplier == 1 || (c + 1) % P::kDepthMultiplier == 0) row += S::kStrip;
      }
      output += P::kOutputWidth * P::kOutputDepth;
    }
    input += P::kInputHeight * P::kInputWidth * P::kInputDepth;
  }
}

}  // namespace tinydeploy
