"""Tables of functions of one integer: of int8 whole, of int16 in steps. Every rounding is TFLite Micro's.

The transcendental functions are gemmlowp's fixed point (fixedpoint.h): a value in Qm.n has m integer bits,
n = 31 - m fractional bits and a sign. All functions take and give numpy arrays of the raw integers.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.arithmetic.fixed_point import (
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    round_half_away,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)
from tinydeploy.model.graph import Quantization

Integers = npt.NDArray[np.int64]

_Q0_ONE = 2**31 - 1  # 1.0 is not representable in Q0.31
INT8: Integers = np.arange(-128, 128, dtype=np.int64)
UINT8: Integers = np.arange(256, dtype=np.int64)


def by_bits(table: npt.ArrayLike) -> npt.NDArray[np.generic]:
    """A table over -128..127 in the order of the input's bits taken as unsigned: 0..127, -128..-1."""
    return np.roll(np.asarray(table), 128)


# Fixed point


def _shift_left_saturating(x: Integers, bits: int) -> Integers:
    shifted: Integers = np.clip(x << bits, -(2**31), 2**31 - 1)
    return shifted


def exp_on_negative_values(x: Integers, integer_bits: int) -> Integers:
    """The exponential of x <= 0 in Q`integer_bits` (at most 5), as Q0.31."""
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    # exp is a Taylor series on [-1/4, 0), times exp(-2**k) for every bit k that the rest has.
    in_quarter = (x & (quarter - 1)) - quarter
    result = _exp_between_minus_quarter_and_0(_shift_left_saturating(in_quarter, integer_bits))
    rest = in_quarter - x
    factors = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)  # exp(-2**k), Q0.31
    for exponent, factor in enumerate(factors, start=-2):
        if exponent < integer_bits:
            bit = (rest >> (fraction_bits + exponent)) & 1
            result = np.where(bit == 1, saturating_rounding_doubling_high_mul(result, factor), result)
    return np.where(x == 0, _Q0_ONE, result)


def _exp_between_minus_quarter_and_0(x: Integers) -> Integers:
    product = saturating_rounding_doubling_high_mul
    exp_of_minus_eighth, one_third = 1895147668, 715827883
    y = x + (1 << 28)  # around -1/8
    y2 = product(y, y)
    y3 = product(y2, y)
    y4_over_4 = rounding_divide_by_pot(product(y2, y2), 2)
    tail = rounding_divide_by_pot(product(y4_over_4 + y3, one_third) + y2, 1)
    return exp_of_minus_eighth + product(exp_of_minus_eighth, y + tail)


def _newton_raphson_reciprocal(x: Integers) -> Integers:
    """2 / (1 + x) of x in [0, 1) in Q0.31, as Q2.29."""
    product = saturating_rounding_doubling_high_mul
    half_denominator = (x + _Q0_ONE + 1) // 2
    y = 1515870810 + product(half_denominator, -1010580540)  # 48/17 - 32/17 * d
    for _ in range(3):
        error = (1 << 29) - product(half_denominator, y)
        y = y + _shift_left_saturating(product(y, error), 2)
    return y


def _logistic(x: Integers, integer_bits: int) -> Integers:
    exponential = exp_on_negative_values(-np.abs(x), integer_bits)
    positive = _shift_left_saturating(_newton_raphson_reciprocal(exponential), 1)
    return np.where(x == 0, 1 << 30, np.where(x > 0, positive, _Q0_ONE - positive))


def _tanh(x: Integers, integer_bits: int) -> Integers:
    # A doubled argument is the same raw integer with one more integer bit.
    exponential = exp_on_negative_values(-np.abs(x), integer_bits + 1)
    # (1 - e) / (1 + e) = 2 / (1 + e) - 1
    positive = _shift_left_saturating(_newton_raphson_reciprocal(exponential) - (1 << 29), 2)
    return np.where(x == 0, 0, np.where(x > 0, positive, -positive))


# Tables


def input_radius(integer_bits: int, left_shift: int) -> int:
    """The largest distance from the zero point that, shifted left, still fits Q`integer_bits`."""
    return math.floor(((1 << integer_bits) - 1) * 2.0 ** (31 - integer_bits - left_shift))


def softmax_exponentials(input_scale: float, beta: float) -> Integers:
    """exp(-beta * scale * d) in Q0.31 for d = 0, 1 … as far as TFLite counts it as more than zero.

    Raises ValueError if beta * scale is too small for the fixed point.
    """
    multiplier, shift = _softmax_factor(input_scale, beta)
    differences = np.arange(min(input_radius(5, shift), 255) + 1)
    scaled = multiply_by_quantized_multiplier(-differences, multiplier, shift)
    return exp_on_negative_values(scaled.astype(np.int64), 5)


