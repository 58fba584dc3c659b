// Arm's M-profile vector extension (Cortex-M55): 16 products of int8 in one instruction, and the arithmetic of four
// outputs at once.
//
// The kernels use the names of arm_mve.h. For other machines, on which the kernels are tested, portable C++ below
// defines those that they use.
#pragma once

#include <stdint.h>

#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>
#endif

namespace tinydeploy {

#if defined(__ARM_FEATURE_MVE)

// Four sums as a vector. GCC would move them one by one.
inline int32x4_t make_vector(int32_t a, int32_t b, int32_t c, int32_t d) {
  int32x4_t v;
  asm("vmov %q0[2], %q0[0], %1, %3\n"
      "vmov %q0[3], %q0[1], %2, %4\n"
      : "=&w"(v)
      : "r"(a), "r"(b), "r"(c), "r"(d));
  return v;
}

// 16 values, and moves on by as many. GCC would add to a copy of the pointer.
inline int8x16_t load_next(const int8_t*& from) {
  int8x16_t v;
  asm volatile("vldrb.u8 %q0, [%1], #16" : "=w"(v), "+r"(from) : : "memory");
  return v;
}

// The first `lanes` values, then zeros. GCC would carry the predicate through a core register.
inline int8x16_t load_first(const int8_t* from, int32_t lanes) {
  int8x16_t v;
  asm volatile(
      "vctp.8 %2\n"
      "vpst\n"
      "vldrbt.u8 %q0, [%1]\n"
      : "=w"(v)
      : "r"(from), "r"(lanes)
      : "memory", "p0");
  return v;
}

#else

using int8x16_t = int8_t __attribute__((vector_size(16)));
using int16x8_t = int16_t __attribute__((vector_size(16)));
using uint16x8_t = uint16_t __attribute__((vector_size(16)));
using int32x4_t = int32_t __attribute__((vector_size(16)));
using uint32x4_t = uint32_t __attribute__((vector_size(16)));
using mve_pred16_t = uint16_t;  // here the number of lanes: the kernels leave out no others than the last

// V[i] = of(i) for the first `lanes`, else 0.
template <typename V, typename Of>
inline V each_lane(Of of, int32_t lanes = sizeof(V)) {
  V v{};
  for (int32_t i = 0; i < static_cast<int32_t>(sizeof(V) / sizeof(v[0])) && i < lanes; ++i) v[i] = of(i);
  return v;
}
inline int32_t wrap(int64_t x) { return static_cast<int32_t>(static_cast<uint32_t>(x)); }
// x * 2^shift; to the right with ties upwards.
inline int32_t rounding_shift(int32_t x, int32_t shift) {
  return shift >= 0 ? wrap(x * (int64_t{1} << shift)) : wrap((int64_t{x} + (int64_t{1} << (-shift - 1))) >> -shift);
}

inline mve_pred16_t vctp8q(uint32_t lanes) { return static_cast<mve_pred16_t>(lanes < 16 ? lanes : 16); }
inline mve_pred16_t vctp16q(uint32_t lanes) { return static_cast<mve_pred16_t>(lanes < 8 ? lanes : 8); }
inline mve_pred16_t vctp32q(uint32_t lanes) { return static_cast<mve_pred16_t>(lanes < 4 ? lanes : 4); }

inline int8x16_t vldrbq_z_s8(const int8_t* from, mve_pred16_t lanes) {
  return each_lane<int8x16_t>([&](int32_t i) { return from[i]; }, lanes);
}
inline int8x16_t vldrbq_s8(const int8_t* from) { return vldrbq_z_s8(from, 16); }
inline int16x8_t vldrbq_z_s16(const int8_t* from, mve_pred16_t lanes) {
  return each_lane<int16x8_t>([&](int32_t i) { return from[i]; }, lanes);
}
inline int16x8_t vldrbq_s16(const int8_t* from) { return vldrbq_z_s16(from, 8); }
inline int32x4_t vldrbq_z_s32(const int8_t* from, mve_pred16_t lanes) {
  return each_lane<int32x4_t>([&](int32_t i) { return from[i]; }, lanes);
}
inline int32x4_t vldrbq_s32(const int8_t* from) { return vldrbq_z_s32(from, 4); }
inline int32x4_t vldrwq_s32(const int32_t* from) {
  return each_lane<int32x4_t>([&](int32_t i) { return from[i]; });
}

inline void vstrbq_p_s8(int8_t* to, int8x16_t v, mve_pred16_t lanes) {
  for (int32_t i = 0; i < lanes; ++i) to[i] = v[i];
}
inline void vstrbq_s8(int8_t* to, int8x16_t v) { vstrbq_p_s8(to, v, 16); }
inline void vstrbq_p_s32(int8_t* to, int32x4_t v, mve_pred16_t lanes) {
  for (int32_t i = 0; i < lanes; ++i) to[i] = static_cast<int8_t>(v[i]);
}
inline void vstrbq_s32(int8_t* to, int32x4_t v) { vstrbq_p_s32(to, v, 4); }
inline void vstrbq_scatter_offset_p_s16(int8_t* to, uint16x8_t offset, int16x8_t v, mve_pred16_t lanes) {
  for (int32_t i = 0; i < lanes; ++i) to[offset[i]] = static_cast<int8_t>(v[i]);
}
inline void vstrbq_scatter_offset_s16(int8_t* to, uint16x8_t offset, int16x8_t v) {
  vstrbq_scatter_offset_p_s16(to, offset, v, 8);
}
inline void vstrbq_scatter_offset_p_s32(int8_t* to, uint32x4_t offset, int32x4_t v, mve_pred16_t lanes) {
  for (int32_t i = 0; i < lanes; ++i) to[offset[i]] = static_cast<int8_t>(v[i]);
}
inline void vstrbq_scatter_offset_s32(int8_t* to, uint32x4_t offset, int32x4_t v) {
  vstrbq_scatter_offset_p_s32(to, offset, v, 4);
}

inline int8x16_t load_next(const int8_t*& from) {
  from += 16;
  return vldrbq_s8(from - 16);
}
inline int8x16_t load_first(const int8_t* from, int32_t lanes) {
  return vldrbq_z_s8(from, vctp8q(static_cast<uint32_t>(lanes)));
}
inline int32x4_t make_vector(int32_t a, int32_t b, int32_t c, int32_t d) { return int32x4_t{a, b, c, d}; }
inline int8x16_t vdupq_n_s8(int8_t x) { return each_lane<int8x16_t>([&](int32_t) { return x; }); }
inline int16x8_t vdupq_n_s16(int16_t x) { return each_lane<int16x8_t>([&](int32_t) { return x; }); }
inline int32x4_t vdupq_n_s32(int32_t x) { return each_lane<int32x4_t>([&](int32_t) { return x; }); }
// from, from + step, from + 2 * step, …
inline uint16x8_t vidupq_n_u16(uint32_t from, int32_t step) {
  return each_lane<uint16x8_t>(
      [&](int32_t i) { return static_cast<uint16_t>(from + static_cast<uint32_t>(i * step)); });
}
inline uint32x4_t vidupq_n_u32(uint32_t from, int32_t step) {
  return each_lane<uint32x4_t>([&](int32_t i) { return from + static_cast<uint32_t>(i * step); });
}
inline uint16x8_t vmulq_n_u16(uint16x8_t v, uint16_t x) {
  return each_lane<uint16x8_t>([&](int32_t i) { return static_cast<uint16_t>(uint32_t{v[i]} * x); });
}
inline uint32x4_t vmulq_n_u32(uint32x4_t v, uint32_t x) { return v * x; }

inline int32_t vmladavaq_s8(int32_t sum, int8x16_t v, int8x16_t w) {
  for (int32_t i = 0; i < 16; ++i) sum = wrap(int64_t{sum} + v[i] * w[i]);
  return sum;
}
inline int32_t vmladavq_s8(int8x16_t v, int8x16_t w) { return vmladavaq_s8(0, v, w); }

inline int32x4_t vaddq_s32(int32x4_t v, int32x4_t w) {
  return each_lane<int32x4_t>([&](int32_t i) { return wrap(int64_t{v[i]} + w[i]); });
}
inline int32x4_t vaddq_n_s32(int32x4_t v, int32_t x) { return vaddq_s32(v, vdupq_n_s32(x)); }
inline int32x4_t vmlaq_n_s32(int32x4_t sum, int32x4_t v, int32_t x) {
  return each_lane<int32x4_t>([&](int32_t i) { return wrap(sum[i] + int64_t{v[i]} * x); });
}
inline int32x4_t vandq_s32(int32x4_t v, int32x4_t w) { return v & w; }
inline int32x4_t vmaxq_s32(int32x4_t v, int32x4_t w) {
  return each_lane<int32x4_t>([&](int32_t i) { return v[i] > w[i] ? v[i] : w[i]; });
}
inline int32x4_t vminq_s32(int32x4_t v, int32x4_t w) {
  return each_lane<int32x4_t>([&](int32_t i) { return v[i] < w[i] ? v[i] : w[i]; });
}
// x * y * 2^-31, ties upwards, saturated.
inline int32x4_t vqrdmulhq_s32(int32x4_t v, int32x4_t w) {
  return each_lane<int32x4_t>([&](int32_t i) {
    const int64_t x = (int64_t{v[i]} * w[i] + (int64_t{1} << 30)) >> 31;
    return x > INT32_MAX ? INT32_MAX : static_cast<int32_t>(x);
  });
}
inline int32x4_t vqrdmulhq_n_s32(int32x4_t v, int32_t x) { return vqrdmulhq_s32(v, vdupq_n_s32(x)); }
inline int32x4_t vrshlq_s32(int32x4_t v, int32x4_t shift) {
  return each_lane<int32x4_t>([&](int32_t i) { return rounding_shift(v[i], shift[i]); });
}
inline int32x4_t vrshlq_n_s32(int32x4_t v, int32_t shift) { return vrshlq_s32(v, vdupq_n_s32(shift)); }
// These are only used to the left.
inline int32x4_t vshlq_s32(int32x4_t v, int32x4_t shift) { return vrshlq_s32(v, shift); }
inline int32x4_t vshlq_r_s32(int32x4_t v, int32_t shift) { return vrshlq_n_s32(v, shift); }
inline int32x4_t vshrq_n_s32(int32x4_t v, int32_t shift) { return v >> shift; }

#endif

// What is done to every lane alike, and to each lane by itself.
inline int32x4_t high_product(int32x4_t v, int32_t x) { return vqrdmulhq_n_s32(v, x); }
inline int32x4_t high_product(int32x4_t v, int32x4_t w) { return vqrdmulhq_s32(v, w); }
inline int32x4_t shift_left(int32x4_t v, int32_t shift) { return vshlq_r_s32(v, shift > 0 ? shift : 0); }
inline int32x4_t shift_left(int32x4_t v, int32x4_t shift) { return vshlq_s32(v, vmaxq_s32(shift, vdupq_n_s32(0))); }
inline int32_t only_right(int32_t shift) { return shift < 0 ? shift : 0; }
inline int32x4_t only_right(int32x4_t shift) { return vminq_s32(shift, vdupq_n_s32(0)); }
inline int32x4_t shift_right(int32x4_t v, int32_t shift) { return vrshlq_n_s32(v, shift); }
inline int32x4_t shift_right(int32x4_t v, int32x4_t shift) { return vrshlq_s32(v, shift); }
inline int32x4_t as_vector(int32_t x) { return vdupq_n_s32(x); }
inline int32x4_t as_vector(int32x4_t v) { return v; }

template <typename P>
inline int32x4_t clamped(int32x4_t x) {
  return vminq_s32(vmaxq_s32(x, vdupq_n_s32(P::kActivationMin)), vdupq_n_s32(P::kActivationMax));
}

// TFLite's requantisation of four sums, exact for any sum and shift; multiplier and shift are numbers, or a vector of
// them. VQRDMULH is the rounding doubling high product. VRSHL rounds ties upwards, so a negative value that will be
// shifted is made one less first. P says: kClampsNegative, the activation clamps all that is negative to the zero
// point in any case; kShiftsRight, every shift is to the right, by one at least; kLeftShift, some shift is to the left.
template <typename P, typename T>
inline int32x4_t requantized(int32x4_t x, T multiplier, T shift) {
  if (P::kLeftShift) {
    x = shift_left(x, shift);
    shift = only_right(shift);
  }
  x = high_product(x, multiplier);
  if (!P::kClampsNegative) {
    // The sign of a shift to the right is that of -1.
    const int32x4_t signs = P::kShiftsRight ? x : vandq_s32(x, as_vector(shift));
    x = vaddq_s32(x, vshrq_n_s32(signs, 31));
  }
  return clamped<P>(vaddq_n_s32(shift_right(x, shift), P::kOutputZeroPoint));
}

}  // namespace tinydeploy
