// CONV_2D and FULLY_CONNECTED of int8 on cores with MVE: VMLADAVA multiplies 16 inputs of a pixel with 16 weights of a
// channel, and four channels of two pixels go together.
//
// Weights come as [four channels][chunk of 16 inputs][channel][input], with zeros for what is not there. Beside them is
// a table of int32 for every four channels: four biases and, if P::kPerChannel, four multipliers and a word of four
// shifts. Otherwise P says kMultiplier and kShift.
//
// A window that lies together in the input (1×1, FULLY_CONNECTED) is read there, any other is copied into a column
// first. Four channels of two pixels are written after their windows have been read; a last pixel goes alone.
#pragma once

#include <stdint.h>

#include "mve.h"
#include "window.h"

namespace tinydeploy {

// Sums of four channels of a pixel over kLength inputs: ten instructions for 64 products. Moves on to the next weights.
template <int32_t kLength>
[[gnu::always_inline]] inline int32x4_t multiply_pixel(const int8_t*& weights, const int8_t* input) {
  int32_t a = 0, b = 0, c = 0, d = 0;
  const auto multiply = [&](int8x16_t x) {
    a = vmladavaq_s8(a, load_next(weights), x);
    b = vmladavaq_s8(b, load_next(weights), x);
    c = vmladavaq_s8(c, load_next(weights), x);
    d = vmladavaq_s8(d, load_next(weights), x);
  };
#pragma GCC unroll 1
  for (int32_t i = 0; i < kLength / 16; ++i) multiply(load_next(input));
  if (kLength % 16 > 0) multiply(load_first(input, kLength % 16));
  return make_vector(a, b, c, d);
}

#if defined(__ARM_FEATURE_MVE)

// The accumulators of VMLADAVA are even registers, and all eight are in use: 14 instructions for 128 products. One asm
// statement, because GCC would move the sums around between two.
#define TINYDEPLOY_INPUTS             \
  "vldrb.u8 %q[x], [%[first]], #16\n" \
  "vldrb.u8 %q[y], [%[second]], #16\n"
#define TINYDEPLOY_LAST_INPUTS    \
  "mov %[n], %[length] & 15\n"    \
  "vctp.8 %[n]\n"                 \
  "vpstt\n"                       \
  "vldrbt.u8 %q[x], [%[first]]\n" \
  "vldrbt.u8 %q[y], [%[second]]\n"
#define TINYDEPLOY_CHANNEL(multiply, w, a, b) \
  "vldrw.u32 %q[" w "], [%[weights]], #16\n"  \
  multiply " %[" a "], %q[" w "], %q[x]\n"    \
  multiply " %[" b "], %q[" w "], %q[y]\n"
#define TINYDEPLOY_CHANNELS(multiply)           \
  TINYDEPLOY_CHANNEL(multiply, "v", "a0", "b0") \
  TINYDEPLOY_CHANNEL(multiply, "w", "a1", "b1") \
  TINYDEPLOY_CHANNEL(multiply, "v", "a2", "b2") \
  TINYDEPLOY_CHANNEL(multiply, "w", "a3", "b3")
#define TINYDEPLOY_STEP TINYDEPLOY_INPUTS TINYDEPLOY_CHANNELS("vmladava.s8")

// The same of two pixels, kStride apart.
template <int32_t kLength, int32_t kStride>
[[gnu::always_inline]] inline void multiply_pixels(const int8_t*& weights, const int8_t* input, int32x4_t& a,
                                                   int32x4_t& b) {
  constexpr int32_t kMore = kLength / 16 - 1;  // chunks, after the one that sets the sums
  const int8_t* second = input + kStride;
  int32_t a0, a1, a2, a3, b0, b1, b2, b3, n;
  int8x16_t v, w, x, y;
  asm volatile(
      ".if %c[length] < 16\n"
      TINYDEPLOY_LAST_INPUTS TINYDEPLOY_CHANNELS("vmladav.s8")
      ".else\n"
      TINYDEPLOY_INPUTS TINYDEPLOY_CHANNELS("vmladav.s8")
      ".if %c[more] >= 4\n"
      "mov.w %[n], %[more] / 4\n"
      "0:\n"
      TINYDEPLOY_STEP TINYDEPLOY_STEP TINYDEPLOY_STEP TINYDEPLOY_STEP
      "subs %[n], %[n], #1\n"
      "bne.w 0b\n"
      ".endif\n"
      ".if %c[more] & 2\n"
      TINYDEPLOY_STEP TINYDEPLOY_STEP
      ".endif\n"
      ".if %c[more] & 1\n"
      TINYDEPLOY_STEP
      ".endif\n"
      ".if %c[length] & 15\n"
      TINYDEPLOY_LAST_INPUTS TINYDEPLOY_CHANNELS("vmladava.s8")
      ".endif\n"
      ".endif\n"
      : [a0] "=&Te"(a0), [a1] "=&Te"(a1), [a2] "=&Te"(a2), [a3] "=&Te"(a3), [b0] "=&Te"(b0),
        [b1] "=&Te"(b1), [b2] "=&Te"(b2), [b3] "=&Te"(b3), [v] "=&w"(v), [w] "=&w"(w), [x] "=&w"(x),
        [y] "=&w"(y), [weights] "+r"(weights), [first] "+r"(input), [second] "+r"(second), [n] "=&r"(n)
      : [length] "i"(kLength), [more] "i"(kMore)
      : "memory", "p0", "cc");
  a = make_vector(a0, a1, a2, a3);
  b = make_vector(b0, b1, b2, b3);
}

#undef TINYDEPLOY_STEP
#undef TINYDEPLOY_CHANNELS
#undef TINYDEPLOY_CHANNEL
#undef TINYDEPLOY_LAST_INPUTS
#undef TINYDEPLOY_INPUTS

#else

template <int32_t kLength, int32_t kStride>
inline void multiply_pixels(const int8_t*& weights, const int8_t* input, int32x4_t& a, int32x4_t& b) {
  const int8_t* again = weights;
  a = multiply_pixel<kLength>(again, input);
  b = multiply_pixel<kLength>(weights, input + kStride);
}

#endif

// All channels of kPixels pixels, whose kLength inputs lie kStride apart.
template <typename P, int32_t kLength, int32_t kStride, int32_t kPixels>
[[gnu::noinline]] void convolve_pixels(const int8_t* input, const int8_t* weights, const int32_t* channel,
                                       int8_t* output) {
  for (int32_t left = P::kOutputDepth; left > 0; left -= 4, output += 4) {
    int32x4_t sums[kPixels];
    if constexpr (kPixels == 2) {
      multiply_pixels<kLength, kStride>(weights, input, sums[0], sums[1]);
    } else {
      sums[0] = multiply_pixel<kLength>(weights, input);
    }
    const int32x4_t bias = vldrwq_s32(channel);
    const int32x4_t multiplier = P::kPerChannel ? vldrwq_s32(channel + 4) : vdupq_n_s32(P::kMultiplier);
    const int32x4_t shift =
        P::kPerChannel ? vldrbq_s32(reinterpret_cast<const int8_t*>(channel + 8)) : vdupq_n_s32(P::kShift);
    channel += P::kPerChannel ? 9 : 4;
#pragma GCC unroll 2
    for (int32_t p = 0; p < kPixels; ++p) {
      const int32x4_t x = requantized<P>(vaddq_s32(sums[p], bias), multiplier, shift);
      if (P::kOutputDepth % 4 == 0 || left >= 4) {
        vstrbq_s32(output + p * P::kOutputDepth, x);
      } else {
        vstrbq_p_s32(output + p * P::kOutputDepth, x, vctp32q(P::kOutputDepth % 4));
      }
    }
  }
}

// FULLY_CONNECTED of P::kRows rows, or 1×1 windows on as many pixels.
template <typename P>
inline void fully_connected_mve(const int8_t* input, const int8_t* weights, const int32_t* channels, int8_t* output) {
  constexpr int32_t kLength = P::kInputDepth;
  for (int32_t pixel = 0; pixel < P::kRows / 2; ++pixel) {
    convolve_pixels<P, kLength, kLength, 2>(input, weights, channels, output);
    input += 2 * kLength;
    output += 2 * P::kOutputDepth;
  }
  if (P::kRows % 2 == 1) convolve_pixels<P, kLength, kLength, 1>(input, weights, channels, output);
}

// Up to 15 bytes behind the copy are overwritten.
template <int32_t kCount>
[[gnu::always_inline]] inline void copy_run(const int8_t* from, int8_t* to) {
  if (kCount <= 4) {
    __builtin_memcpy(to, from, kCount);
    return;
  }
#pragma GCC unroll 8
  for (int32_t i = 0; i < kCount / 16; ++i) vstrbq_s8(to + 16 * i, vldrbq_s8(from + 16 * i));
  if (kCount % 16 > 0) vstrbq_s8(to + kCount / 16 * 16, load_first(from + kCount / 16 * 16, kCount % 16));
}

inline void copy_bytes(const int8_t* from, int8_t* to, int32_t count) {
  for (; count > 0; count -= 16, from += 16, to += 16) {
    const mve_pred16_t lanes = vctp8q(static_cast<uint32_t>(count));
    vstrbq_p_s8(to, vldrbq_z_s8(from, lanes), lanes);
  }
}

// A window as a column, run by run: a run is what lies together in the input, a row of the window or, if it is
// dilated, a pixel. Up to 15 bytes behind the column are overwritten.
template <typename P>
inline void gather_column(const int8_t* image, Window at, int8_t* column) {
  constexpr int32_t kTaps = P::kDilationWidth == 1 ? P::kKernelWidth : 1;
  constexpr int32_t kRuns = P::kKernelWidth / kTaps;  // in a row
  constexpr int32_t kRun = kTaps * P::kInputDepth;
  const int8_t* corner = image + (at.y * P::kInputWidth + at.x) * P::kInputDepth;
  const auto run = [&](int32_t ky, int32_t kx) {
    return corner + (ky * P::kDilationHeight * P::kInputWidth + kx * P::kDilationWidth) * P::kInputDepth;
  };
  if (!P::kPadded || at.inside) {
#pragma GCC unroll 4
    for (int32_t i = 0; i < P::kKernelHeight * kRuns; ++i) {
      copy_run<kRun>(run(i / kRuns, i % kRuns), column + i * kRun);
    }
    return;
  }
#pragma GCC unroll 1
  for (int32_t i = 0; i < P::kKernelHeight * kRuns; ++i, column += kRun) {
    const int32_t y = at.y + i / kRuns * P::kDilationHeight;
    const int32_t x = at.x + i % kRuns * P::kDilationWidth;
    for (int32_t filled = 0; filled < kRun; filled += 16) {
      vstrbq_s8(column + filled, vdupq_n_s8(P::kInputZeroPoint));
    }
    const int32_t first = x < 0 ? -x : 0;
    const int32_t end = x + kTaps > P::kInputWidth ? P::kInputWidth - x : kTaps;
    if (y >= 0 && y < P::kInputHeight && first < end) {
      copy_bytes(run(i / kRuns, i % kRuns) + first * P::kInputDepth, column + first * P::kInputDepth,
                 (end - first) * P::kInputDepth);
    }
  }
}

// Any window, stride, dilation and padding, without groups.
template <typename P>
inline void conv_2d_mve(const int8_t* input, const int8_t* weights, const int32_t* channels, int8_t* columns,
                        int8_t* output) {
  // A column's end is filled up to a chunk: the weights there are zero.
  constexpr int32_t kLength = (P::kKernelHeight * P::kKernelWidth * P::kInputDepth + 15) / 16 * 16;
  int8_t* column = columns;
  for (int32_t batch = 0; batch < P::kBatches; ++batch) {
    for (int32_t y = 0; y < P::kOutputHeight; ++y) {
      for (int32_t x = 0; x < P::kOutputWidth; ++x) {
        gather_column<P>(input, window_at<P>(y, x), column);
        column += kLength;
        if (column != columns + 2 * kLength) continue;
        column = columns;
        convolve_pixels<P, kLength, kLength, 2>(columns, weights, channels, output);
        output += 2 * P::kOutputDepth;
      }
    }
    input += P::kInputHeight * P::kInputWidth * P::kInputDepth;
  }
  if (column != columns) convolve_pixels<P, kLength, kLength, 1>(columns, weights, channels, output);
}

}  // namespace tinydeploy
