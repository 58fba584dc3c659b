// Ops that reduce along axes: MEAN, SUM, REDUCE_MAX, REDUCE_MIN, REDUCE_ALL, ARG_MAX, ARG_MIN. Output elements are made
// in order, each written after all that it takes has been read: the output may follow the reading through the input's
// memory. CUMSUM writes each element where it has read one.
#pragma once

#include <stdint.h>

#include "byte_sums.h"
#include "elementwise.h"
#include "requantize.h"

namespace tinydeploy {

// The output has kKeep0 × kKeep1 × kKeep2 elements, kTogether of them at a time are finish(value, 0 …), where value
// starts from `start` and becomes combine(value, x) for every x of kReduce0 × kReduce1 × kReduce2 places of the input;
// strides are the input's.
template <typename P, int32_t kTogether, typename T, typename Value, typename Combine, typename Finish>
inline void reduce(const T* input, T* output, Value start, Combine combine, Finish finish) {
  for (int32_t i = 0; i < P::kKeep0; ++i) {
    for (int32_t j = 0; j < P::kKeep1; ++j) {
      for (int32_t k = 0; k < P::kKeep2; k += kTogether) {
        const T* from = input + i * P::kKeepStride0 + j * P::kKeepStride1 + k * P::kKeepStride2;
        Value value = start;
        for (int32_t l = 0; l < P::kReduce0; ++l) {
          for (int32_t m = 0; m < P::kReduce1; ++m) {
            const T* run = from + l * P::kReduceStride0 + m * P::kReduceStride1;
            for (int32_t n = 0; n < P::kReduce2; ++n) {
              value = combine(value, run + n * P::kReduceStride2);
            }
          }
        }
        for (int32_t n = 0; n < kTogether; ++n) *output++ = static_cast<T>(finish(value, n));
      }
    }
  }
}

// Whether four elements of the output that follow each other are sums of four columns of whole words.
template <typename P>
constexpr bool sums_words() {
  return P::kKeepStride2 == 1 && P::kKeep2 % 4 == 0 && P::kKeepStride0 % 4 == 0 && P::kKeepStride1 % 4 == 0 &&
         P::kReduceStride0 % 4 == 0 && P::kReduceStride1 % 4 == 0 && P::kReduceStride2 % 4 == 0 &&
         P::kReduce0 * P::kReduce1 * P::kReduce2 <= ByteSums::kMost;
}

// MEAN and SUM: kInputOffset is minus the input's zero point, times the number of elements that a sum takes. For a
// mean, kMultiplier holds the division by that number.
template <typename P, typename T>
void scaled_sum(const T* input, T* output) {
  const auto finish = [](int32_t sum) {
    const int32_t scaled = multiply_by_quantized_multiplier(sum, P::kMultiplier, P::kShift);
    return clamp(wrapping_add(scaled, P::kOutputZeroPoint), P::kOutputMin, P::kOutputMax);
  };
  if (sizeof(T) == 1 && sums_words<P>()) {
    constexpr int32_t kCount = P::kReduce0 * P::kReduce1 * P::kReduce2;
    reduce<P, 4>(
        input, output, ByteSums(),
        [](ByteSums sums, const T* values) {
          sums.add(values);
          return sums;
        },
        [&](const ByteSums& sums, int32_t i) { return finish(sums.of(i, kCount) + P::kInputOffset); });
    return;
  }
  reduce<P, 1>(
      input, output, P::kInputOffset, [](int32_t sum, const T* value) { return sum + *value; },
      [&](int32_t sum, int32_t) { return finish(sum); });
}

template <typename P>
void reduce_max(const int8_t* input, int8_t* output) {
  reduce<P, 1>(
      input, output, INT8_MIN, [](int32_t most, const int8_t* x) { return most < *x ? *x : most; },
      [](int32_t most, int32_t) { return most; });
}

template <typename P>
void reduce_min(const int8_t* input, int8_t* output) {
  reduce<P, 1>(
      input, output, INT8_MAX, [](int32_t least, const int8_t* x) { return *x < least ? *x : least; },
      [](int32_t least, int32_t) { return least; });
}

template <typename P>
void reduce_all(const bool* input, bool* output) {
  reduce<P, 1>(
      input, output, true, [](bool all, const bool* x) { return all && *x; }, [](bool all, int32_t) { return all; });
}

// CUMSUM of int8 along the middle of kOuter × kExtent × kInner elements, with the scaling of ADD (elementwise.h) and its
// parameters of A and Output. TFLite Micro starts from minus the zero point, and its sums wrap around. An
// element counts among those before it unless kExclusive, and with kReverse those behind it are summed.
template <typename P>
void cumulative_sum(const int8_t* input, int8_t* output) {
  const auto scaled = [](int32_t x) { return scaled_operand<P>(x - P::kAZeroPoint, P::kAMultiplier, P::kAShift); };
  for (int32_t outer = 0; outer < P::kOuter; ++outer) {
    for (int32_t inner = 0; inner < P::kInner; ++inner) {
      int32_t sum = scaled(0);
      for (int32_t i = 0; i < P::kExtent; ++i) {
        const int32_t position = P::kReverse ? P::kExtent - 1 - i : i;
        const int32_t at = (outer * P::kExtent + position) * P::kInner + inner;
        const int32_t next = wrapping_add(sum, scaled(input[at]));
        output[at] = requantize<P>(static_cast<uint32_t>(P::kExclusive ? sum : next), P::kOutputMultiplier,
                                   P::kOutputShift);
        sum = next;
      }
    }
  }
}

// output[outer][inner] = the first i at which input[outer][i][inner] is better than at all before it; kOuter ×
// kExtent × kInner elements.
template <typename P, typename T, typename Better>
inline void arg_best(const T* input, int32_t* output, Better better) {
  for (int32_t outer = 0; outer < P::kOuter; ++outer, input += P::kExtent * P::kInner) {
    for (int32_t inner = 0; inner < P::kInner; ++inner) {
      int32_t best = 0;
      int32_t value = input[inner];
      for (int32_t i = 1; i < P::kExtent; ++i) {
        const int32_t candidate = input[i * P::kInner + inner];
        if (better(candidate, value)) {
          best = i;
          value = candidate;
        }
      }
      *output++ = best;
    }
  }
}

template <typename P, typename T>
void arg_max(const T* input, int32_t* output) {
  arg_best<P>(input, output, [](int32_t candidate, int32_t value) { return candidate > value; });
}

template <typename P, typename T>
void arg_min(const T* input, int32_t* output) {
  arg_best<P>(input, output, [](int32_t candidate, int32_t value) { return candidate < value; });
}

}  // namespace tinydeploy
