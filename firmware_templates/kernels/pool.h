// AVERAGE_POOL_2D and MAX_POOL_2D of int8 or int16, NHWC. Padding does not count. Output elements are made in order,
// each written after its window has been read: the output may follow the reading through the input's memory.
#pragma once

#include <stdint.h>

#include "requantize.h"
#include "window.h"

namespace tinydeploy {

// output = reduce(first value, height, width) of each window, cut to the input, and of each channel.
template <typename P, typename T, typename Reduce>
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
        for (int32_t channel = 0; channel < P::kDepth; ++channel) {
          const int32_t value = reduce(corner + channel, bottom - top, right - left);
          *output++ = static_cast<T>(clamp(value, P::kActivationMin, P::kActivationMax));
        }
      }
    }
    input += P::kInputHeight * P::kInputWidth * P::kDepth;
  }
}

// The mean of a window's values in one channel, rounded half away from zero.
template <typename P, typename T>
inline void average_pool_2d(const T* input, T* output) {
  pool_2d<P>(input, output, [](const T* values, int32_t height, int32_t width) {
    int32_t sum = 0;
    for (int32_t y = 0; y < height; ++y) {
      for (int32_t x = 0; x < width; ++x) sum += values[(y * P::kInputWidth + x) * P::kDepth];
    }
    const int32_t count = height * width;
    return (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
  });
}

template <typename P, typename T>
inline void max_pool_2d(const T* input, T* output) {
  pool_2d<P>(input, output, [](const T* values, int32_t height, int32_t width) {
    int32_t largest = *values;
    for (int32_t y = 0; y < height; ++y) {
      for (int32_t x = 0; x < width; ++x) {
        largest = maximum(largest, values[(y * P::kInputWidth + x) * P::kDepth]);
      }
    }
    return largest;
  });
}

}  // namespace tinydeploy
