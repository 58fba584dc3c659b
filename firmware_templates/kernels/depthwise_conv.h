// DEPTHWISE_CONV_2D of int8: NHWC, weights [y][x][output channel]. Input channel c makes the output channels
// from c * kDepthMultiplier on. The bias comes with the input's zero point folded in, as for conv_2d.
//
// Output elements are made in order, each written after its window has been read: the output may follow the
// reading through the input's memory.
#pragma once

#include <stdint.h>

#include "requantize.h"
#include "window.h"

namespace tinydeploy {

// The products of one channel's window; `input` and `weights` start at the channel. Inside the image, every
// tap is at a constant distance from the first, which pays if the loops are unrolled.
template <typename P>
inline uint32_t convolve_channel(const int8_t* input, const int8_t* weights, Window at) {
  uint32_t sum = 0;
  if (at.inside) {
    input += (at.y * P::kInputWidth + at.x) * P::kInputDepth;
#pragma GCC unroll 8
    for (int32_t ky = 0; ky < P::kKernelHeight; ++ky) {
#pragma GCC unroll 8
      for (int32_t kx = 0; kx < P::kKernelWidth; ++kx) {
        const int32_t y = ky * P::kDilationHeight;
        const int32_t x = kx * P::kDilationWidth;
        const int32_t value = input[(y * P::kInputWidth + x) * P::kInputDepth];
        sum += static_cast<uint32_t>(value * weights[(ky * P::kKernelWidth + kx) * P::kOutputDepth]);
      }
    }
    return sum;
  }
  for (int32_t ky = 0; ky < P::kKernelHeight; ++ky) {
    for (int32_t kx = 0; kx < P::kKernelWidth; ++kx) {
      const int32_t y = at.y + ky * P::kDilationHeight;
      const int32_t x = at.x + kx * P::kDilationWidth;
      const int32_t value =
          is_inside<P>(y, x) ? input[(y * P::kInputWidth + x) * P::kInputDepth] : P::kInputZeroPoint;
      sum += static_cast<uint32_t>(value * weights[(ky * P::kKernelWidth + kx) * P::kOutputDepth]);
    }
  }
  return sum;
}

template <typename P>
inline void depthwise_conv_2d(const int8_t* input, const int8_t* weights, const int32_t* bias,
                              const int32_t* multiplier, const int8_t* shift, int8_t* output) {
  for (int32_t batch = 0; batch < P::kBatches; ++batch) {
    for (int32_t y = 0; y < P::kOutputHeight; ++y) {
      for (int32_t x = 0; x < P::kOutputWidth; ++x) {
        const Window at = window_at<P>(y, x);
        for (int32_t channel = 0; channel < P::kOutputDepth; ++channel) {
          const uint32_t sum =
              static_cast<uint32_t>(bias[channel]) +
              convolve_channel<P>(input + channel / P::kDepthMultiplier, weights + channel, at);
          const int32_t scale = P::kPerChannel ? channel : 0;
          output[channel] = requantize<P>(sum, multiplier[scale], shift[scale]);
        }
        output += P::kOutputDepth;
      }
    }
    input += P::kInputHeight * P::kInputWidth * P::kInputDepth;
  }
}

}  // namespace tinydeploy
