// RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR.
#pragma once

#include <stdint.h>

namespace tinydeploy {

// Output pixel (y, x) is input pixel (rows[y], columns[x]), in every one of P::kBatches. Pixels are copied in
// order, and the two ends of one copy never overlap: the output may follow the reading through the input's memory.
template <typename P, typename T>
void resize_nearest(const T* input, T* output, const uint16_t* rows, const uint16_t* columns) {
  for (int32_t batch = 0; batch < P::kBatches; ++batch) {
    for (int32_t y = 0; y < P::kOutputHeight; ++y) {
      const T* row = input + rows[y] * (P::kInputWidth * P::kDepth);
      for (int32_t x = 0; x < P::kOutputWidth; ++x) {
        __builtin_memcpy(output, row + columns[x] * P::kDepth, P::kDepth * sizeof(T));
        output += P::kDepth;
      }
    }
    input += P::kInputHeight * P::kInputWidth * P::kDepth;
  }
}

// The same of int8, blended: rows[3 * y] holds the input's upper row, the lower one, and the lower one's weight in
// 1/1024 of the output's row y; columns likewise. A weight outside of 0..1024 has both rows the same. Output elements
// are made in order, each written after what it takes has been read.
template <typename P>
void resize_bilinear(const int8_t* input, int8_t* output, const int16_t* rows, const int16_t* columns) {
  constexpr int32_t kOne = 1024;
  constexpr int32_t kRow = P::kInputWidth * P::kDepth;
  for (int32_t batch = 0; batch < P::kBatches; ++batch) {
    for (int32_t y = 0; y < P::kOutputHeight; ++y) {
      const int8_t* upper = input + rows[3 * y] * kRow;
      const int8_t* lower = input + rows[3 * y + 1] * kRow;
      const int32_t down = rows[3 * y + 2];
      for (int32_t x = 0; x < P::kOutputWidth; ++x) {
        const int32_t left = columns[3 * x] * P::kDepth;
        const int32_t right = columns[3 * x + 1] * P::kDepth;
        const int32_t across = columns[3 * x + 2];
        for (int32_t channel = 0; channel < P::kDepth; ++channel) {
          const int32_t above = upper[left + channel] * (kOne - across) + upper[right + channel] * across;
          const int32_t below = lower[left + channel] * (kOne - across) + lower[right + channel] * across;
          const int32_t sum = above * (kOne - down) + below * down;
          const int32_t half = kOne * kOne / 2;
          *output++ = static_cast<int8_t>((sum > 0 ? sum + half : sum - half) / (kOne * kOne));
        }
      }
    }
    input += P::kInputHeight * kRow;
  }
}

}  // namespace tinydeploy
