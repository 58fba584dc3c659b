// MEAN. Output elements are made in order, each written after all that it takes has been read: the output may
// follow the reading through the input's memory.
#pragma once

#include <stdint.h>

#include "requantize.h"

namespace tinydeploy {

// The output has kKeep0 × kKeep1 × kKeep2 elements, each the mean over kReduce0 × kReduce1 × kReduce2 of the
// input; strides are the input's. kInputOffset is minus the input's zero point, times the number of elements that
// a mean takes; kMultiplier holds the division by that number.
template <typename P, typename T>
void mean(const T* input, T* output) {
  for (int32_t i = 0; i < P::kKeep0; ++i) {
    for (int32_t j = 0; j < P::kKeep1; ++j) {
      for (int32_t k = 0; k < P::kKeep2; ++k) {
        const T* from = input + i * P::kKeepStride0 + j * P::kKeepStride1 + k * P::kKeepStride2;
        int32_t sum = P::kInputOffset;
        for (int32_t l = 0; l < P::kReduce0; ++l) {
          for (int32_t m = 0; m < P::kReduce1; ++m) {
            const T* run = from + l * P::kReduceStride0 + m * P::kReduceStride1;
            for (int32_t n = 0; n < P::kReduce2; ++n) {
              sum += run[n * P::kReduceStride2];
            }
          }
        }
        const int32_t scaled = multiply_by_quantized_multiplier(sum, P::kMultiplier, P::kShift);
        *output++ = static_cast<T>(
            clamp(wrapping_add(scaled, P::kOutputZeroPoint), P::kOutputMin, P::kOutputMax));
      }
    }
  }
}

}  // namespace tinydeploy
