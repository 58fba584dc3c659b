// Ops that only move elements: concatenations, splits, slices, padding, transposition. Runs are copied in the loops'
// order, and the two ends of one copy never overlap; the output may follow the reading through the input's memory.
#pragma once

#include <stdint.h>

namespace tinydeploy {

// P::kRows runs of P::kRowElements, kInputStep apart in the input and kOutputStep apart in the output.
template <typename P, typename T>
void copy_rows(const T* input, T* output) {
  input += P::kInputOffset;
  output += P::kOutputOffset;
  for (int32_t row = 0; row < P::kRows; ++row) {
    __builtin_memcpy(output, input, P::kRowElements * sizeof(T));
    input += P::kInputStep;
    output += P::kOutputStep;
  }
}

// A block of kDim0 × … × kDim4, from the places that the input's strides give to those that the output's give.
template <typename P, typename T>
void copy_block(const T* input, T* output) {
  input += P::kInputOffset;
  output += P::kOutputOffset;
  for (int32_t i = 0; i < P::kDim0; ++i) {
    for (int32_t j = 0; j < P::kDim1; ++j) {
      for (int32_t k = 0; k < P::kDim2; ++k) {
        for (int32_t l = 0; l < P::kDim3; ++l) {
          const T* from = input + i * P::kInputStride0 + j * P::kInputStride1 + k * P::kInputStride2 +
                          l * P::kInputStride3;
          T* to = output + i * P::kOutputStride0 + j * P::kOutputStride1 + k * P::kOutputStride2 +
                  l * P::kOutputStride3;
          if (P::kInputStride4 == 1 && P::kOutputStride4 == 1) {
            __builtin_memcpy(to, from, P::kDim4 * sizeof(T));
          } else {
            for (int32_t m = 0; m < P::kDim4; ++m) {
              to[m * P::kOutputStride4] = from[m * P::kInputStride4];
            }
          }
        }
      }
    }
  }
}

// P::kElements from P::kFrom on move to the front, over what nobody needs any more.
template <typename P, typename T>
void keep_rows(T* rows) {
  __builtin_memmove(rows, rows + P::kFrom, P::kElements * sizeof(T));
}

// P::kElements times P::kValue.
template <typename P, typename T>
void fill(T* output) {
  for (int32_t i = 0; i < P::kElements; ++i) {
    output[i] = static_cast<T>(P::kValue);
  }
}

}  // namespace tinydeploy
