// Sums of int8 in four channels at once, whose values lie together as a word.
#pragma once

#include <stdint.h>

namespace tinydeploy {

// Up to kMost values in each channel: the sums of the values plus 128 share two words.
class ByteSums {
 public:
  static constexpr int32_t kMost = 257;

  // `values` are int8 and start at a whole word. Three instructions with the DSP extension, six elsewhere.
  void add(const void* values) {
    uint32_t word;
    __builtin_memcpy(&word, __builtin_assume_aligned(values, 4), 4);
    word ^= 0x80808080;
#if defined(__ARM_FEATURE_DSP)
    asm("uxtab16 %0, %0, %1" : "+r"(even_) : "r"(word));
    asm("uxtab16 %0, %0, %1, ror #8" : "+r"(odd_) : "r"(word));
#else
    even_ += word & 0x00FF00FF;
    odd_ += word >> 8 & 0x00FF00FF;
#endif
  }

  // The sum of `count` values of the channel.
  int32_t of(int32_t channel, int32_t count) const {
    const uint32_t both = channel % 2 == 0 ? even_ : odd_;
    return static_cast<int32_t>(channel < 2 ? both & 0xFFFF : both >> 16) - 128 * count;
  }

 private:
  uint32_t even_ = 0;
  uint32_t odd_ = 0;
};

}  // namespace tinydeploy
