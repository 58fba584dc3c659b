// The window of a convolution or a pooling that belongs to one output.
#pragma once

#include <stdint.h>

namespace tinydeploy {

// Where the window starts in the input (y and x may be negative), and whether all of it lies inside.
struct Window {
  int32_t y;
  int32_t x;
  bool inside;
};

// P says kInputHeight, kKernelHeight, kStrideHeight, kDilationHeight, kPadTop, the same of the width with
// kPadLeft, and kPadded: whether any window reaches beyond the input.
template <typename P>
inline Window window_at(int32_t output_y, int32_t output_x) {
  const int32_t y = output_y * P::kStrideHeight - P::kPadTop;
  const int32_t x = output_x * P::kStrideWidth - P::kPadLeft;
  const int32_t last_y = y + (P::kKernelHeight - 1) * P::kDilationHeight;
  const int32_t last_x = x + (P::kKernelWidth - 1) * P::kDilationWidth;
  const bool inside = y >= 0 && x >= 0 && last_y < P::kInputHeight && last_x < P::kInputWidth;
  return {y, x, !P::kPadded || inside};
}

template <typename P>
inline bool is_inside(int32_t y, int32_t x) {
  return y >= 0 && y < P::kInputHeight && x >= 0 && x < P::kInputWidth;
}

}  // namespace tinydeploy
