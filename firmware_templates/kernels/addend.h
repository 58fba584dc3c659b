// An ADD or SUB that the convolution before it does: elementwise.h's LinearAdd of each output and the addend's element
// at the same place. Its parameters stand beside the convolution's as kAddA, kAddB, kAddStart and kAddShift; all of an
// int8 is in its range.
//
// An element of the addend is read just before that of the output is written.
#pragma once

#include <stdint.h>

#include "elementwise.h"

namespace tinydeploy {

// The layer's parameters as LinearAdd's.
template <typename P>
struct Addition {
  static constexpr int32_t kA = P::kAddA;
  static constexpr int32_t kB = P::kAddB;
  static constexpr int32_t kStart = P::kAddStart;
  static constexpr int32_t kShift = P::kAddShift;
  static constexpr int32_t kActivationMin = INT8_MIN;
  static constexpr int32_t kActivationMax = INT8_MAX;
};

// To be used as the pointer `output`: the addend lies `apart` behind it.
template <typename P>
struct AddingOutput {
  struct Element {
    int8_t* to;
    int32_t apart;

    void operator=(int32_t x) const { *to = LinearAdd<Addition<P>>()(x, to[apart]); }
  };

  Element operator*() const { return {output, apart}; }
  Element operator[](int32_t i) const { return {output + i, apart}; }
  AddingOutput operator+(int32_t i) const { return {output + i, apart}; }
  AddingOutput& operator+=(int32_t i) {
    output += i;
    return *this;
  }

  int8_t* output;
  int32_t apart;
};

// What a convolution writes to.
template <typename P>
inline int8_t* destination(int8_t* output) {
  return output;
}
template <typename P>
inline AddingOutput<P> destination(int8_t* output, const int8_t* addend) {
  return {output, static_cast<int32_t>(addend - output)};
}

}  // namespace tinydeploy
