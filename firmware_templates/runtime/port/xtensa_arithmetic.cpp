// What GCC calls for arithmetic that Xtensa's LX106 has no instructions for. Its libgcc leaves these to the ROM of the
// chip that the core is best known from, so they are here. Floats are IEEE 754's binary32, to nearest even; every NaN
// that comes out is the same.
#if defined(__XTENSA__)

#include <stdint.h>

namespace {

// x * y of 32 bits each, from products of halves.
uint64_t product(uint32_t x, uint32_t y) {
  const uint32_t xl = x & 0xffff, xh = x >> 16, yl = y & 0xffff, yh = y >> 16;
  const uint32_t low = xl * yl;
  const uint32_t middle = xh * yl + (low >> 16);
  const uint32_t other = xl * yh + (middle & 0xffff);
  const uint32_t high = xh * yh + (middle >> 16) + (other >> 16);
  return static_cast<uint64_t>(high) << 32 | (other << 16 | (low & 0xffff));
}

template <typename T>
struct Division {
  T quotient, remainder;
};
// Bit by bit, from the highest that the quotient may have. By zero: all ones, and x.
template <typename T>
Division<T> divided(T x, T y, int32_t zeros_x, int32_t zeros_y) {
  if (y > x) return {0, x};
  if (y == 0) return {static_cast<T>(~T{0}), x};
  T quotient = 0;
  for (int32_t bit = zeros_y - zeros_x; bit >= 0; --bit) {
    quotient <<= 1;
    if (x >= static_cast<T>(y << bit)) x -= static_cast<T>(y << bit), quotient |= 1;
  }
  return {quotient, x};
}
Division<uint32_t> divided(uint32_t x, uint32_t y) {
  return divided(x, y, __builtin_clz(x | 1), __builtin_clz(y | 1));
}
Division<uint64_t> divided(uint64_t x, uint64_t y) {
  return divided(x, y, __builtin_clzll(x | 1), __builtin_clzll(y | 1));
}
template <typename T>
T magnitude(T x, bool negative) {
  return negative ? static_cast<T>(-x) : x;
}

constexpr uint32_t kSign = 0x80000000;
constexpr uint32_t kInfinity = 0x7f800000;
constexpr uint32_t kNaN = 0x7fc00000;

uint32_t bits_of(float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, 4);
  return bits;
}
float of_bits(uint32_t bits) {
  float x;
  __builtin_memcpy(&x, &bits, 4);
  return x;
}

// fraction * 2^exponent, finite; the fraction has at most 24 bits.
struct Finite {
  uint32_t fraction;
  int32_t exponent;

  explicit Finite(uint32_t bits) {
    const int32_t biased = static_cast<int32_t>(bits >> 23 & 0xff);
    fraction = (bits & 0x7fffff) | (biased > 0 ? 0x800000 : 0);
    exponent = (biased > 0 ? biased : 1) - 150;
  }
};

// The float that is nearest to fraction * 2^exponent.
float nearest(uint32_t sign, uint64_t fraction, int32_t exponent) {
  if (fraction == 0) return of_bits(sign);
  const int32_t beyond = 64 - __builtin_clzll(fraction) - 24;
  const int32_t drop = beyond > -149 - exponent ? beyond : -149 - exponent;
  if (drop >= 64) return of_bits(sign);
  if (drop > 0) {
    const uint64_t rest = fraction & ((uint64_t{1} << drop) - 1), half = uint64_t{1} << (drop - 1);
    fraction >>= drop;
    if (rest > half || (rest == half && (fraction & 1))) ++fraction;
  } else {
    fraction <<= -drop;
  }
  // A fraction of 24 bits counts up the exponent field, and one that rounding made a bit longer does so twice.
  const auto kept = static_cast<uint32_t>(fraction);
  const int32_t field = exponent + drop + 149;
  if (field >= 254) return of_bits(sign | kInfinity);
  const uint32_t bits = (static_cast<uint32_t>(field) << 23) + kept;
  return of_bits(sign | (bits >= kInfinity ? kInfinity : bits));
}

bool is_finite(uint32_t bits) { return (bits & kInfinity) != kInfinity; }
bool is_nan(uint32_t bits) { return (bits & ~kSign) > kInfinity; }

}  // namespace

