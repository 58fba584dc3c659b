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
    const int32_t at = kPostIncrement ? 0 : k;
    int32_t values[kPixels];
    repeat<kPixels, 1>(TINYDEPLOY_UNROLLED(p) { values[p] = load(input + p * kStride + at); });
    values[0] = kPostIncrement ? load_next(input) : load(input + at);
    repeat<kChannels>(TINYDEPLOY_UNROLLED(c) {
      const int32_t weight = kPostIncrement ? load_next(weights) : load(weights + at * kChannels + c);
      repeat<kPixels>(TINYDEPLOY_UNROLLED(p) { add_product(sums[c][p], weight, values[p]); });
    });
  };
  if constexpr (kLength >= kTogether) {
    const int8_t* const end = input + kLength / kTogether * kTogether;
    do {
      repeat<kTogether>(multiply);
      if (!kPostIncrement) {
        input += kTogether;
        weights += kTogether * kChannels;
      }
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
    const ScalarRequantization<P> requantized(multiplier, shift, channel + c);
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

// One channel of four pixels, whose inputs lie in columns of words: those of one position side by side. A Cortex-M0+
// has few registers that it can load to and multiply in, but LDM brings four words at once, and sums may stay in the
// other registers: 11 instructions for four products.
template <int32_t kLength>
inline void multiply_columns(const int32_t* columns, const int8_t* weights, uint32_t (&sums)[4]) {
#if defined(__ARM_ARCH_6M__)
#define TINYDEPLOY_STEP                      \
  "ldrsb r4, [%[weights], %[i]]\n"          \
  "ldm   %[columns]!, {r0, r1, r2, r3}\n"   \
  "muls  r0, r4, r0\n"                      \
  "muls  r1, r4, r1\n"                      \
  "muls  r2, r4, r2\n"                      \
  "muls  r3, r4, r3\n"                      \
  "adds  %[i], #1\n"                        \
  "add   %[a], r0\n"                        \
  "add   %[b], r1\n"                        \
  "add   %[c], r2\n"                        \
  "add   %[d], r3\n"
#define TINYDEPLOY_STEPS(steps)                                                                                   \
  asm volatile(".syntax unified\n" steps                                                                          \
               : [columns] "+l"(columns), [i] "+l"(i), [a] "+h"(sums[0]), [b] "+h"(sums[1]), [c] "+h"(sums[2]),   \
                 [d] "+h"(sums[3])                                                                                \
               : [weights] "l"(weights)                                                                           \
               : "r0", "r1", "r2", "r3", "r4", "cc", "memory")
  // Written out, because GCC counts lines to know how far its branches reach. The index runs up to zero.
  int32_t i = -kLength;
  weights += kLength;
  if (kLength & 4) TINYDEPLOY_STEPS(TINYDEPLOY_STEP TINYDEPLOY_STEP TINYDEPLOY_STEP TINYDEPLOY_STEP);
  if (kLength & 2) TINYDEPLOY_STEPS(TINYDEPLOY_STEP TINYDEPLOY_STEP);
  if (kLength & 1) TINYDEPLOY_STEPS(TINYDEPLOY_STEP);
  if (kLength >= 8) {
    TINYDEPLOY_STEPS("1:\n" TINYDEPLOY_STEP TINYDEPLOY_STEP TINYDEPLOY_STEP TINYDEPLOY_STEP TINYDEPLOY_STEP
                         TINYDEPLOY_STEP TINYDEPLOY_STEP TINYDEPLOY_STEP "bne   1b\n");
  }
#undef TINYDEPLOY_STEPS
#undef TINYDEPLOY_STEP
#else
  for (int32_t i = 0; i < kLength; ++i) {
    // Modulo 2^32: of a block that is not full, the last columns hold anything.
    for (int32_t p = 0; p < 4; ++p) {
      sums[p] += static_cast<uint32_t>(columns[4 * i + p]) * static_cast<uint32_t>(weights[i]);
    }
  }
#endif
}

// All channels of the first kPixels pixels of four in columns.
template <typename P, int32_t kLength, int32_t kPixels>
[[gnu::noinline]] void convolve_rows(const int32_t* columns, const int8_t* weights, const int32_t* bias,
                                     const int32_t* multiplier, const int8_t* shift, int8_t* output) {
  static_assert(P::kBlockPixels == 4 && P::kBlockChannels == 1);
  for (int32_t channel = 0; channel < P::kOutputDepth; ++channel, weights += kLength, ++output) {
    uint32_t sums[4];
    repeat<4>(TINYDEPLOY_UNROLLED(p) { sums[p] = static_cast<uint32_t>(bias[channel]); });
    multiply_columns<kLength>(columns, weights, sums);
    const ScalarRequantization<P> requantized(multiplier, shift, channel);
    repeat<kPixels>(TINYDEPLOY_UNROLLED(p) { output[p * P::kOutputDepth] = requantized(sums[p]); });
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

// kLength values to every kSpacing-th place. Pixels of whole words start at whole words, because tensors do.
template <int32_t kLength, int32_t kDepth, int32_t kSpacing, typename T>
inline void copy_values(const int8_t* from, T* to) {
  if (sizeof(T) == 1 && kSpacing == 1 && kLength % 4 == 0 && kDepth % 4 == 0) {
    for (int32_t i = 0; i < kLength; i += 4) {
      __builtin_memcpy(__builtin_assume_aligned(to + i, 4), __builtin_assume_aligned(from + i, 4), 4);
    }
  } else {
#pragma GCC unroll 4
    for (int32_t i = 0; i < kLength; ++i) to[i * kSpacing] = from[i];
  }
}

// A window as a row of values kSpacing apart, padding and all.
template <typename P, int32_t kSpacing, typename T>
inline void gather_window(const int8_t* image, Window at, T* row) {
  constexpr int32_t kTaps = P::kDilationWidth == 1 ? P::kKernelWidth : 1;  // that lie together in the input
  constexpr int32_t kRun = kTaps * P::kInputDepth;
  for (int32_t ky = 0; ky < P::kKernelHeight; ++ky) {
    const int32_t y = at.y + ky * P::kDilationHeight;
    for (int32_t kx = 0; kx < P::kKernelWidth; kx += kTaps, row += kRun * kSpacing) {
      const int32_t x = at.x + kx * P::kDilationWidth;
      if (!P::kPadded || at.inside) {
        copy_values<kRun, P::kInputDepth, kSpacing>(image + (y * P::kInputWidth + x) * P::kInputDepth, row);
        continue;
      }
      for (int32_t tap = 0; tap < kTaps; ++tap) {
        const int8_t* pixel = image + (y * P::kInputWidth + x + tap) * P::kInputDepth;
        T* to = row + tap * P::kInputDepth * kSpacing;
        if (is_inside<P>(y, x + tap)) {
          copy_values<P::kInputDepth, P::kInputDepth, kSpacing>(pixel, to);
        } else {
          for (int32_t c = 0; c < P::kInputDepth; ++c) to[c * kSpacing] = P::kInputZeroPoint;
        }
      }
    }
  }
}

// Any window, stride, dilation and padding, without groups. `rows` holds the windows of a block of pixels (of one image
// or of two), which are read before the block's outputs are written: bytes row by row, or words in columns (see multiply_columns).
template <typename P, typename T>
inline void conv_2d_scalar(const int8_t* input, const int8_t* weights, const int32_t* bias,
                           const int32_t* multiplier, const int8_t* shift, T* rows, int8_t* output) {
  constexpr int32_t kLength = P::kKernelHeight * P::kKernelWidth * P::kInputDepth;
  constexpr int32_t kPixels = P::kBatches * P::kOutputHeight * P::kOutputWidth;
  constexpr int32_t kRest = kPixels % P::kBlockPixels;
  constexpr bool kColumns = sizeof(T) > 1;
  int32_t y = 0;
  int32_t x = 0;
  const auto gather = [&](int32_t count) {
#pragma GCC unroll 1
    for (int32_t p = 0; p < count; ++p) {
      gather_window<P, kColumns ? P::kBlockPixels : 1>(input, window_at<P>(y, x), rows + p * (kColumns ? 1 : kLength));
      if (++x < P::kOutputWidth) continue;
      x = 0;
      if (++y < P::kOutputHeight) continue;
      y = 0;
      input += P::kInputHeight * P::kInputWidth * P::kInputDepth;
    }
  };
  for (int32_t pixel = 0; pixel + P::kBlockPixels <= kPixels; pixel += P::kBlockPixels) {
    gather(P::kBlockPixels);
    convolve_rows<P, kLength, P::kBlockPixels>(rows, weights, bias, multiplier, shift, output);
    output += P::kBlockPixels * P::kOutputDepth;
  }
  if constexpr (kRest > 0) {
    constexpr int32_t kTogether = kColumns ? kRest : 1;
    for (int32_t pixel = 0; pixel < kRest; pixel += kTogether) {
      gather(kTogether);
      convolve_rows<P, kLength, kTogether>(rows, weights, bias, multiplier, shift, output);
      output += kTogether * P::kOutputDepth;
    }
  }
}

// A 1×1 window on each of P::kBatches pixels by way of columns.
template <typename P>
inline void fully_connected_scalar(const int8_t* input, const int8_t* weights, const int32_t* bias,
                                   const int32_t* multiplier, const int8_t* shift, int32_t* columns, int8_t* output) {
  constexpr int32_t kDepth = P::kInputDepth;
  constexpr int32_t kRest = P::kBatches % P::kBlockPixels;
  const auto gather = [&](int32_t count) {
#pragma GCC unroll 1
    for (int32_t p = 0; p < count; ++p, input += kDepth) {
      copy_values<kDepth, kDepth, P::kBlockPixels>(input, columns + p);
    }
  };
  for (int32_t pixel = 0; pixel + P::kBlockPixels <= P::kBatches; pixel += P::kBlockPixels) {
    gather(P::kBlockPixels);
    convolve_rows<P, kDepth, P::kBlockPixels>(columns, weights, bias, multiplier, shift, output);
    output += P::kBlockPixels * P::kOutputDepth;
  }
  if constexpr (kRest > 0) {
    gather(kRest);
    convolve_rows<P, kDepth, kRest>(columns, weights, bias, multiplier, shift, output);
  }
}

#undef TINYDEPLOY_UNROLLED

}  // namespace tinydeploy
