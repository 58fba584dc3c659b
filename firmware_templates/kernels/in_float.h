// Ops of two operands that a model computes in float between DEQUANTIZE and QUANTIZE, in one. Output elements are made in
// order, each written after its operands have been read: the output may lie over an operand.
#pragma once

#include <stdint.h>

#include "elementwise.h"
#include "quantize.h"

namespace tinydeploy {

// What P::kOp says, in the order of lowering/in_float.py.
enum FloatOp : int32_t { kAdd, kSub, kMul, kDiv, kMaximum, kMinimum, kSquaredDifference, kPrelu };

// P says kOp, kScale and kZeroPoint of A and B, and the output's as for quantize. All is rounded once after each step, so
// that cores with float instructions, fused ones or none come to the same.
template <typename P>
struct InFloat {
  template <typename A, typename B>
  int32_t operator()(A a, B b) const {
    return quantized<P>(combine(real(a, P::kAScale, P::kAZeroPoint), real(b, P::kBScale, P::kBZeroPoint)));
  }

 private:
  static float rounded(float x) {
    volatile float stored = x;
    return stored;
  }
  static float real(float x, float, int32_t) { return x; }
  template <typename T>
  static float real(T x, float scale, int32_t zero_point) {
    return rounded(scale * static_cast<float>(int32_t{x} - zero_point));
  }
  static float combine(float x, float y) {
    switch (P::kOp) {
      case kAdd: return x + y;
      case kSub: return x - y;
      case kMul: return x * y;
      case kDiv: return x / y;
      case kMaximum: return x > y ? x : y;
      case kMinimum: return x < y ? x : y;
      case kSquaredDifference: {
        const float difference = rounded(x - y);
        return difference * difference;
      }
      default: return x >= 0.0f ? x : x * y;
    }
  }
};

template <typename P, typename A, typename B, typename Output>
void in_float(const A* a, const B* b, Output* output) {
  elementwise<P>(a, b, output, InFloat<P>());
}
template <typename P, typename A, typename B, typename Output>
void in_float_broadcast(const A* a, const B* b, Output* output) {
  broadcast<P>(a, b, output, InFloat<P>());
}

}  // namespace tinydeploy