extern "C" {

uint64_t __umulsidi3(uint32_t x, uint32_t y) { return product(x, y); }
int64_t __muldi3(int64_t x, int64_t y) {
  const auto xl = static_cast<uint32_t>(x), yl = static_cast<uint32_t>(y);
  const auto xh = static_cast<uint32_t>(x >> 32), yh = static_cast<uint32_t>(y >> 32);
  return static_cast<int64_t>(product(xl, yl) + (static_cast<uint64_t>(xl * yh + xh * yl) << 32));
}

uint32_t __udivsi3(uint32_t x, uint32_t y) { return divided(x, y).quotient; }
uint32_t __umodsi3(uint32_t x, uint32_t y) { return divided(x, y).remainder; }
int32_t __divsi3(int32_t x, int32_t y) {
  const auto a = static_cast<uint32_t>(x), b = static_cast<uint32_t>(y);
  const uint32_t quotient = divided(magnitude(a, x < 0), magnitude(b, y < 0)).quotient;
  return static_cast<int32_t>(magnitude(quotient, (x < 0) != (y < 0)));
}
int32_t __modsi3(int32_t x, int32_t y) {
  const auto a = static_cast<uint32_t>(x), b = static_cast<uint32_t>(y);
  return static_cast<int32_t>(magnitude(divided(magnitude(a, x < 0), magnitude(b, y < 0)).remainder, x < 0));
}
uint64_t __udivdi3(uint64_t x, uint64_t y) { return divided(x, y).quotient; }
uint64_t __umoddi3(uint64_t x, uint64_t y) { return divided(x, y).remainder; }
int64_t __divdi3(int64_t x, int64_t y) {
  const auto a = static_cast<uint64_t>(x), b = static_cast<uint64_t>(y);
  const uint64_t quotient = divided(magnitude(a, x < 0), magnitude(b, y < 0)).quotient;
  return static_cast<int64_t>(magnitude(quotient, (x < 0) != (y < 0)));
}
int64_t __moddi3(int64_t x, int64_t y) {
  const auto a = static_cast<uint64_t>(x), b = static_cast<uint64_t>(y);
  return static_cast<int64_t>(magnitude(divided(magnitude(a, x < 0), magnitude(b, y < 0)).remainder, x < 0));
}

float __addsf3(float x, float y) {
  uint32_t a = bits_of(x), b = bits_of(y);
  if (is_nan(a) || is_nan(b)) return of_bits(kNaN);
  if (!is_finite(a)) return is_finite(b) || a == b ? x : of_bits(kNaN);
  if (!is_finite(b)) return y;
  if ((a & ~kSign) < (b & ~kSign)) {
    const uint32_t larger = b;
    b = a, a = larger;
  }
  const Finite big(a), small(b);
  constexpr int32_t kMore = 32;  // bits, of which the lowest says whether any further one is set
  const int32_t apart = big.exponent - small.exponent;
  const uint64_t wide = static_cast<uint64_t>(small.fraction) << kMore;
  const uint64_t near = apart < 64 ? wide >> apart : 0;
  const bool inexact = apart < 64 ? near << apart != wide : wide != 0;
  const uint64_t term = near | (inexact ? 1 : 0), most = static_cast<uint64_t>(big.fraction) << kMore;
  const uint64_t sum = (a ^ b) & kSign ? most - term : most + term;
  // Numbers that cancel out make a positive zero.
  return nearest(sum == 0 ? a & b & kSign : a & kSign, sum, big.exponent - kMore);
}
float __subsf3(float x, float y) { return __addsf3(x, of_bits(bits_of(y) ^ kSign)); }

float __mulsf3(float x, float y) {
  const uint32_t a = bits_of(x), b = bits_of(y), sign = (a ^ b) & kSign;
  if (is_nan(a) || is_nan(b)) return of_bits(kNaN);
  if (!is_finite(a) || !is_finite(b)) {
    return of_bits((a & ~kSign) == 0 || (b & ~kSign) == 0 ? kNaN : sign | kInfinity);
  }
  const Finite u(a), v(b);
  return nearest(sign, product(u.fraction, v.fraction), u.exponent + v.exponent);
}

float __floatunsisf(uint32_t x) { return nearest(0, x, 0); }
float __floatsisf(int32_t x) {
  return nearest(x < 0 ? kSign : 0, magnitude(static_cast<uint32_t>(x), x < 0), 0);
}
uint32_t __fixunssfsi(float x) {
  const Finite u(bits_of(x));
  if (bits_of(x) & kSign) return 0;
  if (u.exponent > 8) return UINT32_MAX;
  return u.exponent >= 0 ? u.fraction << u.exponent : u.exponent > -32 ? u.fraction >> -u.exponent : 0;
}

}  // extern "C"

#endif
