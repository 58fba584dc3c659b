// DEPTHWISE_CONV_2D of int8 without dilation, on cores that multiply one pair of numbers at a time: row by row, and
// in a row channel by channel, P::kBlockPixels neighbouring outputs at once from shared inputs and weights.
//
// Weights come channel by channel: [output channel][y][x]. Of an output row, channel c is written before channel
// c + 1 is read: see input_overlap.py for how far the output may run into the input.
#pragma once

#include <stdint.h>

#include "scalar.h"

namespace tinydeploy {

#define TINYDEPLOY_UNROLLED(i) [&](auto i) __attribute__((always_inline))

// Adds the products of `rows` rows of the windows of kOutputs neighbouring outputs. Their first column is kColumn, and
// `input` points to it; columns beyond the image's sides, kColumn < 0 or from kInputWidth on, read as the zero point.
// On a Cortex-M3, of a row of three: 21 instructions for the 12 products of four outputs, and 4 for the loop; on
// RISC-V 33 and 3.
template <typename P, int32_t kOutputs, int32_t kColumn>
[[gnu::always_inline]] inline void convolve_outputs(const int8_t* input, const int8_t* weights, int32_t rows,
                                                    uint32_t (&sums)[kOutputs]) {
  constexpr int32_t kWidth = P::kKernelWidth;
  for (; rows > 0; --rows) {
    int32_t w[kWidth];
    repeat<kWidth>(TINYDEPLOY_UNROLLED(i) { w[i] = load(weights + i); });
    repeat<(kOutputs - 1) * P::kStrideWidth + kWidth>(TINYDEPLOY_UNROLLED(x) {
      constexpr bool kInside = kColumn + decltype(x)::value >= 0 && kColumn + decltype(x)::value < P::kInputWidth;
      int32_t value = P::kInputZeroPoint;
      if constexpr (kInside) value = load(input + x * P::kInputDepth);
      repeat<kOutputs>(TINYDEPLOY_UNROLLED(o) {
        constexpr int32_t kTap = decltype(x)::value - decltype(o)::value * P::kStrideWidth;
        if constexpr (kTap >= 0 && kTap < kWidth) add_product(sums[o], value, w[kTap]);
      });
    });
    weights += kWidth;
    input += P::kInputWidth * P::kInputDepth;
  }
}

// One channel of one output row. Of the window's rows, `inside` lie in the image; the first of them starts at
// `input`, and its weights at `weights`.
template <typename P>
[[gnu::always_inline]] inline void convolve_row(const int8_t* input, const int8_t* weights, int32_t inside, uint32_t start,
                         const ScalarRequantization<P>& requantized, int8_t* output) {
  constexpr int32_t kBlock = P::kBlockPixels;
  constexpr int32_t kStep = kBlock * P::kStrideWidth;
  constexpr int32_t kBlocks = (P::kOutputWidth + kBlock - 1) / kBlock;
  // The windows of the blocks [kFirst, kEnd) lie between the sides of the image.
  constexpr int32_t kFirst = minimum((P::kPadLeft + kStep - 1) / kStep, kBlocks);
  constexpr int32_t kRoom = P::kInputWidth + P::kPadLeft - P::kKernelWidth;
  constexpr int32_t kFit = kRoom < 0 ? 0 : minimum(kRoom / P::kStrideWidth + 1, P::kOutputWidth) / kBlock;
  constexpr int32_t kEnd = maximum(kFirst, kFit);
  const auto block = [&](auto outputs, auto column) __attribute__((always_inline)) {
    uint32_t sums[decltype(outputs)::value];
    repeat<decltype(outputs)::value>(TINYDEPLOY_UNROLLED(o) { sums[o] = start; });
    convolve_outputs<P, decltype(outputs)::value, decltype(column)::value>(input, weights, inside, sums);
    repeat<decltype(outputs)::value>(TINYDEPLOY_UNROLLED(o) { output[o * P::kOutputDepth] = requantized(sums[o]); });
    output += kBlock * P::kOutputDepth;
    input += kStep * P::kInputDepth;
  };
  const auto at_side = [&](auto number) __attribute__((always_inline)) {
    constexpr int32_t kOutputs = minimum(kBlock, P::kOutputWidth - decltype(number)::value * kBlock);
    block(Index<kOutputs>(), Index<decltype(number)::value * kStep - P::kPadLeft>());
  };
  input -= P::kPadLeft * P::kInputDepth;
  repeat<kFirst>(at_side);
  for (int32_t i = kFirst; i < kEnd; ++i) block(Index<kBlock>(), Index<0>());
  repeat<kBlocks, kEnd>(at_side);
}

template <typename P>
inline void depthwise_conv_2d_scalar(const int8_t* input, const int8_t* weights, const int32_t* bias,
                                     const int32_t* multiplier, const int8_t* shift, int8_t* output) {
  constexpr int32_t kTaps = P::kKernelHeight * P::kKernelWidth;
  for (int32_t batch = 0; batch < P::kBatches; ++batch) {
    for (int32_t y = 0; y < P::kOutputHeight; ++y) {
      const int32_t top = y * P::kStrideHeight - P::kPadTop;
      // The window's rows above the image, and those in it.
      const int32_t above = clamp(-top, 0, P::kKernelHeight);
      const int32_t inside = clamp(P::kInputHeight - top, above, P::kKernelHeight) - above;
      const int8_t* row = input + (top + above) * P::kInputWidth * P::kInputDepth;
      const int8_t* w = weights;
      for (int32_t channel = 0; channel < P::kOutputDepth; ++channel, w += kTaps) {
        const int8_t* const taps = w + above * P::kKernelWidth;
        uint32_t start = static_cast<uint32_t>(bias[channel]);
        if (P::kPadded && inside < P::kKernelHeight) {
          int32_t missing = 0;
          for (const int8_t* i = w; i != taps; ++i) missing += *i;
          for (const int8_t* i = taps + inside * P::kKernelWidth; i != w + kTaps; ++i) missing += *i;
          start += static_cast<uint32_t>(missing * P::kInputZeroPoint);
        }
        convolve_row<P>(row + channel / P::kDepthMultiplier, taps, inside, start,
                        ScalarRequantization<P>(multiplier, shift, channel), output + channel);
      }
      output += P::kOutputWidth * P::kOutputDepth;
    }
    input += P::kInputHeight * P::kInputWidth * P::kInputDepth;
  }
}

#undef TINYDEPLOY_UNROLLED

}  // namespace tinydeploy
