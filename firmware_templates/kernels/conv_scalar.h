// CONV_2D and FULLY_CONNECTED of int8 on cores that multiply one pair of numbers at a time: blocks of
// P::kBlockChannels channels and P::kBlockPixels pixels, whose sums stay in registers, so that every weight and
// input is loaded once per block. Channels and pixels that are left over make smaller blocks.
//
// The weights of a block lie in the order of reading: [input of the window][channel]. The host chooses the sizes
// for the core (scalar.py).
#pragma once

#include <stdint.h>

#include "scalar.h"
#include "window.h"

namespace tinydeploy {

#define TINYDEPLOY_UNROLLED(i) [&](auto i) __attribute__((always_inline))

// sums[c][p] += the products of kLength inputs of each pixel, whose rows start kStride apart. On RISC-V 4 × 4: 40
// instructions for 16 products; on a Cortex-M3 4 × 2: 14 for 8, and 8 × 1: 17 for 8.
template <int32_t kLength, int32_t kStride, int32_t kChannels, int32_t kPixels>
[[gnu::always_inline]] inline void multiply_block(const int8_t* input, const int8_t* weights,
                                                  uint32_t (&sums)[kChannels][kPixels]) {
  constexpr int32_t kTogether = kChannels * kPixels > 8 ? 4 : 8;
  const auto multiply = TINYDEPLOY_UNROLLED(k) {
    int32_t values[kPixels];
    repeat<kPixels>(TINYDEPLOY_UNROLLED(p) { values[p] = load(input + p * kStride + k); });
    repeat<kChannels>(TINYDEPLOY_UNROLLED(c) {
      const int32_t weight = load(weights + k * kChannels + c);
      repeat<kPixels>(TINYDEPLOY_UNROLLED(p) { add_product(sums[c][p], weight, values[p]); });
    });
  };
  if constexpr (kLength >= kTogether) {
    const int8_t* const end = input + kLength / kTogether * kTogether;
    do {
      repeat<kTogether>(multiply);
      input += kTogether;
      weights += kTogether * kChannels;
    } while (input != end);
  }
  repeat<kLength % kTogether>(multiply);
}

// kChannels channels of kPixels pixels from `channel` on.
template <typename P, int32_t kLength, int32_t kStride, int32_t kChannels, int32_t kPixels>
inline void convolve_block(const int8_t* input, const int8_t* weights, const int32_t* bias,
                           const int32_t* multiplier, const int8_t* shift, int32_t channel, int8_t* output) {
  uint32_t sums[kChannels][kPixels];
  repeat<kChannels>(TINYDEPLOY_UNROLLED(c) {
    repeat<kPixels>(TINYDEPLOY_UNROLLED(p) { sums[c][p] = static_cast<uint32_t>(bias[channel + c]); });
  });
  multiply_block<kLength, kStride>(input, weights, sums);
  repeat<kChannels>(TINYDEPLOY_UNROLLED(c) {
    const Requantization<P> requantized(multiplier, shift, channel + c);
    repeat<kPixels>(TINYDEPLOY_UNROLLED(p) {
      output[p * P::kOutputDepth + channel + c] = requantized(sums[c][p]);
    });
  });
}

// All channels of kPixels pixels, each a row of kLength inputs. A function of its own, because the multiplication
// leaves few registers to the code around it.
template <typename P, int32_t kLength, int32_t kPixels>
[[gnu::noinline]] void convolve_rows(const int8_t* rows, const int8_t* weights, const int32_t* bias,
                                     const int32_t* multiplier, const int8_t* shift, int8_t* output) {
  constexpr int32_t kBlock = P::kBlockChannels;
  constexpr int32_t kRest = P::kOutputDepth % kBlock;
  int32_t channel = 0;
  for (; channel + kBlock <= P::kOutputDepth; channel += kBlock, weights += kBlock * kLength) {
    convolve_block<P, kLength, kLength, kBlock, kPixels>(rows, weights, bias, multiplier, shift, channel, output);
  }
  if constexpr (kRest > 0) {
    convolve_block<P, kLength, kLength, kRest, kPixels>(rows, weights, bias, multiplier, shift, channel, output);
  }
}

// Rows of kInputDepth values times the matrix of weights: also a 1×1 window on each of P::kBatches pixels. A block's
// outputs are written when all of its rows have been read.
template <typename P>
inline void fully_connected_scalar(const int8_t* input, const int8_t* weights, const int32_t* bias,
                                   const int32_t* multiplier, const int8_t* shift, int8_t* output) {
  constexpr int32_t kPixels = P::kBlockPixels;
  int32_t pixel = 0;
  for (; pixel + kPixels <= P::kBatches; pixel += kPixels) {
    convolve_rows<P, P::kInputDepth, kPixels>(input, weights, bias, multiplier, shift, output);
    input += kPixels * P::kInputDepth;
    output += kPixels * P::kOutputDepth;
  }
  if (P::kBatches % kPixels == 0) return;
  for (; pixel < P::kBatches; ++pixel) {
    convolve_rows<P, P::kInputDepth, 1>(input, weights, bias, multiplier, shift, output);
    input += P::kInputDepth;
    output += P::kOutputDepth;
  }
}

// kLength values. Pixels of whole words start at whole words, because tensors do.
template <int32_t kLength, int32_t kDepth>
inline void copy_values(const int8_t* from, int8_t* to) {
  if (kLength % 4 == 0 && kDepth % 4 == 0) {
    for (int32_t i = 0; i < kLength; i += 4) {
      __builtin_memcpy(__builtin_assume_aligned(to + i, 4), __builtin_assume_aligned(from + i, 4), 4);
    }
  } else {
    for (int32_t i = 0; i < kLength; ++i) to[i] = from[i];
  }
}

// A window as a row of values, padding and all.
template <typename P>
inline void gather_window(const int8_t* image, Window at, int8_t* row) {
  constexpr int32_t kTaps = P::kDilationWidth == 1 ? P::kKernelWidth : 1;  // that lie together in the input
  constexpr int32_t kRun = kTaps * P::kInputDepth;
  for (int32_t ky = 0; ky < P::kKernelHeight; ++ky) {
    const int32_t y = at.y + ky * P::kDilationHeight;
    for (int32_t kx = 0; kx < P::kKernelWidth; kx += kTaps, row += kRun) {
      const int32_t x = at.x + kx * P::kDilationWidth;
      if (!P::kPadded || at.inside) {
        copy_values<kRun, P::kInputDepth>(image + (y * P::kInputWidth + x) * P::kInputDepth, row);
        continue;
      }
      for (int32_t tap = 0; tap < kTaps; ++tap) {
        const int8_t* pixel = image + (y * P::kInputWidth + x + tap) * P::kInputDepth;
        int8_t* to = row + tap * P::kInputDepth;
        if (is_inside<P>(y, x + tap)) {
          copy_values<P::kInputDepth, P::kInputDepth>(pixel, to);
        } else {
          for (int32_t c = 0; c < P::kInputDepth; ++c) to[c] = P::kInputZeroPoint;
        }
      }
    }
  }
}

// Any window, stride, dilation and padding, without groups. `rows` holds the windows of a block of pixels: they are
// read before the block's outputs are written.
template <typename P>
inline void conv_2d_scalar(const int8_t* input, const int8_t* weights, const int32_t* bias,
                           const int32_t* multiplier, const int8_t* shift, int8_t* rows, int8_t* output) {
  constexpr int32_t kLength = P::kKernelHeight * P::kKernelWidth * P::kInputDepth;
  constexpr int32_t kPixels = P::kOutputHeight * P::kOutputWidth;
  for (int32_t batch = 0; batch < P::kBatches; ++batch) {
    int32_t y = 0;
    int32_t x = 0;
    const auto gather = [&](int32_t count) {
#pragma GCC unroll 1
      for (int32_t p = 0; p < count; ++p) {
        gather_window<P>(input, window_at<P>(y, x), rows + p * kLength);
        if (++x == P::kOutputWidth) {
          x = 0;
          ++y;
        }
      }
    };
    int32_t pixel = 0;
    for (; pixel + P::kBlockPixels <= kPixels; pixel += P::kBlockPixels) {
      gather(P::kBlockPixels);
      convolve_rows<P, kLength, P::kBlockPixels>(rows, weights, bias, multiplier, shift, output);
      output += P::kBlockPixels * P::kOutputDepth;
    }
    if (kPixels % P::kBlockPixels != 0) {
      for (; pixel < kPixels; ++pixel) {
        gather(1);
        convolve_rows<P, kLength, 1>(rows, weights, bias, multiplier, shift, output);
        output += P::kOutputDepth;
      }
    }
    input += P::kInputHeight * P::kInputWidth * P::kInputDepth;
  }
}

#undef TINYDEPLOY_UNROLLED

}  // namespace tinydeploy
