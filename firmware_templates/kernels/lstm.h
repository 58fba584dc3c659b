// UNIDIRECTIONAL_SEQUENCE_LSTM with int8 or int16 activations, int8 weights and an int16 cell state: the plain LSTM,
// without peepholes, projection and layer normalisation.
#pragma once

#include <stdint.h>

#include "conv_16x8.h"
#include "dot.h"
#include "requantize.h"
#include "sigmoid.h"

namespace tinydeploy {

constexpr int32_t kLstmGates = 4;

inline int32_t saturate_to_int16(int32_t x) { return clamp(x, INT16_MIN, INT16_MAX); }

// x * multiplier * 2^(shift - 31) by a positive multiplier. kLeft, kRight: whether there are shifts in that direction.
template <bool kLeft, bool kRight>
inline int32_t multiply_by_gates_multiplier(int32_t x, int32_t multiplier, int32_t shift) {
  if (kLeft) x = wrapping_shift_left(x, kRight ? maximum(shift, 0) : shift);
  x = rounding_doubling_high_mul(x, multiplier);
  return kRight ? rounding_divide_by_pot(x, kLeft ? maximum(-shift, 0) : -shift) : x;
}

// What the four gates of a unit make of a row of kDepth inputs, in Q3.12.
template <int32_t kDepth, bool kLeft, bool kRight>
inline void lstm_gates(const int8_t* x, const int8_t* weights, const int32_t* bias, const int32_t* multiplier,
                       const int8_t* shift, int32_t* gates) {
  uint32_t sums[kLstmGates];
  for (int32_t g = 0; g < kLstmGates; ++g) sums[g] = static_cast<uint32_t>(bias[g]);
  accumulate<kLstmGates, kDepth, kDepth>(x, weights, sums);
  for (int32_t g = 0; g < kLstmGates; ++g) {
    gates[g] = saturate_to_int16(
        multiply_by_gates_multiplier<kLeft, kRight>(static_cast<int32_t>(sums[g]), multiplier[g], shift[g]));
  }
}

// The same of int16, with the scaling of conv_16x8.h.
template <int32_t kDepth, bool, bool>
inline void lstm_gates(const int16_t* x, const int8_t* weights, const int64_t* bias, const int32_t* multiplier,
                       const int8_t* shift, int32_t* gates) {
  for (int32_t g = 0; g < kLstmGates; ++g) {
    const int64_t sum = bias[g] + dot_16x8(x, weights + g * kDepth, kDepth);
    gates[g] = saturate_to_int16(multiply_wide(sum, multiplier[g], shift[g]));
  }
}

// kBatches sequences of kTimeSteps rows of kInputDepth values each, batches outermost unless kTimeMajor.
// For each of kUnits units, its four gates (input, forget, cell, output) lie side by side: weights
// [kUnits][4][kInputDepth], recurrent weights [kUnits][4][kUnits], and of both the biases [kUnits][4], with the
// zero points folded in. Each gate has a multiplier and a shift for either sum: [2][4]. A unit's output is written
// after all of its time step's input has been read, which the next unit reads again.
template <typename P, typename T, typename Bias>
inline void unidirectional_sequence_lstm(const T* input, const int8_t* weights, const Bias* bias,
                                         const int8_t* recurrent_weights, const Bias* recurrent_bias,
                                         const int32_t* multiplier, const int8_t* shift,
                                         const uint16_t* sigmoid_table, T* hidden_state, int16_t* cell_state,
                                         T* output) {
  constexpr int32_t kStep = P::kTimeMajor ? P::kBatches : 1;  // rows from one time step to the next
  for (int32_t batch = 0; batch < P::kBatches; ++batch) {
    T* hidden = hidden_state + batch * P::kUnits;
    int16_t* cells = cell_state + batch * P::kUnits;
    const T* before = hidden;  // what the previous time step gave
    int32_t row = P::kTimeMajor ? batch : batch * P::kTimeSteps;
    for (int32_t time = 0; time < P::kTimeSteps; ++time, row += kStep) {
      const T* x = input + row * P::kInputDepth;
      T* y = output + row * P::kUnits;
      for (int32_t unit = 0; unit < P::kUnits; ++unit) {
        const int32_t first = unit * kLstmGates;
        int32_t gates[kLstmGates];
        int32_t recurrent[kLstmGates];
        lstm_gates<P::kInputDepth, P::kInputLeftShift, P::kInputRightShift>(
            x, weights + first * P::kInputDepth, bias + first, multiplier, shift, gates);
        lstm_gates<P::kUnits, P::kRecurrentLeftShift, P::kRecurrentRightShift>(
            before, recurrent_weights + first * P::kUnits, recurrent_bias + first, multiplier + kLstmGates,
            shift + kLstmGates, recurrent);
        for (int32_t g = 0; g < kLstmGates; ++g) {
          const int32_t sum = 3 * saturate_to_int16(gates[g] + recurrent[g]);
          gates[g] = g == 2 ? tanh_q15(sum, sigmoid_table) : sigmoid_q15(sum, sigmoid_table);
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
            tanh_q15(scaled, sigmoid_table) * gates[3], P::kOutputMultiplier, P::kOutputShift);
        y[unit] = static_cast<T>(
            clamp(wrapping_add(hidden_value, P::kOutputZeroPoint), P::kOutputMin, P::kOutputMax));
      }
      before = y;
    }
    for (int32_t unit = 0; unit < P::kUnits; ++unit) hidden[unit] = before[unit];
  }
}

}  // namespace tinydeploy
