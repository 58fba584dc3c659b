// UNIDIRECTIONAL_SEQUENCE_LSTM with int8 activations and weights and an int16 cell state: the plain LSTM,
// without peepholes, projection and layer normalisation.
#pragma once

#include <stdint.h>

#include "dot.h"
#include "requantize.h"

namespace tinydeploy {

// 2^15 * sigmoid(x) of x in Q3.12. The table holds 2^16 * sigmoid(i / 24), with 2^9 steps between two entries.
inline int32_t lstm_sigmoid(int32_t x, const uint16_t* table) {
  const int32_t scaled = 3 * x;
  const uint32_t magnitude = static_cast<uint32_t>(scaled < 0 ? -scaled : scaled);
  const uint32_t low = table[magnitude >> 9];  // |x| <= 2^15: at most entry 192
  const uint32_t high = table[(magnitude >> 9) + 1];
  const uint32_t y = (low << 9) + (magnitude & 0x1FF) * (high - low);
  return static_cast<int32_t>(scaled >= 0 ? y + (1u << 9) : (uint32_t{1} << 25) - y + (1u << 9) - 1) >> 10;
}

// 2^15 * tanh(x) = 2^15 * (2 * sigmoid(2x) - 1), where `scaled` is 3 * x in Q3.12.
inline int32_t lstm_tanh(int32_t scaled, const uint16_t* table) {
  const uint32_t magnitude = scaled < 0 ? 0u - static_cast<uint32_t>(scaled) : static_cast<uint32_t>(scaled);
  const uint32_t entry = magnitude >> 8;
  int32_t y = int32_t{0xFFFF} << 8;
  if (entry < 255) {
    const uint32_t low = table[entry];
    const uint32_t high = table[entry + 1];
    y = static_cast<int32_t>((low << 8) + (magnitude & 0xFF) * (high - low));
  }
  y -= int32_t{1} << 23;
  return ((scaled >= 0 ? y : -y - 1) + (1 << 7)) >> 8;
}

inline int32_t saturate_to_int16(int32_t x) { return clamp(x, INT16_MIN, INT16_MAX); }

// kBatches sequences of kTimeSteps rows of kInputDepth values each, batches outermost unless kTimeMajor.
// For each of kUnits units, its four gates (input, forget, cell, output) lie side by side: weights
// [kUnits][4][kInputDepth], recurrent weights [kUnits][4][kUnits], and of both the biases [kUnits][4], with the
// zero points folded in. Each gate has a multiplier and a shift for either sum: [2][4]. A unit's output is written
// after all of its time step's input has been read, which the next unit reads again.
template <typename P>
inline void unidirectional_sequence_lstm(const int8_t* input, const int8_t* weights, const int32_t* bias,
                                         const int8_t* recurrent_weights, const int32_t* recurrent_bias,
                                         const int32_t* multiplier, const int8_t* shift,
                                         const uint16_t* sigmoid_table, int8_t* hidden_state,
                                         int16_t* cell_state, int8_t* output) {
  constexpr int32_t kGates = 4;
  constexpr int32_t kStep = P::kTimeMajor ? P::kBatches : 1;  // rows from one time step to the next
  for (int32_t batch = 0; batch < P::kBatches; ++batch) {
    int8_t* hidden = hidden_state + batch * P::kUnits;
    int16_t* cells = cell_state + batch * P::kUnits;
    const int8_t* before = hidden;  // what the previous time step gave
    int32_t row = P::kTimeMajor ? batch : batch * P::kTimeSteps;
    for (int32_t time = 0; time < P::kTimeSteps; ++time, row += kStep) {
      const int8_t* x = input + row * P::kInputDepth;
      int8_t* y = output + row * P::kUnits;
      for (int32_t unit = 0; unit < P::kUnits; ++unit) {
        const int32_t first = unit * kGates;
        uint32_t sums[kGates];
        uint32_t recurrent[kGates];
        int32_t gates[kGates];
        for (int32_t g = 0; g < kGates; ++g) {
          sums[g] = static_cast<uint32_t>(bias[first + g]);
          recurrent[g] = static_cast<uint32_t>(recurrent_bias[first + g]);
        }
        accumulate<kGates, P::kInputDepth, P::kInputDepth>(x, weights + first * P::kInputDepth, sums);
        accumulate<kGates, P::kUnits, P::kUnits>(before, recurrent_weights + first * P::kUnits, recurrent);
        for (int32_t g = 0; g < kGates; ++g) {
          const int32_t a =
              multiply_by_quantized_multiplier(static_cast<int32_t>(sums[g]), multiplier[g], shift[g]);
          const int32_t b = multiply_by_quantized_multiplier(static_cast<int32_t>(recurrent[g]),
                                                             multiplier[kGates + g], shift[kGates + g]);
          const int32_t sum = saturate_to_int16(saturate_to_int16(a) + saturate_to_int16(b));
          gates[g] = g == 2 ? lstm_tanh(3 * sum, sigmoid_table) : lstm_sigmoid(sum, sigmoid_table);
        }
        const int32_t kept = saturate_to_int16(
            multiply_by_quantized_multiplier(gates[1] * cells[unit], P::kForgetMultiplier, P::kForgetShift));
        const int32_t added = saturate_to_int16(
            multiply_by_quantized_multiplier(gates[0] * gates[2], P::kInputMultiplier, P::kInputShift));
        const int32_t cell = clamp(kept + added, P::kCellMin, P::kCellMax);
        cells[unit] = static_cast<int16_t>(cell);
        const int32_t scaled = P::kTanhRightShift > 0
                                   ? (3 * cell + (int32_t{1} << P::kTanhRightShift >> 1)) >> P::kTanhRightShift
                                   : 3 * cell * (int32_t{1} << P::kTanhLeftShift);
        const int32_t hidden_value = multiply_by_quantized_multiplier(
            lstm_tanh(scaled, sigmoid_table) * gates[3], P::kOutputMultiplier, P::kOutputShift);
        y[unit] = static_cast<int8_t>(
            clamp(wrapping_add(hidden_value, P::kOutputZeroPoint), INT8_MIN, INT8_MAX));
      }
      before = y;
    }
    for (int32_t unit = 0; unit < P::kUnits; ++unit) hidden[unit] = before[unit];
  }
}

}  // namespace tinydeploy
