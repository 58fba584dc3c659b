// AVERAGE_POOL_2D and MAX_POOL_2D of int8 or int16, NHWC. Padding does not count. Output elements are made in order,
// each written after its window has been read: the output may follow the reading through the input's memory.
#pragma once

#include <stdint.h>

#include "byte_sums.h"
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

// The mean of a window's values in each channel. Pixels of whole words start at whole words, because tensors do.
template <typename P, typename T>
inline void average_pool_2d(const T* input, T* output) {
  if (sizeof(T) == 1 && P::kDepth % 4 == 0 && P::kKernelHeight * P::kKernelWidth <= ByteSums::kMost) {
    pool_2d<P, 4>(input, output, [](const T* values, int32_t height, int32_t width, int32_t (&means)[4]) {
      ByteSums sums;
      for (int32_t y = 0; y < height; ++y) {
        const T* pixel = values + y * P::kInputWidth * P::kDepth;
#pragma GCC unroll 4
        for (int32_t x = 0; x < width; ++x, pixel += P::kDepth) sums.add(pixel);
      }
      const int32_t count = height * width;
#pragma GCC unroll 4
      for (int32_t i = 0; i < 4; ++i) means[i] = mean(sums.of(i, count), count);
    });
    return;
  }
  pool_2d<P, 1>(input, output, [](const T* values, int32_t height, int32_t width, int32_t (&means)[1]) {
    int32_t sum = 0;
    for (int32_t y = 0; y < height; ++y) {
      for (int32_t x = 0; x < width; ++x) sum += values[(y * P::kInputWidth + x) * P::kDepth];
    }
    means[0] = mean(sum, height * width);
  });
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
