// CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED with int16 activations and int8 weights: NHWC, weights in the order
// of the int8 kernels. All zero points are 0, so what lies beyond the input is left out.
//
// Sums are made in 64 bits. With a bias of 64 bits they are scaled as such: P::kWideSums says so, `multiplier` then has
// 15 fractional bits and `shift` is the whole shift to the right. With one of 32 bits they wrap around, and
// multiplier and shift are those of requantize.h.
//
// Output elements are made in order, each written after its window has been read: the output may follow the reading
// through the input's memory.
#pragma once

#include <stdint.h>

#include "requantize.h"
#include "window.h"

namespace tinydeploy {

// The dot product of int16 and int8. A run of 511 products surely fits in 32 bits.
inline int64_t dot_16x8(const int16_t* x, const int8_t* weights, int32_t length) {
  constexpr int32_t kRun = 511;
  int64_t sum = 0;
  for (int32_t first = 0; first < length; first += kRun) {
    const int32_t end = minimum(first + kRun, length);
    int32_t run = 0;
    for (int32_t i = first; i < end; ++i) run += static_cast<int32_t>(x[i]) * weights[i];
    sum += run;
  }
  return sum;
}

template <typename P>
inline int16_t requantize_16x8(int64_t sum, int32_t multiplier, int32_t shift) {
  if (P::kWideSums) return requantize<P>(sum, multiplier, shift);
  const int32_t scaled = multiply_by_quantized_multiplier(static_cast<int32_t>(sum), multiplier, shift);
  return static_cast<int16_t>(clamp(scaled, P::kActivationMin, P::kActivationMax));
}

template <typename P, typename Bias>
void fully_connected_16x8(const int16_t* input, const int8_t* weights, const Bias* bias, const int32_t* multiplier,
                          const int8_t* shift, int16_t* output) {
  for (int32_t row = 0; row < P::kRows; ++row, input += P::kInputDepth) {
    for (int32_t channel = 0; channel < P::kOutputDepth; ++channel) {
      const int64_t sum = bias[channel] + dot_16x8(input, weights + channel * P::kInputDepth, P::kInputDepth);
      const int32_t scale = P::kPerChannel ? channel : 0;
      *output++ = requantize_16x8<P>(sum, multiplier[scale], shift[scale]);
    }
  }
}

// The products of one output channel's window; `input` is the image from the channel's group on.
template <typename P>
inline int64_t convolve_16x8(const int16_t* input, const int8_t* weights, Window at) {
  constexpr int32_t kDepth = P::kInputDepth / P::kGroups;
  constexpr bool kRowsAreContiguous = P::kGroups == 1 && P::kDilationWidth == 1;
  int64_t sum = 0;
  for (int32_t ky = 0; ky < P::kKernelHeight; ++ky) {
    const int32_t y = at.y + ky * P::kDilationHeight;
    if (y < 0 || y >= P::kInputHeight) continue;
    const int16_t* row = input + y * P::kInputWidth * P::kInputDepth;
    const int8_t* w = weights + ky * P::kKernelWidth * kDepth;
    if (kRowsAreContiguous) {
      const int32_t first = maximum(-at.x, 0);
      const int32_t last = minimum(P::kInputWidth - at.x, P::kKernelWidth);
      sum += dot_16x8(row + (at.x + first) * kDepth, w + first * kDepth, (last - first) * kDepth);
      continue;
    }
    for (int32_t kx = 0; kx < P::kKernelWidth; ++kx, w += kDepth) {
      const int32_t x = at.x + kx * P::kDilationWidth;
      if (x >= 0 && x < P::kInputWidth) sum += dot_16x8(row + x * P::kInputDepth, w, kDepth);
    }
  }
  return sum;
}

template <typename P, typename Bias>
void conv_2d_16x8(const int16_t* input, const int8_t* weights, const Bias* bias, const int32_t* multiplier,
                  const int8_t* shift, int16_t* output) {
  constexpr int32_t kDepth = P::kInputDepth / P::kGroups;
  constexpr int32_t kChannelWeights = P::kKernelHeight * P::kKernelWidth * kDepth;
  constexpr int32_t kGroupChannels = P::kOutputDepth / P::kGroups;
  for (int32_t batch = 0; batch < P::kBatches; ++batch) {
    for (int32_t y = 0; y < P::kOutputHeight; ++y) {
      for (int32_t x = 0; x < P::kOutputWidth; ++x) {
        const Window at = window_at<P>(y, x);
        for (int32_t channel = 0; channel < P::kOutputDepth; ++channel) {
          const int16_t* group = input + channel / kGroupChannels * kDepth;
          const int64_t sum = bias[channel] + convolve_16x8<P>(group, weights + channel * kChannelWeights, at);
          const int32_t scale = P::kPerChannel ? channel : 0;
          *output++ = requantize_16x8<P>(sum, multiplier[scale], shift[scale]);
        }
      }
    }
    input += P::kInputHeight * P::kInputWidth * P::kInputDepth;
  }
}

// Weights [y][x][output channel]; input channel c makes the output channels from c * kDepthMultiplier on.
template <typename P, typename Bias>
void depthwise_conv_2d_16x8(const int16_t* input, const int8_t* weights, const Bias* bias,
                            const int32_t* multiplier, const int8_t* shift, int16_t* output) {
  for (int32_t batch = 0; batch < P::kBatches; ++batch) {
    for (int32_t y = 0; y < P::kOutputHeight; ++y) {
      for (int32_t x = 0; x < P::kOutputWidth; ++x) {
        const Window at = window_at<P>(y, x);
        for (int32_t channel = 0; channel < P::kOutputDepth; ++channel) {
          int64_t sum = bias[channel];
          for (int32_t ky = 0; ky < P::kKernelHeight; ++ky) {
            for (int32_t kx = 0; kx < P::kKernelWidth; ++kx) {
              const int32_t in_y = at.y + ky * P::kDilationHeight;
              const int32_t in_x = at.x + kx * P::kDilationWidth;
              if (!at.inside && !is_inside<P>(in_y, in_x)) continue;
              const int32_t value =
                  input[(in_y * P::kInputWidth + in_x) * P::kInputDepth + channel / P::kDepthMultiplier];
              sum += value * weights[(ky * P::kKernelWidth + kx) * P::kOutputDepth + channel];
            }
          }
          const int32_t scale = P::kPerChannel ? channel : 0;
          *output++ = requantize_16x8<P>(sum, multiplier[scale], shift[scale]);
        }
      }
    }
    input += P::kInputHeight * P::kInputWidth * P::kInputDepth;
  }
}

}  // namespace tinydeploy
