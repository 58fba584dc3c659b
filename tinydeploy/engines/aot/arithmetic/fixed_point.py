"""Fixed-point arithmetic of TFLite on the host: real factors to integers, bit for bit as TFLite Micro.

Scheme: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference" (CVPR 2018), with gemmlowp's two roundings. The C++ of the same is kernels/requantize.h.

Factors are ratios and products of scales in double. TFLite's sources have some in float, but the reference
computes those in double, too, as int16 shows.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tinydeploy.model.graph import Tensor

# TFLite shifts an int32 left by this much at most before the multiplication; beyond, C++ leaves it undefined.
MAX_LEFT_SHIFT = 30


def round_half_away(x: float) -> int:
    """`x` to the nearest integer, ties away from zero (C's round)."""
    return int(math.copysign(math.floor(abs(x) + 0.5), x))


@lru_cache(maxsize=4096)  # each channel of each layer, for every way that is tried
def quantize_multiplier(factor: float) -> tuple[int, int]:
    """A real factor as (multiplier, shift): multiplier * 2**(shift - 31), 2**30 <= |multiplier| < 2**31.

    Factors below 2**-32 become (0, 0).
    """
    if factor == 0.0:
        return 0, 0
    fraction, shift = math.frexp(factor)
    multiplier = round_half_away(fraction * (1 << 31))
    if multiplier == 1 << 31:
        multiplier //= 2
        shift += 1
    if shift < -31:
        return 0, 0
    return multiplier, shift


def layer_scale(input_scale: float, weight_scale: float, output_scale: float) -> float:
    """The factor from accumulator to output of everything with weights: a product of doubles."""
    return input_scale * weight_scale / output_scale


_RANGES = {
    "NONE": (None, None),
    "RELU": (0.0, None),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}


def activation_range(activation: str, output: Tensor) -> tuple[int, int]:
    """The smallest and largest quantised value that a fused activation lets through to `output`.

    Raises KeyError for an activation that quantised kernels do not have.
    """
    low, high = _RANGES[activation]
    assert output.quantization is not None
    scale, zero_point = np.float32(output.quantization.scale), output.quantization.zero_point
    limits = np.iinfo(output.dtype.value)

    def quantize(x: float) -> int:
        return zero_point + round_half_away(float(np.float32(x) / scale))

    return (
        int(limits.min) if low is None else max(int(limits.min), quantize(low)),
        int(limits.max) if high is None else min(int(limits.max), quantize(high)),
    )


def reduce_multiplier(multiplier: int, shift: int) -> tuple[int, int]:
    """What scales accumulators of 64 bits: the multiplier in 15 bits, and the whole shift to the right."""
    return min((multiplier + (1 << 15)) >> 16, (1 << 15) - 1), 15 - shift


def saturating_rounding_doubling_high_mul(x: npt.ArrayLike, y: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The product x * y * 2**-31 of int32 arrays (broadcast), ties upwards, saturated; Arm's SQRDMULH."""
    high = (np.asarray(x, np.int64) * np.asarray(y, np.int64) + (1 << 30)) >> 31
    saturated: npt.NDArray[np.int64] = np.minimum(high, np.iinfo(np.int32).max)
    return saturated


def rounding_divide_by_pot(x: npt.ArrayLike, exponent: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The quotient x / 2**exponent of int32 arrays (broadcast), ties away from zero; exponents up to 31."""
    values = np.asarray(x, np.int64)
    exponents = np.asarray(exponent, np.int64)
    mask = (np.int64(1) << exponents) - 1
    rounded_up = (values & mask) > (mask >> 1) + (values < 0)
    return (values >> exponents) + rounded_up.astype(np.int64)


def multiply_by_quantized_multiplier(
    x: npt.ArrayLike, multiplier: npt.ArrayLike, shift: npt.ArrayLike
) -> npt.NDArray[np.int32]:
    """The products x * multiplier * 2**(shift - 31) of int32 arrays (broadcast), rounded twice."""
    shifts = np.asarray(shift, np.int64)
    wrapped = (np.asarray(x, np.int64) << np.maximum(shifts, 0)).astype(np.int32)
    high = saturating_rounding_doubling_high_mul(wrapped, multiplier)
    return rounding_divide_by_pot(high, np.maximum(-shifts, 0)).astype(np.int32)
