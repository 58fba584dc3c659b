// The sigmoid and tanh of int16 by a table of 256 values of 2^16 * sigmoid(i / 24), with straight lines between.
//
// x counts steps of 1 / (3 * 2^12), so that it is 3 times a number in Q3.12. The results are Q0.15.
#pragma once

#include <stdint.h>

#include "requantize.h"

namespace tinydeploy {

inline uint32_t magnitude_of(int32_t x) { return x < 0 ? 0u - static_cast<uint32_t>(x) : static_cast<uint32_t>(x); }

// 2^15 * sigmoid(x). There are 2^9 steps between two entries.
inline int32_t sigmoid_q15(int32_t x, const uint16_t* table) {
  const uint32_t magnitude = magnitude_of(x);
  const uint32_t entry = magnitude >> 9;
  uint32_t y = uint32_t{0x7FFF} << 10;
  if (entry < 255) {
    const uint32_t low = table[entry];
    const uint32_t high = table[entry + 1];
    y = (low << 9) + (magnitude & 0x1FF) * (high - low);
  }
  const uint32_t rounded = x >= 0 ? y + (1u << 9) : (uint32_t{1} << 25) - y + (1u << 9) - 1;
  return static_cast<int32_t>(rounded >> 10);
}

// 2^15 * tanh(x) = 2^15 * (2 * sigmoid(2x) - 1).
inline int32_t tanh_q15(int32_t x, const uint16_t* table) {
  const uint32_t magnitude = magnitude_of(x);
  const uint32_t entry = magnitude >> 8;
  int32_t y = int32_t{0xFFFF} << 8;
  if (entry < 255) {
    const uint32_t low = table[entry];
    const uint32_t high = table[entry + 1];
    y = static_cast<int32_t>((low << 8) + (magnitude & 0xFF) * (high - low));
  }
  y -= int32_t{1} << 23;
  return ((x >= 0 ? y : -y - 1) + (1 << 7)) >> 8;
}

// An input of int16 in the steps that the functions take: kMultiplier has at most 15 bits.
template <typename P>
inline int32_t in_sigmoid_steps(int16_t x) {
  return (static_cast<int32_t>(x) * P::kMultiplier + P::kRound) >> P::kRightShift;
}

// LOGISTIC and TANH over P::kElements. Element i is read, then written, in order: the output may lie over the input.
template <typename P>
void logistic(const int16_t* input, int16_t* output, const uint16_t* table) {
  for (int32_t i = 0; i < P::kElements; ++i) {
    output[i] = static_cast<int16_t>(sigmoid_q15(in_sigmoid_steps<P>(input[i]), table));
  }
}

template <typename P>
void hyperbolic_tangent(const int16_t* input, int16_t* output, const uint16_t* table) {
  for (int32_t i = 0; i < P::kElements; ++i) {
    output[i] = static_cast<int16_t>(tanh_q15(in_sigmoid_steps<P>(input[i]), table));
  }
}

}  // namespace tinydeploy
