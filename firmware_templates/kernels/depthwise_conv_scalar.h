// DEPTHWISE_CONV_2D of int8 without dilation, on cores that multiply one pair of numbers at a time: row by row, and
// in a row channel by channel, P::kBlockPixels neighbouring outputs at once from shared inputs and weights.
//
// Weights come channel by channel: [output channel][y][x]. Of an output row, channel c is written before channel
// c + 1 is read: see overlap.py for how far the output may run into the input.
#pragma once

#include <stdint.h>

#include "scalar.h"

namespace tinydeploy {

#define TINYDEPLOY_UNROLLED(i) [&](auto i) __attribute__((always_inline))

// Adds the products of `rows` rows of the windows of kOutputs neighbouring outputs. On a Cortex-M3, of a row of
// three: 21 instructions for the 12 products of four outputs, and 4 for the loop; on RISC-V 33 and 3.
template <typename P, int32_t kOutputs>
[[gnu::always_inline]] inline void convolve_outputs(const int8_t* input, const int8_t* weights, int32_t rows,
                                                    uint32_t (&sums)[kOutputs]) {
  constexpr int32_t kWidth = P::kKernelWidth;
  for (; rows > 0; --rows) {
    int32_t w[kWidth];
    repeat<kWidth>(TINYDEPLOY_UNROLLED(i) { w[i] = load(weights + i); });
    repeat<(kOutputs - 1) * P::kStrideWidth + kWidth>(TINYDEPLOY_UNROLLED(x) {
      const int32_t value = load(input + x * P::kInputDepth);
      repeat<kOutputs>(TINYDEPLOY_UNROLLED(o) {
        constexpr int32_t kTap = decltype(x)::value - decltype(o)::value * P::kStrideWidth;
        if constexpr (kTap >= 0 && kTap < kWidth) add_product(sums[o], value, w[kTap]);
      });
    });
    weights += kWidth;
    input += P::kInputWidth * P::kInputDepth;
  }
}

template <typename P>
inline void depthwise_conv_2d_scalar(const int8_t* input, const int8_t* weights, const int32_t* bias,
                                     const int32_t* multiplier, const int8_t* shift, int8_t* output) {
  constexpr int32_t kTaps = P::kKernelHeight * P::kKernelWidth;
  constexpr int32_t kStride = P::kStrideWidth;
  // The outputs [kFirst, kEnd) of a row have windows that lie between the sides of the image.
  constexpr int32_t kFirst = minimum((P::kPadLeft + kStride - 1) / kStride, P::kOutputWidth);
  constexpr int32_t kRoom = P::kInputWidth + P::kPadLeft - P::kKernelWidth;
  constexpr int32_t kEnd = maximum(kFirst, minimum(kRoom < 0 ? 0 : kRoom / kStride + 1, P::kOutputWidth));
  for (int32_t batch = 0; batch < P::kBatches; ++batch) {
    for (int32_t y = 0; y < P::kOutputHeight; ++y) {
      const int32_t top = y * P::kStrideHeight - P::kPadTop;
      // The window's rows above the image, and those in it.
      const int32_t above = clamp(-top, 0, P::kKernelHeight);
      const int32_t inside = clamp(P::kInputHeight - top, above, P::kKernelHeight) - above;
      const int8_t* row = input + (top + above) * P::kInputWidth * P::kInputDepth;
      const int8_t* w = weights;
      for (int32_t channel = 0; channel < P::kOutputDepth; ++channel, w += kTaps) {
        const Requantization<P> requantized(multiplier, shift, channel);
        const int8_t* from = row + channel / P::kDepthMultiplier;
        const int8_t* taps = w + above * P::kKernelWidth;
        uint32_t start = static_cast<uint32_t>(bias[channel]);
        if (P::kPadded && inside < P::kKernelHeight) {
          int32_t missing = 0;
          for (const int8_t* i = w; i != taps; ++i) missing += *i;
          for (const int8_t* i = taps + inside * P::kKernelWidth; i != w + kTaps; ++i) missing += *i;
          start += static_cast<uint32_t>(missing * P::kInputZeroPoint);
        }
        int8_t* to = output + channel;
        const auto edge = [&](int32_t x) {
          const int32_t left = x * kStride - P::kPadLeft;
          uint32_t sum = start;
          for (int32_t kx = 0; kx < P::kKernelWidth; ++kx) {
            const int8_t* tap = taps + kx;
            const int8_t* value = from + (left + kx) * P::kInputDepth;
            const bool is_in = left + kx >= 0 && left + kx < P::kInputWidth;
            for (int32_t ky = 0; ky < inside; ++ky, tap += P::kKernelWidth) {
              add_product(sum, is_in ? *value : P::kInputZeroPoint, *tap);
              value += P::kInputWidth * P::kInputDepth;
            }
          }
          *to = requantized(sum);
          to += P::kOutputDepth;
        };
        const auto block = [&](auto count) __attribute__((always_inline)) {
          constexpr int32_t kOutputs = decltype(count)::value;
          uint32_t sums[kOutputs];
          repeat<kOutputs>(TINYDEPLOY_UNROLLED(o) { sums[o] = start; });
          convolve_outputs<P>(from, taps, inside, sums);
          repeat<kOutputs>(TINYDEPLOY_UNROLLED(o) { to[o * P::kOutputDepth] = requantized(sums[o]); });
          to += kOutputs * P::kOutputDepth;
          from += kOutputs * kStride * P::kInputDepth;
        };
        int32_t x = 0;
        for (; x < kFirst; ++x) edge(x);
        if constexpr (kFirst < kEnd) {
          const int8_t* const column = from;
          from += (kFirst * kStride - P::kPadLeft) * P::kInputDepth;
          for (; x + P::kBlockPixels <= kEnd; x += P::kBlockPixels) block(Index<P::kBlockPixels>());
          if constexpr ((kEnd - kFirst) % P::kBlockPixels != 0) {
            for (; x < kEnd; ++x) block(Index<1>());
          }
          from = column;
        }
        for (; x < P::kOutputWidth; ++x) edge(x);
      }
      output += P::kOutputWidth * P::kOutputDepth;
    }
    input += P::kInputHeight * P::kInputWidth * P::kInputDepth;
  }
}

#undef TINYDEPLOY_UNROLLED

}  // namespace tinydeploy
