// Element-wise ops of two tensors: ADD, SUB, MUL, MINIMUM, MAXIMUM, SQUARED_DIFFERENCE, PRELU. Output elements are made
// in order, each written after its operands have been read: the output may lie over an operand.
#pragma once

#include <stdint.h>

#include "requantize.h"

namespace tinydeploy {

// An operand less its zero point, with P::kHeadroom more bits, times a factor below 1.
template <typename P>
inline int32_t scaled_operand(int32_t x, int32_t multiplier, int32_t shift) {
  return rounding_divide_by_pot(
      saturating_rounding_doubling_high_mul(x * (int32_t{1} << P::kHeadroom), multiplier), -shift);
}

// ADD and SUB of int8 or int16: both inputs are brought to twice the larger of their scales, with kHeadroom more
// bits, added there, and brought to the output's scale. P says kZeroPoint, kMultiplier and kShift of A, B and Output,
// kActivationMin and kActivationMax.
template <typename P>
struct Add {
  template <typename T>
  T operator()(T a, T b) const {
    const int32_t x = scaled_operand<P>(a - P::kAZeroPoint, P::kAMultiplier, P::kAShift);
    const int32_t y = scaled_operand<P>(b - P::kBZeroPoint, P::kBMultiplier, P::kBShift);
    const int32_t sum = P::kSubtract ? x - y : x + y;
    return requantize<P, T>(static_cast<uint32_t>(sum), P::kOutputMultiplier, P::kOutputShift);
  }
};

// The same of int8 where the host has found a linear function that agrees in all cases (linear_add.py).
template <typename P>
struct LinearAdd {
  int8_t operator()(int32_t a, int32_t b) const {
    const int32_t x = P::kA * a + (P::kB * b + in_register(P::kStart));
    return static_cast<int8_t>(clamp_to<P::kActivationMin, P::kActivationMax, P::kShift>(x));
  }
};

// MUL of int8 or int16: P says kAZeroPoint, kBZeroPoint, and the output's as for Add.
template <typename P>
struct Multiply {
  template <typename T>
  T operator()(T a, T b) const {
    const int32_t product = (int32_t{a} - P::kAZeroPoint) * (int32_t{b} - P::kBZeroPoint);
    return requantize<P, T>(static_cast<uint32_t>(product), P::kOutputMultiplier, P::kOutputShift);
  }
};

// SQUARED_DIFFERENCE of int8 or int16: the inputs are scaled as for Add; P says the same.
template <typename P>
struct SquaredDifference {
  template <typename T>
  T operator()(T a, T b) const {
    const int32_t x = scaled_operand<P>(a - P::kAZeroPoint, P::kAMultiplier, P::kAShift);
    const int32_t y = scaled_operand<P>(b - P::kBZeroPoint, P::kBMultiplier, P::kBShift);
    const int32_t square = (x - y) * (x - y);
    return requantize<P, T>(static_cast<uint32_t>(square), P::kOutputMultiplier, P::kOutputShift);
  }
};

// PRELU of int8 or int16, the slope of int8: below zero the product with the slope b, rescaled by kSlopeMultiplier and
// kSlopeShift. P says kAZeroPoint, kBZeroPoint, and the output's as for Add.
template <typename P>
struct Prelu {
  template <typename T>
  T operator()(T a, int8_t b) const {
    const int32_t x = a - P::kAZeroPoint;
    if (x >= 0) return requantize<P, T>(static_cast<uint32_t>(x), P::kOutputMultiplier, P::kOutputShift);
    const int32_t product = x * (b - P::kBZeroPoint);
    return requantize<P, T>(static_cast<uint32_t>(product), P::kSlopeMultiplier, P::kSlopeShift);
  }
};

// Of two bools, this is LOGICAL_AND.
struct Minimum {
  template <typename T>
  T operator()(T a, T b) const {
    return a < b ? a : b;
  }
};

// Of two bools, this is LOGICAL_OR.
struct Maximum {
  template <typename T>
  T operator()(T a, T b) const {
    return a > b ? a : b;
  }
};

// output[i] = op(a[i], b[i]) over P::kElements.
template <typename P, typename Op, typename A, typename B, typename Output>
void elementwise(const A* a, const B* b, Output* output, Op op) {
  for (int32_t i = 0; i < P::kElements; ++i) {
    output[i] = op(a[i], b[i]);
  }
}

// The same over an output of kDim0 × … × kDim4; an input that is repeated along dimension d has stride kXStride<d> 0.
template <typename P, typename Op, typename A, typename B, typename Output>
void broadcast(const A* a0, const B* b0, Output* output, Op op) {
  for (int32_t i = 0; i < P::kDim0; ++i, a0 += P::kAStride0, b0 += P::kBStride0) {
    const A* a1 = a0;
    const B* b1 = b0;
    for (int32_t j = 0; j < P::kDim1; ++j, a1 += P::kAStride1, b1 += P::kBStride1) {
      const A* a2 = a1;
      const B* b2 = b1;
      for (int32_t k = 0; k < P::kDim2; ++k, a2 += P::kAStride2, b2 += P::kBStride2) {
        const A* a3 = a2;
        const B* b3 = b2;
        for (int32_t l = 0; l < P::kDim3; ++l, a3 += P::kAStride3, b3 += P::kBStride3) {
          for (int32_t m = 0; m < P::kDim4; ++m) {
            *output++ = op(a3[m * P::kAStride4], b3[m * P::kBStride4]);
          }
        }
      }
    }
  }
}

template <typename P, typename T>
void add(const T* a, const T* b, T* output) {
  elementwise<P>(a, b, output, Add<P>());
}
template <typename P, typename T>
void add_broadcast(const T* a, const T* b, T* output) {
  broadcast<P>(a, b, output, Add<P>());
}

template <typename P>
void add_linear(const int8_t* a, const int8_t* b, int8_t* output) {
#pragma GCC unroll 4
  for (int32_t i = 0; i < P::kElements; ++i) output[i] = LinearAdd<P>()(a[i], b[i]);
}
template <typename P>
void add_linear_broadcast(const int8_t* a, const int8_t* b, int8_t* output) {
  broadcast<P>(a, b, output, LinearAdd<P>());
}

template <typename P, typename T>
void multiply(const T* a, const T* b, T* output) {
  elementwise<P>(a, b, output, Multiply<P>());
}
template <typename P, typename T>
void multiply_broadcast(const T* a, const T* b, T* output) {
  broadcast<P>(a, b, output, Multiply<P>());
}

template <typename P, typename T>
void squared_difference(const T* a, const T* b, T* output) {
  elementwise<P>(a, b, output, SquaredDifference<P>());
}
template <typename P, typename T>
void squared_difference_broadcast(const T* a, const T* b, T* output) {
  broadcast<P>(a, b, output, SquaredDifference<P>());
}

template <typename P, typename T>
void prelu(const T* a, const int8_t* b, T* output) {
  elementwise<P>(a, b, output, Prelu<P>());
}
template <typename P, typename T>
void prelu_broadcast(const T* a, const int8_t* b, T* output) {
  broadcast<P>(a, b, output, Prelu<P>());
}

template <typename P, typename T>
void minimum(const T* a, const T* b, T* output) {
  elementwise<P>(a, b, output, Minimum());
}
template <typename P, typename T>
void minimum_broadcast(const T* a, const T* b, T* output) {
  broadcast<P>(a, b, output, Minimum());
}

template <typename P, typename T>
void maximum(const T* a, const T* b, T* output) {
  elementwise<P>(a, b, output, Maximum());
}
template <typename P, typename T>
void maximum_broadcast(const T* a, const T* b, T* output) {
  broadcast<P>(a, b, output, Maximum());
}

}  // namespace tinydeploy
