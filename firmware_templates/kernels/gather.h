// GATHER and EMBEDDING_LOOKUP.
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

}  // namespace tinydeploy
