// AVERAGE_POOL_2D and MAX_POOL_2D of int8 or int16, NHWC. Padding does not count. Output elements are made in order,
// each written after its window has been read: the output may follow the reading through the input's memory.
#pragma once

#include <stdint.h>

#include "requantize.h"
#include "window.h"

namespace tinydeploy {

// output = values of reduce(first value, height, width, values) for each window, cut to the input, and each kTogether
// channels.
template <typename P, int32_t kTogether, typename T, typename Reduce>
inline void pool_2d(const T* input, T* output, Reduce reduce) {
  for (int32_t batch = 0; batch < P::kBatches; ++batch) {
    for (int32_t y = 0; y < P::kOutputHeight; ++y) {
      for (int32_t x = 0; x < P::kOutputWidth; ++x) {
        const Window at = window_at<P>(y, x);
        const int32_t top = maximum(at.y, 0);
        const int32_t left = maximum(at.x, 0);
        const int32_t bottom = minimum(at.y + P::kKernelHeight, P::kInputHeight);
        const int32_t right = minimum(at.x + P::kKernelWidth, P::kInputWidth);
        const T* corner = input + (top * P::kInputWidth + left) * P::kDepth;
        for (int32_t channel = 0; channel < P::kDepth; channel += kTogether) {
          int32_t values[kTogether];
          reduce(corner + channel, bottom - top, right - left, values);
          for (const int32_t value : values) {
            *output++ = static_cast<T>(clamp(value, P::kActivationMin, P::kActivationMax));
          }
        }
      }
    }
    input += P::kInputHeight * P::kInputWidth * P::kDepth;
  }
}

// Rounded half away from zero.
inline int32_t mean(int32_t sum, int32_t count) { return (sum > 0 ? sum + count / 2 : sum - count / 2) / count; }

// Adds bytes 0 and 2 of a word to the halves of `even`, 1 and 3 to those of `odd`.
inline void add_bytes(uint32_t word, uint32_t& even, uint32_t& odd) {
#if defined(__ARM_FEATURE_DSP)
  asm("uxtab16 %0, %0, %1" : "+r"(even) : "r"(word));
  asm("uxtab16 %0, %0, %1, ror #8" : "+r"(odd) : "r"(word));
#else
  even += word & 0x00FF00FF;
  odd += word >> 8 & 0x00FF00FF;
#endif
}

// The mean of a window's values in each channel. Four channels at a time are a word, where the sums of the values
// plus 128 fit in its halves: pixels of whole words start at whole words, because tensors do.
template <typename P, typename T>
inline void average_pool_2d(const T* input, T* output) {
  if constexpr (sizeof(T) == 1 && P::kDepth % 4 == 0 && P::kKernelHeight * P::kKernelWidth <= 256) {
    pool_2d<P, 4>(input, output, [](const T* values, int32_t height, int32_t width, int32_t (&means)[4]) {
      uint32_t even = 0;
      uint32_t odd = 0;
      for (int32_t y = 0; y < height; ++y) {
        const T* pixel = values + y * P::kInputWidth * P::kDepth;
#pragma GCC unroll 4
        for (int32_t x = 0; x < width; ++x, pixel += P::kDepth) {
          uint32_t word;
          __builtin_memcpy(&word, __builtin_assume_aligned(pixel, 4), 4);
          add_bytes(word ^ 0x80808080, even, odd);
        }
      }
      const int32_t count = height * width;
      const uint32_t sums[] = {even & 0xFFFF, odd & 0xFFFF, even >> 16, odd >> 16};
      for (int32_t i = 0; i < 4; ++i) means[i] = mean(static_cast<int32_t>(sums[i]) - 128 * count, count);
    });
  } else {
    pool_2d<P, 1>(input, output, [](const T* values, int32_t height, int32_t width, int32_t (&means)[1]) {
      int32_t sum = 0;
      for (int32_t y = 0; y < height; ++y) {
        for (int32_t x = 0; x < width; ++x) sum += values[(y * P::kInputWidth + x) * P::kDepth];
      }
      means[0] = mean(sum, height * width);
    });
  }
}

template <typename P, typename T>
inline void max_pool_2d(const T* input, T* output) {
  pool_2d<P, 1>(input, output, [](const T* values, int32_t height, int32_t width, int32_t (&largest)[1]) {
    largest[0] = *values;
    for (int32_t y = 0; y < height; ++y) {
      for (int32_t x = 0; x < width; ++x) {
        largest[0] = maximum(largest[0], values[(y * P::kInputWidth + x) * P::kDepth]);
      }
    }
  });
}

}  // namespace tinydeploy
