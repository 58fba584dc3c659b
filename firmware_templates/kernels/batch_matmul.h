// BATCH_MATMUL of int8, where both matrices are computed at run time.
#pragma once

#include <stdint.h>

#include "requantize.h"

namespace tinydeploy {

// For each of kBatch0 × kBatch1 × kBatch2, a matrix of kRows × kDepth times one of kDepth × kColumns. Strides are of
// the inputs; that of a batch is 0 where it is repeated. A transposed matrix has its two strides exchanged.
template <typename P>
void batch_matmul(const int8_t* a, const int8_t* b, int8_t* output) {
  for (int32_t i = 0; i < P::kBatch0; ++i) {
    for (int32_t j = 0; j < P::kBatch1; ++j) {
      for (int32_t k = 0; k < P::kBatch2; ++k) {
        const int8_t* rows = a + i * P::kABatchStride0 + j * P::kABatchStride1 + k * P::kABatchStride2;
        const int8_t* columns = b + i * P::kBBatchStride0 + j * P::kBBatchStride1 + k * P::kBBatchStride2;
        for (int32_t row = 0; row < P::kRows; ++row) {
          for (int32_t column = 0; column < P::kColumns; ++column) {
            const int8_t* x = rows + row * P::kARowStride;
            const int8_t* y = columns + column * P::kBColumnStride;
            int32_t sum = 0;
            for (int32_t d = 0; d < P::kDepth; ++d) {
              sum += (x[d * P::kADepthStride] - P::kAZeroPoint) * (y[d * P::kBDepthStride] - P::kBZeroPoint);
            }
            *output++ = requantize<P>(static_cast<uint32_t>(sum), P::kOutputMultiplier, P::kOutputShift);
          }
        }
      }
    }
  }
}

}  // namespace tinydeploy
