// SVDF of int8, whose state and time weights are int8 or int16.
#pragma once

#include <stdint.h>

#include "dot.h"
#include "requantize.h"

namespace tinydeploy {

// For each of kBatches rows of kInputDepth values and each of kUnits * kRank filters: the row times the filter's
// feature weights is the newest of the kMemory values in the filter's state, whose oldest is dropped; a unit is the
// sum over its filters of their state times their time weights [filter][kMemory]. State [batch][filter][kMemory].
//
// Both biases come with zero points folded in, the features' of the input, the units' of the state. A unit's output
// is written after all of its row has been read, which the next unit reads again.
template <typename P, typename T>
void svdf(const int8_t* input, const int8_t* features, const int32_t* feature_bias, const T* times,
          const int32_t* bias, T* state, int8_t* output) {
  for (int32_t batch = 0; batch < P::kBatches; ++batch, input += P::kInputDepth) {
    for (int32_t unit = 0; unit < P::kUnits; ++unit) {
      uint32_t sum = static_cast<uint32_t>(bias[unit]);
      for (int32_t filter = unit * P::kRank; filter < (unit + 1) * P::kRank; ++filter, state += P::kMemory) {
        uint32_t feature = static_cast<uint32_t>(feature_bias[filter]);
        accumulate<1, P::kInputDepth, P::kInputDepth>(input, features + filter * P::kInputDepth, &feature);
        const int32_t scaled = multiply_by_quantized_multiplier(static_cast<int32_t>(feature),
                                                                P::kFeatureMultiplier, P::kFeatureShift);
        for (int32_t i = 0; i < P::kMemory - 1; ++i) state[i] = state[i + 1];
        // The zero point comes after the clamp, and wraps around, as in TFLite Micro.
        state[P::kMemory - 1] =
            static_cast<T>(clamp(scaled, P::kStateMin, P::kStateMax) + P::kStateZeroPoint);
        const T* weights = times + filter * P::kMemory;
        for (int32_t i = 0; i < P::kMemory; ++i) {
          sum += static_cast<uint32_t>(static_cast<int32_t>(state[i]) * weights[i]);
        }
      }
      *output++ = requantize<P>(sum, P::kOutputMultiplier, P::kOutputShift);
    }
  }
}

}  // namespace tinydeploy
