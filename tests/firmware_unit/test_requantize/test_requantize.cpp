#include "check.h"
#include "kernels/requantize.h"
#include "kernels/scalar.h"

using namespace tinydeploy;

namespace {

// gemmlowp's own wording of the same function: nudge by half with the product's sign, then cut towards zero.
int32_t doubling_high_mul_by_nudge(int32_t a, int32_t b) {
  const int64_t product = static_cast<int64_t>(a) * b;
  const int64_t nudge = product >= 0 ? (1 << 30) : 1 - (1 << 30);
  return static_cast<int32_t>((product + nudge) / (int64_t{1} << 31));
}

void high_mul_saturates() {
  CHECK(saturating_rounding_doubling_high_mul(INT32_MIN, INT32_MIN) == INT32_MAX);
  CHECK(saturating_rounding_doubling_high_mul(INT32_MIN, INT32_MAX) == -INT32_MAX);
  CHECK(saturating_rounding_doubling_high_mul(INT32_MAX, INT32_MAX) == INT32_MAX - 1);
}

void high_mul_rounds_ties_upwards() {
  CHECK(saturating_rounding_doubling_high_mul(1, 1 << 30) == 1);
  CHECK(saturating_rounding_doubling_high_mul(-1, 1 << 30) == 0);
  CHECK(saturating_rounding_doubling_high_mul(3, 1 << 30) == 2);
  CHECK(saturating_rounding_doubling_high_mul(-3, 1 << 30) == -1);
}

void high_mul_equals_the_nudged_division() {
  for (int i = 0; i < 20000; ++i) {
    const auto a = static_cast<int32_t>(check::random32()) >> (i % 24);
    const auto b = static_cast<int32_t>(check::random32());
    CHECK(saturating_rounding_doubling_high_mul(a, b) == doubling_high_mul_by_nudge(a, b));
  }
}

void division_rounds_ties_away_from_zero() {
  CHECK(rounding_divide_by_pot(3, 1) == 2);
  CHECK(rounding_divide_by_pot(-3, 1) == -2);
  CHECK(rounding_divide_by_pot(5, 2) == 1);
  CHECK(rounding_divide_by_pot(-5, 2) == -1);
  CHECK(rounding_divide_by_pot(6, 2) == 2);
  CHECK(rounding_divide_by_pot(-6, 2) == -2);
  CHECK(rounding_divide_by_pot(INT32_MIN, 31) == -1);
  CHECK(rounding_divide_by_pot(INT32_MAX, 31) == 1);
  CHECK(rounding_divide_by_pot(INT32_MIN, 0) == INT32_MIN);
}

void division_errs_by_a_half_at_most() {
  for (int i = 0; i < 20000; ++i) {
    const auto x = static_cast<int32_t>(check::random32());
    const int32_t exponent = i % 32;
    const int64_t back = static_cast<int64_t>(rounding_divide_by_pot(x, exponent)) * (int64_t{1} << exponent);
    const int64_t error = back > x ? back - x : x - back;
    CHECK(2 * error <= (int64_t{1} << exponent));
  }
}

struct Params {
  static constexpr int32_t kOutputZeroPoint = -5;
  static constexpr int32_t kActivationMin = -128;
  static constexpr int32_t kActivationMax = 100;
  static constexpr bool kLeftShift = true;
};

void requantize_moves_and_clamps() {
  constexpr int32_t kHalf = 1 << 30;
  CHECK(requantize<Params>(uint32_t{0}, kHalf, 0) == -5);
  CHECK(requantize<Params>(uint32_t{20}, kHalf, 0) == 5);
  CHECK(requantize<Params>(uint32_t{20}, kHalf, 2) == 35);
  CHECK(requantize<Params>(uint32_t{20}, kHalf, -1) == 0);
  CHECK(requantize<Params>(uint32_t{100000}, kHalf, 0) == 100);
  CHECK(requantize<Params>(static_cast<uint32_t>(-100000), kHalf, 0) == -128);
}

void high_products_of_halves_are_exact() {
  for (int i = 0; i < 20000; ++i) {
    const int32_t x = static_cast<int32_t>(check::random32()) >> (3 + i % 28);
    const auto multiplier = static_cast<int32_t>(check::random32() >> 1);
    const auto high = static_cast<int32_t>((static_cast<int64_t>(x) * multiplier) >> 30);
    CHECK(high_product_by_halves(x, multiplier) == high);
    CHECK(high_product(x, multiplier) == high);
  }
  const int32_t values[] = {(1 << 29) - 1, 1 - (1 << 29), 0, -1, (1 << 14) - 1, 1 << 14, -(1 << 14)};
  const int32_t multipliers[] = {INT32_MAX, 1 << 30, 0, 0x7FFF, 0x7FFF8000};
  for (const int32_t x : values) {
    for (const int32_t multiplier : multipliers) {
      CHECK(high_product_by_halves(x, multiplier) == static_cast<int32_t>((static_cast<int64_t>(x) * multiplier) >> 30));
    }
  }
}

template <bool kClamps>
struct SmallSums : Params {
  static constexpr int32_t kActivationMin = kClamps ? -5 : -128;
  static constexpr bool kPerChannel = true;
  static constexpr bool kSmallSums = true;
  static constexpr bool kClampsNegative = kClamps;
  static constexpr int32_t kMultiplier = 0;
  static constexpr int32_t kShift = 0;
};

// Sums around every output's limits, and far from them.
template <typename P>
void requantization_of_small_sums_equals_that_of_any() {
  for (int i = 0; i < 20000; ++i) {
    const auto multiplier = static_cast<int32_t>((1u << 30) + (check::random32() >> 2));
    const auto shift = static_cast<int8_t>(-1 - i % 21);
    const ScalarRequantization<P> requantized(&multiplier, &shift, 0);
    const int64_t step = (int64_t{1} << (31 - shift)) / multiplier;
    const int64_t near = step * (static_cast<int32_t>(check::random32()) % 260) / 2 + static_cast<int32_t>(check::random32()) % 4;
    const int32_t far = static_cast<int32_t>(check::random32()) >> 3;
    const int32_t sum = near >= -(1 << 29) && near < 1 << 29 ? static_cast<int32_t>(near) : far;
    CHECK(requantized(static_cast<uint32_t>(sum)) == requantize<P>(static_cast<uint32_t>(sum), multiplier, shift));
    CHECK(requantized(static_cast<uint32_t>(far)) == requantize<P>(static_cast<uint32_t>(far), multiplier, shift));
  }
}

}  // namespace

int main() {
  RUN(high_mul_saturates);
  RUN(high_mul_rounds_ties_upwards);
  RUN(high_mul_equals_the_nudged_division);
  RUN(division_rounds_ties_away_from_zero);
  RUN(division_errs_by_a_half_at_most);
  RUN(requantize_moves_and_clamps);
  RUN(high_products_of_halves_are_exact);
  RUN(requantization_of_small_sums_equals_that_of_any<SmallSums<false>>);
  RUN(requantization_of_small_sums_equals_that_of_any<SmallSums<true>>);
  check::finish();
}
