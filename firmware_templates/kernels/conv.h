// CONV_2D of int8: NHWC, weights [output channel][y][x][input channel of the group].
//
// The bias comes with the input's zero point folded in: bias[c] - zero point * (sum of the weights of c), so
// that raw input values are multiplied. Padding then reads as the zero point.
//
// Output pixels are made in order, kRows channels at a time, each from all of its window before any of it is
// written: the output may follow the reading through the input's memory.
#pragma once

#include <stdint.h>

#include "addend.h"
#include "dot.h"
#include "window.h"

namespace tinydeploy {

// Adds the window's products to the sums of kRows neighbouring output channels of one group. `input` is the
// image from the group's first channel on; `weights` starts at the first of the output channels.
template <typename P, int32_t kRows>
inline void convolve(const int8_t* input, const int8_t* weights, Window at, uint32_t* sums) {
  constexpr int32_t kDepth = P::kInputDepth / P::kGroups;
  constexpr int32_t kRowStride = P::kKernelHeight * P::kKernelWidth * kDepth;
  constexpr bool kRowsAreContiguous = P::kGroups == 1 && P::kDilationWidth == 1;
  for (int32_t ky = 0; ky < P::kKernelHeight; ++ky) {
    const int32_t y = at.y + ky * P::kDilationHeight;
    const int8_t* w = weights + ky * P::kKernelWidth * kDepth;
    if (kRowsAreContiguous && at.inside) {
      const int8_t* row = input + (y * P::kInputWidth + at.x) * P::kInputDepth;
      accumulate<kRows, P::kKernelWidth * kDepth, kRowStride>(row, w, sums);
      continue;
    }
    for (int32_t kx = 0; kx < P::kKernelWidth; ++kx, w += kDepth) {
      const int32_t x = at.x + kx * P::kDilationWidth;
      if (at.inside || is_inside<P>(y, x)) {
        const int8_t* pixel = input + (y * P::kInputWidth + x) * P::kInputDepth;
        accumulate<kRows, kDepth, kRowStride>(pixel, w, sums);
      } else {
        accumulate_same<kRows, kDepth, kRowStride>(P::kInputZeroPoint, w, sums);
      }
    }
  }
}

template <typename P, typename... Addend>
inline void conv_2d(const int8_t* input, const int8_t* weights, const int32_t* bias, const int32_t* multiplier,
                    const int8_t* shift, int8_t* output, const Addend*... addend) {
  constexpr int32_t kDepth = P::kInputDepth / P::kGroups;
  constexpr int32_t kChannelWeights = P::kKernelHeight * P::kKernelWidth * kDepth;
  constexpr int32_t kGroupChannels = P::kOutputDepth / P::kGroups;
  constexpr int32_t kRows = kGroupChannels % 4 == 0 ? 4 : kGroupChannels % 2 == 0 ? 2 : 1;
  auto to = destination<P>(output, addend...);
  for (int32_t batch = 0; batch < P::kBatches; ++batch) {
    for (int32_t y = 0; y < P::kOutputHeight; ++y) {
      for (int32_t x = 0; x < P::kOutputWidth; ++x) {
        const Window at = window_at<P>(y, x);
        for (int32_t channel = 0; channel < P::kOutputDepth; channel += kRows) {
          const int32_t group = channel / kGroupChannels;
          uint32_t sums[kRows];
          for (int32_t r = 0; r < kRows; ++r) sums[r] = static_cast<uint32_t>(bias[channel + r]);
          convolve<P, kRows>(input + group * kDepth, weights + channel * kChannelWeights, at, sums);
          store<P, kRows>(sums, channel, multiplier, shift, to);
        }
        to += P::kOutputDepth;
      }
    }
    input += P::kInputHeight * P::kInputWidth * P::kInputDepth;
  }
}

}  // namespace tinydeploy
