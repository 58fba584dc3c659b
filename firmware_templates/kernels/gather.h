// GATHER, EMBEDDING_LOOKUP and GATHER_ND.
#pragma once

#include <stdint.h>

namespace tinydeploy {

// For each of kBatches, of its kOuter slices [kExtent][kInner], the runs that the batch's kPositions positions name.
// A position beyond the slice takes the nearest run that there is.
template <typename P, typename T>
void gather(const T* input, const int32_t* positions, T* output) {
  for (int32_t batch = 0; batch < P::kBatches; ++batch) {
    for (int32_t outer = 0; outer < P::kOuter; ++outer) {
      for (int32_t i = 0; i < P::kPositions; ++i) {
        const int32_t given = positions[i];
        const int32_t position = given < 0 ? 0 : given >= P::kExtent ? P::kExtent - 1 : given;
        __builtin_memcpy(output, input + position * P::kInner, P::kInner * sizeof(T));
        output += P::kInner;
      }
      input += P::kExtent * P::kInner;
    }
    positions += P::kPositions;
  }
}

// GATHER_ND: kPositions runs of kInner elements, each beginning where P::kDepth coordinates lead, by kStride0 … elements
// a step. One that is not within the input's kElements takes the nearest that is.
template <typename P, typename T>
void gather_nd(const T* input, const int32_t* positions, T* output) {
  constexpr int32_t strides[] = {P::kStride0, P::kStride1, P::kStride2, P::kStride3, P::kStride4};
  for (int32_t i = 0; i < P::kPositions; ++i, output += P::kInner) {
    int64_t first = 0;
    for (int32_t j = 0; j < P::kDepth; ++j) first += static_cast<int64_t>(*positions++) * strides[j];
    constexpr int32_t kLast = P::kElements - P::kInner;
    const int32_t within = first < 0 ? 0 : first > kLast ? kLast : static_cast<int32_t>(first);
    __builtin_memcpy(output, input + within, P::kInner * sizeof(T));
  }
}

}  // namespace tinydeploy
