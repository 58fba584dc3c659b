// ADD and SUB of int8 tensors of one shape on cores with MVE: elementwise.h's LinearAdd for four elements at once, with
// its parameters.
//
// Elements i to i + 3 of both inputs are read before those of the output are written.
#pragma once

#include <stdint.h>

#include "mve.h"

namespace tinydeploy {

template <typename P>
inline int32x4_t add_values(int32x4_t a, int32x4_t b) {
  const int32x4_t start = vdupq_n_s32(P::kStart);
  return clamped<P>(vshrq_n_s32(vmlaq_n_s32(vmlaq_n_s32(start, a, P::kA), b, P::kB), P::kShift));
}

template <typename P>
inline void add_linear_mve(const int8_t* a, const int8_t* b, int8_t* output) {
  constexpr int32_t kRest = P::kElements % 4;
  for (int32_t i = 0; i < P::kElements / 4; ++i, a += 4, b += 4, output += 4) {
    vstrbq_s32(output, add_values<P>(vldrbq_s32(a), vldrbq_s32(b)));
  }
  if (kRest > 0) {
    const mve_pred16_t lanes = vctp32q(kRest);
    vstrbq_p_s32(output, add_values<P>(vldrbq_z_s32(a, lanes), vldrbq_z_s32(b, lanes)), lanes);
  }
}

}  // namespace tinydeploy
