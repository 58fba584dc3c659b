// TRANSPOSE_CONV of int8, or of int16 with weights of int8 and a bias of int64: NHWC, weights
// [output channel][y][x][input channel].
#pragma once

#include <stdint.h>

#include "dot.h"
#include "window.h"

namespace tinydeploy {

// An output pixel takes the weights of every kStride-th row and column alone: which ones is its phase. Taps that lie
// outside the input read as its zero point. The bias [kStrideHeight][kStrideWidth][kOutputDepth] of each phase has the
// zero point folded in, as for conv_2d.
//
// Output pixels are made in order, kRows channels at a time, each from all that it takes before any of it is written:
// the output may follow the reading through the input's memory.
template <typename P, typename T, typename Bias>
inline void transpose_conv(const T* input, const int8_t* weights, const Bias* bias, const int32_t* multiplier,
                           const int8_t* shift, T* output) {
  using Sum = typename SumOf<T>::Type;
  constexpr int32_t kDepth = P::kInputDepth;
  constexpr int32_t kChannelWeights = P::kKernelHeight * P::kKernelWidth * kDepth;
  constexpr int32_t kRows = P::kOutputDepth % 4 == 0 ? 4 : P::kOutputDepth % 2 == 0 ? 2 : 1;
  for (int32_t batch = 0; batch < P::kBatches; ++batch) {
    for (int32_t y = 0; y < P::kOutputHeight; ++y) {
      const int32_t phase_y = (y + P::kPadTop) % P::kStrideHeight;
      for (int32_t x = 0; x < P::kOutputWidth; ++x) {
        const int32_t phase_x = (x + P::kPadLeft) % P::kStrideWidth;
        const Bias* start = bias + (phase_y * P::kStrideWidth + phase_x) * P::kOutputDepth;
        for (int32_t channel = 0; channel < P::kOutputDepth; channel += kRows) {
          Sum sums[kRows];
          for (int32_t r = 0; r < kRows; ++r) sums[r] = static_cast<Sum>(start[channel + r]);
          int32_t from_y = (y + P::kPadTop) / P::kStrideHeight;
          for (int32_t ky = phase_y; ky < P::kKernelHeight; ky += P::kStrideHeight, --from_y) {
            int32_t from_x = (x + P::kPadLeft) / P::kStrideWidth;
            for (int32_t kx = phase_x; kx < P::kKernelWidth; kx += P::kStrideWidth, --from_x) {
              const int8_t* w =
                  weights + channel * kChannelWeights + (ky * P::kKernelWidth + kx) * kDepth;
              if (is_inside<P>(from_y, from_x)) {
                const T* pixel = input + (from_y * P::kInputWidth + from_x) * kDepth;
                accumulate<kRows, kDepth, kChannelWeights>(pixel, w, sums);
              } else if (P::kInputZeroPoint != 0) {
                accumulate_same<kRows, kDepth, kChannelWeights>(P::kInputZeroPoint, w, sums);
              }
            }
          }
          store<P, kRows>(sums, channel, multiplier, shift, output);
        }
        output += P::kOutputDepth;
      }
    }
    input += P::kInputHeight * P::kInputWidth * kDepth;
  }
}

}  // namespace tinydeploy