def _softmax_factor(input_scale: float, beta: float) -> tuple[int, int]:
    """Multiplier and shift that bring differences of int8 to Q5.26. Raises ValueError if too small."""
    factor = min(beta * input_scale * 2**26, 2**31 - 1.0)
    if factor <= 1.0:
        raise ValueError(f"beta * scale is {beta * input_scale:.3g}")
    return quantize_multiplier(factor)


def log_softmax_factors(input_scale: float) -> tuple[tuple[int, int], tuple[int, int]]:
    """Multiplier and shift from differences of int8 to Q5.26, and those back.

    Raises ValueError if the scale is too small for the fixed point.
    """
    multiplier, shift = _softmax_factor(input_scale, 1.0)
    back = 2.0 ** (31 - shift) / multiplier
    if back >= 1.0:
        raise ValueError(f"the scale is {input_scale:.3g}")
    return (multiplier, shift), quantize_multiplier(back)


def _sigmoidal(source: Quantization) -> tuple[Integers, Integers, int]:
    """The inputs less their zero point, the same in Q4.27, and the radius beyond which the result saturates.

    Raises ValueError if the scale is too small for the fixed point.
    """
    multiplier, shift = quantize_multiplier(source.scale * 2**27)
    if shift < 0 or multiplier == 0:
        raise ValueError(f"the scale is {source.scale:.3g}")
    centred = INT8 - source.zero_point
    radius = input_radius(4, shift)
    inside = np.where(np.abs(centred) < radius, centred, 0)
    return centred, multiply_by_quantized_multiplier(inside, multiplier, shift).astype(np.int64), radius


def _saturated(centred: Integers, radius: int, inside: Integers) -> Integers:
    return np.where(centred <= -radius, -128, np.where(centred >= radius, 127, np.clip(inside, -128, 127)))


def logistic(source: Quantization) -> Integers:
    """LOGISTIC of every int8, for an output of zero point -128 and scale 1/256.

    Raises ValueError if the input's scale is too small for the fixed point.
    """
    centred, x, radius = _sigmoidal(source)
    return _saturated(centred, radius, rounding_divide_by_pot(_logistic(x, 4), 23) - 128)


def tanh(source: Quantization) -> Integers:
    """TANH of every int8, for an output of zero point 0 and scale 1/128.

    Raises ValueError if the input's scale is too small for the fixed point.
    """
    centred, x, radius = _sigmoidal(source)
    return _saturated(centred, radius, rounding_divide_by_pot(_tanh(x, 4), 24))


def _wrap16(x: Integers) -> Integers:
    return x.astype(np.int16).astype(np.int64)


def _high_mul16(x: Integers, multiplier: int) -> Integers:
    """The product x * multiplier * 2**-15 of int16, ties upwards."""
    high: Integers = np.minimum((x * multiplier + (1 << 14)) >> 15, 2**15 - 1)
    return high


def _divide_by_pot16(x: Integers, exponent: int) -> Integers:
    """rounding_divide_by_pot with gemmlowp's masks of 16 bits, which change it for exponents from 16 on."""
    mask = (1 << exponent) - 1 if exponent < 16 else -1
    return (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0))


def _as_int16(multiplier: int) -> int:
    return min((multiplier + (1 << 15)) >> 16, 2**15 - 1)


def hard_swish(source: Quantization, target: Quantization) -> Integers:
    """HARD_SWISH of every int8: x * relu6(x + 3) / 6. Raises ValueError if the scales are too far apart."""
    to_output, output_exponent = quantize_multiplier(source.scale / 128 / target.scale)
    to_gate, gate_exponent = quantize_multiplier(source.scale / 128 / (3 / 32768))
    if output_exponent > 0 or gate_exponent > 31:
        raise ValueError(f"the scales are {source.scale:.3g} and {target.scale:.3g}")

    x = (INT8 - source.zero_point) * 128
    value = _high_mul16(x, _as_int16(to_output))
    # The gate relu6(x + 3) / 6 in Q0.15: x / 3, saturated to [-1, 1), then moved to [0, 1).
    gate = x
    if gate_exponent > 0:
        gate = np.clip(gate << (gate_exponent - 1), -(2**15), 2**15 - 1)
    gate = _high_mul16(gate, _as_int16(to_gate))
    if gate_exponent > 0:
        gate = np.clip(gate << 1, -(2**15), 2**15 - 1)
    elif gate_exponent < 0:
        gate = _divide_by_pot16(gate, -gate_exponent)
    gate = (gate + (1 << 15)) >> 1
    product = gate * value
    scaled = np.sign(product) * (np.abs(product) >> 15)
    output = _wrap16(_divide_by_pot16(scaled, -output_exponent) + target.zero_point)
    return np.clip(output, -128, 127)


