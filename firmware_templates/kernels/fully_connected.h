// FULLY_CONNECTED of int8, which is also CONV_2D with a 1×1 window on every pixel.
#pragma once

#include <stdint.h>

#include "addend.h"
#include "dot.h"

namespace tinydeploy {

// kRows rows of kInputDepth values, each times the matrix of weights [kOutputDepth][kInputDepth]. The bias
// comes with the input's zero point folded in, as for conv_2d. A row's outputs are written in order, four or one
// at a time, each block after it has read all of the row: the output may follow the reading through the input.
template <typename P, typename... Addend>
inline void fully_connected(const int8_t* input, const int8_t* weights, const int32_t* bias, const int32_t* multiplier,
                            const int8_t* shift, int8_t* output, const Addend*... addend) {
  constexpr int32_t kTogether = 4;  // channels
  constexpr int32_t kBlocked = P::kOutputDepth / kTogether * kTogether;
  auto to = destination<P>(output, addend...);
  for (int32_t row = 0; row < P::kRows; ++row) {
    for (int32_t channel = 0; channel < kBlocked; channel += kTogether) {
      uint32_t sums[kTogether];
      for (int32_t r = 0; r < kTogether; ++r) sums[r] = static_cast<uint32_t>(bias[channel + r]);
      accumulate<kTogether, P::kInputDepth, P::kInputDepth>(input, weights + channel * P::kInputDepth, sums);
      store<P, kTogether>(sums, channel, multiplier, shift, to);
    }
    for (int32_t channel = kBlocked; channel < P::kOutputDepth; ++channel) {
      uint32_t sum = static_cast<uint32_t>(bias[channel]);
      accumulate<1, P::kInputDepth, P::kInputDepth>(input, weights + channel * P::kInputDepth, &sum);
      store<P, 1>(&sum, channel, multiplier, shift, to);
    }
    input += P::kInputDepth;
    to += P::kOutputDepth;
  }
}

}  // namespace tinydeploy
