// RESIZE_NEAREST_NEIGHBOR.
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

}  // namespace tinydeploy