def elu(source: Quantization, target: Quantization) -> Integers:
    """ELU of every int8, in float32 as TFLite Micro computes it.

    Raises OverflowError beyond int32, where what TFLite Micro gives hangs on the machine.
    """
    x = np.float32(source.scale) * (INT8 - source.zero_point).astype(np.float32)
    negative = np.exp(np.minimum(x, 0).astype(np.float64)).astype(np.float32) - np.float32(1)
    scaled = np.where(x < 0, negative, x) * (np.float32(1) / np.float32(target.scale))
    rounded = np.copysign(np.floor(np.abs(scaled.astype(np.float64)) + 0.5), scaled).astype(np.float32)
    moved = rounded + np.float32(target.zero_point)
    if not (np.abs(moved) < 2**31).all():
        raise OverflowError
    table: Integers = np.clip(np.trunc(moved), -128, 127).astype(np.int64)
    return table


# Functions of int16: entries between which the kernels draw straight lines


# Where TFLite's table of the sigmoid is one above the rounded value.
_ONE_MORE = (
    *(4, 8, 12, 14, 15, 16, 17, 19, 20, 21, 22, 25, 27, 28, 29, 30, 31, 33, 34, 35, 37, 39, 40, 41, 43, 44),
    *(45, 46, 49, 50, 54, 62, 63, 64, 66, 82, 86, 93, 100, 103, 112, 116, 135, 255),
)


def sigmoid_entries() -> npt.NDArray[np.uint16]:
    """2**16 * sigmoid(i / 24) for i in 0..255, as TFLite has it."""
    table = np.round(2**16 / (1 + np.exp(-np.arange(256) / 24)))
    table[list(_ONE_MORE)] += 1
    return table.astype(np.uint16)


Floats = npt.NDArray[np.float32]


def _steps(
    function: Callable[[Floats], Floats], x_range: tuple[np.float32, np.float32]
) -> npt.NDArray[np.int16]:
    """2**15 * function(x) at the ends of 512 equal steps over `x_range`, as TFLite has it.

    All in float32. An entry is moved by half of what the straight line misses in the middle of its step.
    """
    single, (low, high) = np.float32, x_range
    step = (high - low) / single(512)
    numbers = np.arange(512).astype(np.float32)
    unit = single(2.0) / single(65535.0)
    scale = single(65536.0) / (unit * single(32767.0) - unit * single(-32768.0))

    def round_(x: Floats) -> Floats:
        return (np.sign(x) * np.floor(np.abs(x).astype(np.float64) + 0.5)).astype(np.float32)

    starts = function(low + numbers * step) * scale
    middles = function(low + numbers * step + step / single(2)) * scale
    ends = function(low + (numbers + single(1)) * step) * scale
    missed = round_((ends + round_(starts)) / single(2)) - round_(middles)
    last = round_(function(np.array([high], np.float32)) * scale)
    entries = np.concatenate([round_(starts) - round_(missed / single(2)), last])
    clipped: npt.NDArray[np.int16] = np.clip(entries, -(2**15), 2**15 - 1).astype(np.int16)
    return clipped


def softmax_steps() -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    """2**15 * exp(x) over x from -10 to 0, and 2**15 / (1 + x) over x from 0 to 1: 513 entries each."""

    def exponential(x: Floats) -> Floats:
        return np.exp(x.astype(np.float64)).astype(np.float32)  # float32's own is not rounded correctly

    def reciprocal(x: Floats) -> Floats:
        return np.float32(1.0) / (np.float32(1.0) + x)

    zero, steps = np.float32(0.0), np.float32(65535.0)  # the differences between two int16
    ten, one = np.float32(10.0) / steps * steps, np.float32(1.0) / steps * steps
    return _steps(exponential, (-ten, zero)), _steps(reciprocal, (zero, one))


def log2_if_whole(x: float) -> int | None:
    """The binary logarithm of `x`, where TFLite takes it to be a whole number: within a thousandth."""
    log2 = np.log(np.float32(x)) * (np.float32(1.0) / np.log(np.float32(2.0)))
    nearest = round_half_away(float(log2))
    return nearest if abs(float(log2) - nearest) < 1e-3 else None


def sigmoid_steps(scale: float, highest_shift: int) -> tuple[int, int]:
    """Multiplier and right shift that bring int16 of this scale to steps of 1 / (3 * 2**12).

    Powers of two from 2**-12 to 2**(highest_shift - 12) are exact. Raises ValueError if the scale is too
    large.
    """
    power = log2_if_whole(scale)
    if power is not None and 0 <= power + 12 <= highest_shift:
        return 3 << (power + 12), 0
    multiplier, shift = scale * 4096.0 * 3.0, 0
    while multiplier <= 32767.0 / 2.0 and shift <= 30:
        multiplier, shift = multiplier * 2.0, shift + 1
    if multiplier >= 32768:
        raise ValueError(f"the scale is {scale:.3g}")
    return int(multiplier), shift
