"""Bounds of what a layer's channels compute, for kernels whose arithmetic is exact only within bounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.arithmetic.fixed_point import multiply_by_quantized_multiplier
from tinydeploy.engines.aot.ir import Constant, Step
from tinydeploy.engines.aot.kernels.layer_kernels import Scaling

Column = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Channels:
    """`weights` are [channel][position]; `reach` is the largest magnitude of each channel's sum.

    `multipliers` and `shifts` (positive: to the left) are one, or one per channel.
    """

    weights: npt.NDArray[np.int8]
    bias: Column
    multipliers: Column
    shifts: Column
    reach: Column


def settled(step: Step, scaling: Scaling, weights: npt.NDArray[np.int8]) -> Channels:
    """The channels of a layer of this `scaling`.

    Those whose output is always the same get weights of zero and a plain bias. Training
    leaves some with a scale near zero and a bias that would not fit a fast arithmetic.
    """
    _, *constants = (argument for argument in step.args if isinstance(argument, Constant))
    bias, multipliers, shifts = (constant.values.astype(np.int64) for constant in constants)
    zero_point, low, high = scaling.output_zero_point, scaling.activation_min, scaling.activation_max
    products = np.stack([-128 * weights.astype(np.int64), 127 * weights.astype(np.int64)])
    ends = bias + np.stack([products.min(axis=0).sum(axis=1), products.max(axis=0).sum(axis=1)])
    reach = np.abs(ends).max(axis=0)
    if scaling.per_channel:
        scaled = multiply_by_quantized_multiplier(ends, multipliers, shifts).astype(np.int64)
        outputs = np.clip(scaled + zero_point, low, high)
        same = (outputs[0] == outputs[1]) & (shifts <= 0) & (reach < 1 << 31)
        # A quarter of the bias is then the output: half by the multiplier, half by the shift.
        bias = np.where(same, 4 * (outputs[0] - zero_point), bias)
        multipliers, shifts = np.where(same, 1 << 30, multipliers), np.where(same, -1, shifts)
        weights, reach = np.where(same[:, np.newaxis], np.int8(0), weights), np.where(same, 0, reach)
    return Channels(weights, bias, multipliers, shifts, reach)
