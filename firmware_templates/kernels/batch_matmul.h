// BATCH_MATMUL of int8 or int16, where both matrices are computed at run time.
#pragma once

#include <stdint.h>

#include "dot.h"

namespace tinydeploy {

// For each of kBatch0 × kBatch1 × kBatch2, a matrix of kRows × kDepth times one of kDepth × kColumns. Strides are of
// the inputs; that of a batch is 0 where it is repeated. A transposed matrix has its two strides exchanged.
template <typename P, typename T>
void batch_matmul(const T* a, const T* b, T* output) {
  using Sum = typename SumOf<T>::Type;
  for (int32_t i = 0; i < P::kBatch0; ++i) {
    for (int32_t j = 0; j < P::kBatch1; ++j) {
      for (int32_t k = 0; k < P::kBatch2; ++k) {
        const T* rows = a + i * P::kABatchStride0 + j * P::kABatchStride1 + k * P::kABatchStride2;
        const T* columns = b + i * P::kBBatchStride0 + j * P::kBBatchStride1 + k * P::kBBatchStride2;
        for (int32_t row = 0; row < P::kRows; ++row) {
          for (int32_t column = 0; column < P::kColumns; ++column) {
            const T* x = rows + row * P::kARowStride;
            const T* y = columns + column * P::kBColumnStride;
            Sum sum = 0;
            for (int32_t d = 0; d < P::kDepth; ++d) {
              const int32_t value = x[d * P::kADepthStride] - P::kAZeroPoint;
              sum += static_cast<Sum>(value * (y[d * P::kBDepthStride] - P::kBZeroPoint));
            }
            *output++ = requantize<P, T>(sum, P::kOutputMultiplier, P::kOutputShift);
          }
        }
      }
    }
  }
}

}  // namespace tinydeploy
