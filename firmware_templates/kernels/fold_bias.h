// The bias of a layer whose weights are computed at run time, with the input's zero point folded in: what the host does
// for constant weights.
#pragma once

#include <stdint.h>

namespace tinydeploy {

// bias[c] = given[c] - kZeroPoint * (sum of the weights of c), modulo the type's size. With strides, as of
// TRANSPOSE_CONV, each of the kStrideHeight * kStrideWidth phases has biases of its own, of its taps alone.
template <typename P, typename Bias>
void fold_bias(const int8_t* weights, const Bias* given, Bias* bias) {
  for (int32_t y = 0; y < P::kStrideHeight; ++y) {
    for (int32_t x = 0; x < P::kStrideWidth; ++x) {
      for (int32_t channel = 0; channel < P::kChannels; ++channel) {
        int32_t sum = 0;
        for (int32_t ky = y; ky < P::kKernelHeight; ky += P::kStrideHeight) {
          for (int32_t kx = x; kx < P::kKernelWidth; kx += P::kStrideWidth) {
            const int8_t* w = weights + channel * P::kChannelStep + (ky * P::kKernelWidth + kx) * P::kTapStep;
            for (int32_t d = 0; d < P::kDepth; ++d) sum += w[d];
          }
        }
        const uint64_t folded = static_cast<uint64_t>(given[channel]) - static_cast<uint64_t>(int64_t{P::kZeroPoint} * sum);
        *bias++ = static_cast<Bias>(folded);
      }
    }
  }
}

}  // namespace tinydeploy
