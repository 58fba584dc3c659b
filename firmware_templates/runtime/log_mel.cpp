#include "log_mel.h"

#include "board.h"

#if TINYDEPLOY_MLPERF_STREAM

#include "log_mel_tables.h"

namespace tinydeploy {
namespace log_mel {
namespace {

constexpr uint32_t kHalf = kWindow / 2;
constexpr uint32_t kQuarter = kWindow / 4;
constexpr float kFullScale = 32768.0f;

struct Complex {
  float re, im;
};

// The window as complex numbers, an even and an odd sample in each; then its transform.
Complex work[kHalf];

// exp(-2 pi i k / kWindow), k below kHalf.
Complex turn(uint32_t k) {
  if (k <= kQuarter) return {kCosine[k], -kCosine[kQuarter - k]};
  return {-kCosine[kHalf - k], -kCosine[k - kQuarter]};
}

// Pre-emphasis over the window's begin, and Hamming's window, which is symmetric.
float sample(const int16_t* samples, uint32_t i) {
  const float value = static_cast<float>(samples[i + 1]) / kFullScale - kEmphasis * (static_cast<float>(samples[i]) / kFullScale);
  return value * kHamming[i < kHalf ? i : kWindow - 1 - i];
}

// Of `work`, in place: decimation in time, radix 2.
void transform() {
  for (uint32_t i = 0, reversed = 0; i < kHalf; ++i) {
    if (i < reversed) {
      const Complex other = work[i];
      work[i] = work[reversed];
      work[reversed] = other;
    }
    uint32_t bit = kHalf / 2;
    for (; bit != 0 && (reversed & bit) != 0; bit /= 2) reversed ^= bit;
    reversed |= bit;
  }
  for (uint32_t span = 1; span < kHalf; span *= 2) {
    for (uint32_t k = 0; k < span; ++k) {
      const Complex w = turn(k * (kHalf / span));
      for (uint32_t i = k; i < kHalf; i += 2 * span) {
        const Complex a = work[i], b = work[i + span];
        const Complex c = {b.re * w.re - b.im * w.im, b.re * w.im + b.im * w.re};
        work[i] = {a.re + c.re, a.im + c.im};
        work[i + span] = {a.re - c.re, a.im - c.im};
      }
    }
  }
}

// Of frequency k of the real window, from the transforms of its even and its odd samples.
float power(uint32_t k) {
  const Complex a = work[k % kHalf], b = work[(kHalf - k) % kHalf];
  const Complex even = {(a.re + b.re) / 2, (a.im - b.im) / 2}, odd = {(a.im + b.im) / 2, (b.re - a.re) / 2};
  const Complex w = k < kHalf ? turn(k) : Complex{-1, 0};
  const float re = even.re + odd.re * w.re - odd.im * w.im, im = even.im + odd.re * w.im + odd.im * w.re;
  return (re * re + im * im) / kWindow;
}

// Of a positive number that is not denormal: its exponent, and a series in (m - 1) / (m + 1) of its mantissa m
// between the square roots of a half and of two.
float log10(float value) {
  constexpr float kLog2 = 0.301029995664f, kTwiceLogE = 0.868588963807f, kRoot = 1.41421356f;
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof(bits));
  auto exponent = static_cast<int32_t>(bits >> 23) - 127;
  bits = (bits & 0x7fffff) | 0x3f800000;
  float mantissa;
  __builtin_memcpy(&mantissa, &bits, sizeof(mantissa));
  if (mantissa > kRoot) {
    mantissa /= 2;
    ++exponent;
  }
  const float s = (mantissa - 1) / (mantissa + 1), square = s * s;
  const float series = s * (1 + square * (1 / 3.0f + square * (1 / 5.0f + square * (1 / 7.0f))));
  return static_cast<float>(exponent) * kLog2 + kTwiceLogE * series;
}

}  // namespace

void features(const int16_t* samples, float* found) {
  for (uint32_t i = 0; i < kHalf; ++i) work[i] = {sample(samples, 2 * i), sample(samples, 2 * i + 1)};
  transform();
  float energies[kBands + 2] = {};  // and two that nobody asks for, below and above
  for (uint32_t k = 1; k <= kHalf; ++k) {
    const float found_here = power(k), share = kShares[k - 1];
    energies[kBandBelow[k - 1]] += (1 - share) * found_here;
    energies[kBandBelow[k - 1] + 1] += share * found_here;
  }
  for (uint32_t band = 0; band < kBands; ++band) {
    const float energy = energies[band + 1];
    const float scaled = energy > kLeast ? (10 * log10(energy) + kOffset) / kRange : 0;
    found[band] = scaled < 0 ? 0 : scaled > 1 ? 1 : scaled;
  }
}

}  // namespace log_mel
}  // namespace tinydeploy

#endif
