// Comparisons, whose output is bool, LOGICAL_NOT, and SELECT_V2. Output elements are made in order, each written after
// its operands have been read: the output may lie over an operand.
#pragma once

#include <stdint.h>

#include "elementwise.h"

namespace tinydeploy {

// P says for which orders of a and b the answer is yes: kLess, kEqual, kGreater.
template <typename P>
struct Compare {
  template <typename T>
  bool operator()(T a, T b) const {
    return a < b ? P::kLess : a > b ? P::kGreater : P::kEqual;
  }
};

// The same of int8 values that differ in scale or zero point: each becomes its real value in units of 2^-kHeadroom.
// P says kZeroPoint, kMultiplier and kShift of A and B.
template <typename P>
struct CompareScaled {
  bool operator()(int8_t a, int8_t b) const {
    const int32_t x = scaled_operand<P>(a - P::kAZeroPoint, P::kAMultiplier, P::kAShift);
    const int32_t y = scaled_operand<P>(b - P::kBZeroPoint, P::kBMultiplier, P::kBShift);
    return Compare<P>()(x, y);
  }
};

template <typename P, typename T>
void compare(const T* a, const T* b, bool* output) {
  elementwise<P>(a, b, output, Compare<P>());
}
template <typename P, typename T>
void compare_broadcast(const T* a, const T* b, bool* output) {
  broadcast<P>(a, b, output, Compare<P>());
}

template <typename P>
void compare_scaled(const int8_t* a, const int8_t* b, bool* output) {
  elementwise<P>(a, b, output, CompareScaled<P>());
}
template <typename P>
void compare_scaled_broadcast(const int8_t* a, const int8_t* b, bool* output) {
  broadcast<P>(a, b, output, CompareScaled<P>());
}

template <typename P>
void logical_not(const bool* input, bool* output) {
  for (int32_t i = 0; i < P::kElements; ++i) {
    output[i] = !input[i];
  }
}

// output = condition ? x : y over kDim0 × … × kDim4; what is repeated along dimension d has stride kXStride<d> 0.
template <typename P, typename T>
void select(const bool* condition, const T* x, const T* y, T* output) {
  for (int32_t i = 0; i < P::kDim0; ++i) {
    for (int32_t j = 0; j < P::kDim1; ++j) {
      for (int32_t k = 0; k < P::kDim2; ++k) {
        for (int32_t l = 0; l < P::kDim3; ++l) {
          const bool* c = condition + i * P::kConditionStride0 + j * P::kConditionStride1 +
                          k * P::kConditionStride2 + l * P::kConditionStride3;
          const T* a = x + i * P::kXStride0 + j * P::kXStride1 + k * P::kXStride2 + l * P::kXStride3;
          const T* b = y + i * P::kYStride0 + j * P::kYStride1 + k * P::kYStride2 + l * P::kYStride3;
          for (int32_t m = 0; m < P::kDim4; ++m) {
            *output++ = c[m * P::kConditionStride4] ? a[m * P::kXStride4] : b[m * P::kYStride4];
          }
        }
      }
    }
  }
}

}  // namespace tinydeploy
