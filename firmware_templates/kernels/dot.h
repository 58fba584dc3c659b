// Dot products of int8, or int16, and int8: several rows of weights against one row of inputs, and what becomes of the
// sums.
//
// The loops over rows have to be unrolled, so that the sums stay in registers. At -O2 GCC has to be told.
#pragma once

#include <stdint.h>

#include "requantize.h"

namespace tinydeploy {

// The type of the sums that a kernel makes of inputs of T: modulo 2^32, or of 64 bits.
template <typename T>
struct SumOf {
  using Type = uint32_t;
};
template <>
struct SumOf<int16_t> {
  using Type = int64_t;
};

// sums[r] += x · weights[r], over kLength elements; the rows of weights start kRowStride apart.
template <int32_t kRows, int32_t kLength, int32_t kRowStride, typename T, typename Sum>
inline void accumulate(const T* x, const int8_t* weights, Sum* sums) {
#pragma GCC unroll 4
  for (int32_t i = 0; i < kLength; ++i) {
    const int32_t value = x[i];
#pragma GCC unroll 4
    for (int32_t r = 0; r < kRows; ++r) {
      sums[r] += static_cast<Sum>(value * weights[r * kRowStride + i]);
    }
  }
}

// The same where all elements of x have one value.
template <int32_t kRows, int32_t kLength, int32_t kRowStride, typename Sum>
inline void accumulate_same(int32_t value, const int8_t* weights, Sum* sums) {
  for (int32_t i = 0; i < kLength; ++i) {
#pragma GCC unroll 4
    for (int32_t r = 0; r < kRows; ++r) {
      sums[r] += static_cast<Sum>(value * weights[r * kRowStride + i]);
    }
  }
}

// output[channel + r] = sums[r], requantised. Without P::kPerChannel all have multiplier[0], shift[0].
template <typename P, int32_t kRows, typename Sum, typename Output>
inline void store(const Sum* sums, int32_t channel, const int32_t* multiplier, const int8_t* shift, Output output) {
#pragma GCC unroll 4
  for (int32_t r = 0; r < kRows; ++r) {
    const int32_t scale = P::kPerChannel ? channel + r : 0;
    output[channel + r] = requantize<P>(sums[r], multiplier[scale], shift[scale]);
  }
}

}  // namespace tinydeploy
