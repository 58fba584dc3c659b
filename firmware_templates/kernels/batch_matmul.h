// BATCH_MATMUL of int8 or int16, where both matrices are computed at run time.
#pragma once

#include <stdint.h>

#include "dot.h"

namespace tinydeploy {

// What the sum of a column starts from.
template <typename Sum>
inline Sum start_of(int32_t) {
  return 0;
}
template <typename Sum, typename Bias>
inline Sum start_of(int32_t column, const Bias* bias) {
  return static_cast<Sum>(bias[column]);
}

// For each of kBatch0 × kBatch1 × kBatch2, a matrix of kRows × kDepth times one of kDepth × kColumns. Strides are of
// the inputs; that of a batch is 0 where it is repeated. A transposed matrix has its two strides exchanged.
// A FULLY_CONNECTED may be such a product, of int16 with int8, too: then there may be a bias for each column.
template <typename P, typename T, typename U, typename... Bias>
void batch_matmul(const T* a, const U* b, T* output, const Bias*... bias) {
  using Sum = typename SumOf<T>::Type;
  for (int32_t i = 0; i < P::kBatch0; ++i) {
    for (int32_t j = 0; j < P::kBatch1; ++j) {
      for (int32_t k = 0; k < P::kBatch2; ++k) {
        const T* rows = a + i * P::kABatchStride0 + j * P::kABatchStride1 + k * P::kABatchStride2;
        const U* columns = b + i * P::kBBatchStride0 + j * P::kBBatchStride1 + k * P::kBBatchStride2;
        for (int32_t row = 0; row < P::kRows; ++row) {
          for (int32_t column = 0; column < P::kColumns; ++column) {
            const T* x = rows + row * P::kARowStride;
            const U* y = columns + column * P::kBColumnStride;
            Sum sum = start_of<Sum>(column, bias...);
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
