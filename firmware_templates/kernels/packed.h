// Two products by one multiplication, for cores that multiply one pair of numbers at a time.
//
// Two factors packed as 2^16 * b + a, times a third, make two products in one. The sum of a run of them is
// 2^16 * high + low modulo 2^32. The host has made sure (packed_weights.py) that low and high lie within 2^15 of zero,
// because it has taken from large weights what a run cannot hold: the excess, which is added by itself. So a run's high
// half, rounded, is high, exactly. High goes to a sum of its own; low follows in the end from the sum of all that was
// packed, less 2^16 times that of high.
#pragma once

#include <stdint.h>

#include "scalar.h"

namespace tinydeploy {

constexpr uint32_t kHalf = 1 << 15;  // of the low half's range

// The sums over all runs of two numbers that are packed.
struct PackedPair {
  uint32_t packed;
  uint32_t high;

  static PackedPair of(uint32_t low, uint32_t high) { return {low + (high << 16), high}; }
  void add(uint32_t run) {
    packed += run;
    high += static_cast<uint32_t>(static_cast<int32_t>(run + kHalf) >> 16);
  }
  // The same of a run that started at kHalf, which stays in `packed`.
  void add_rounded(uint32_t run) {
    packed += run;
    high += static_cast<uint32_t>(static_cast<int32_t>(run) >> 16);
  }
  uint32_t low() const { return packed - (high << 16); }
};

}  // namespace tinydeploy
