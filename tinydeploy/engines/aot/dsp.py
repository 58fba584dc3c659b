"""Kernels for cores with Arm's DSP extension (M4, M7, M33), and their constants in the order of reading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.program import Constant, Read, Scratch, Step, Write

CHOICES: dict[str, Callable[[Step], tuple[Step, ...] | None]] = {}

_PIXELS = 4  # columns that are multiplied at once
_BLOCK = 6  # channels of a fully connected layer that are multiplied at once
_MAX_HEIGHT = 5  # of a depthwise window whose rows are kept
_MAX_SHIFT = 22  # of a zero point of 8 bits, rounding and an accumulator of 30 bits: their sum fits in 32

Order = list[tuple[int, int]]  # pairs of positions; -1 stands for a zero


def chooses(kernel: str) -> Callable[..., Callable[[Step], tuple[Step, ...] | None]]:
    """Registers the choice for steps that call `kernel`."""

    def register(
        choice: Callable[[Step], tuple[Step, ...] | None],
    ) -> Callable[[Step], tuple[Step, ...] | None]:
        CHOICES[kernel] = choice
        return choice

    return register


@chooses("fully_connected")
def fully_connected(step: Step) -> tuple[Step, ...] | None:
    """One row as it comes; more rows, or a 1×1 convolution, as columns of pixels."""
    depth, channels = int(step.params["kInputDepth"]), int(step.params["kOutputDepth"])
    weights = _weights(step).reshape(channels, depth)
    if step.params["kBatches"] != 1:
        return _convolution(step, "pointwise_dsp", weights, _pair_up(depth, 1))
    table = _channels(step, weights)
    if table is None:
        return None
    packed = _interleave(weights, _pair_up((depth + 3) // 4 * 4, 1, depth))
    couples = packed.reshape(packed.shape[0], -1, 8)  # [two channels][four inputs][bytes]
    whole = channels // _BLOCK * _BLOCK // 2
    blocks = [couples[i : i + _BLOCK // 2] for i in range(0, whole, _BLOCK // 2)]
    blocks += [couples[i : i + 1] for i in range(whole, len(couples))]
    values = np.concatenate([block.transpose(1, 0, 2).reshape(-1) for block in blocks])
    return (_step(step, "fully_connected_dsp", "fully_connected_dsp.h", values, table, None),)


@chooses("conv_2d")
def conv_2d(step: Step) -> tuple[Step, ...] | None:
    """All but grouped convolutions."""
    if step.params["kGroups"] != 1:
        return None
    params = {name: int(value) for name, value in step.params.items()}
    weights = _weights(step).reshape(params["kOutputDepth"], -1)
    taps = params["kKernelWidth"] if params["kDilationWidth"] == 1 else 1
    runs = params["kKernelHeight"] * params["kKernelWidth"] // taps
    return _convolution(step, "conv_2d_dsp", weights, _pair_up(taps * params["kInputDepth"], runs))


@chooses("depthwise_conv_2d")
def depthwise_conv_2d(step: Step) -> tuple[Step, ...] | None:
    """Windows three wide, without dilation and depth multiplier; channels by fours."""
    params = {name: int(value) for name, value in step.params.items()}
    height, depth, stride = params["kKernelHeight"], params["kInputDepth"], params["kStrideWidth"]
    fits = (
        params["kKernelWidth"] == 3
        and height <= _MAX_HEIGHT
        and stride <= 2
        and params["kDilationHeight"] == params["kDilationWidth"] == params["kDepthMultiplier"] == 1
        and depth % 4 == 0
    )
    if not fits:
        return None
    weights = _weights(step).reshape(height, 3, depth).transpose(2, 0, 1)
    table = _channels(step, weights.reshape(depth, -1))
    if table is None:
        return None
    words = (params["kOutputWidth"] + 1) // 2 * stride + 1
    slots = Scratch("slots", "uint32_t", height * depth * words)
    values = weights[:, :, [0, 1, 1, 2]].reshape(-1)
    return (_step(step, "depthwise_conv_2d_dsp", "depthwise_conv_dsp.h", values, table, slots),)


def _convolution(
    step: Step, kernel: str, weights: npt.NDArray[np.int8], order: Order
) -> tuple[Step, ...] | None:
    table = _channels(step, weights)
    if table is None:
        return None
    values = _interleave(weights, order).reshape(-1)
    return (
        _step(
            step, kernel, "conv_dsp.h", values, table, Scratch("columns", "uint32_t", _PIXELS * len(order))
        ),
    )


def _weights(step: Step) -> npt.NDArray[np.int8]:
    constant = step.args[1]
    assert isinstance(constant, Constant)
    return constant.values.astype(np.int8)


def _step(
    step: Step,
    kernel: str,
    header: str,
    weights: npt.NDArray[np.int8],
    table: npt.NDArray[np.int32],
    scratch: Scratch | None,
) -> Step:
    """`step` by another kernel: input, weights, channels, scratch, output."""
    source, old, bias, *_, output = step.args
    assert isinstance(source, Read) and isinstance(old, Constant) and isinstance(bias, Constant)
    assert isinstance(output, Write)
    args = (
        source,
        replace(old, values=weights, comment="in the order of reading"),
        Constant(
            bias.name.removesuffix("bias") + "channels",
            table.reshape(-1),
            "bias, multiplier and shift of each channel",
        ),
        *((scratch,) if scratch else ()),
        output,
    )
    zero_point, low = step.params["kOutputZeroPoint"], step.params["kActivationMin"]
    left_out = ("kPerChannel", "kLeftShift")
    params = {name: value for name, value in step.params.items() if name not in left_out}
    return Step(kernel, header, {**params, "kClampsNegative": low >= zero_point}, args)


def _pair_up(run: int, runs: int, length: int | None = None) -> Order:
    """The pairs of `runs` runs of `run` values, as conv_dsp.h expands them; zeros from `length` on."""
    pairs: Order = []
    for start in range(0, run * runs, run):
        end = start + run
        for i in range(start, end, 4):
            match min(end - i, 4):
                case 1:
                    pairs.append((i, -1))
                case 2:
                    pairs.append((i, i + 1))
                case 3:
                    pairs += [(i, i + 2), (i + 1, -1)]
                case _:
                    pairs += [(i, i + 2), (i + 1, i + 3)]
    limit = run * runs if length is None else length
    return [(low if low < limit else -1, high if high < limit else -1) for low, high in pairs]


def _interleave(weights: npt.NDArray[np.int8], order: Order) -> npt.NDArray[np.int8]:
    """[channel][position] as [two channels][pair][bytes c low, c + 1 low, c high, c + 1 high]."""
    channels, length = weights.shape
    padded = np.zeros((channels + channels % 2, length + 1), np.int8)  # the last column is what -1 finds
    padded[:channels, :length] = weights
    pairs = padded[:, np.array(order)]  # [channel][pair][low, high]
    couples = pairs.reshape(-1, 2, len(order), 2).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(couples).reshape(len(couples), len(order), 4)


def _channels(step: Step, weights: npt.NDArray[np.int8]) -> npt.NDArray[np.int32] | None:
    """The table [channel][bias, multiplier, right shift] of kernels/dsp.h; None if that is not exact.

    `weights` is [channel][position]: it tells how far the accumulator can go.
    """
    arrays = [
        argument.values.astype(np.int64) for argument in step.args[2:5] if isinstance(argument, Constant)
    ]
    bias, multipliers, shifts = np.broadcast_arrays(*arrays)
    largest = np.abs(bias) + 128 * np.abs(weights.astype(np.int64)).sum(axis=1)
    rights = -shifts
    # Where the outcome is always zero, any factor of zero gives it.
    zero = (multipliers == 0) | (
        (rights > 0) & ((largest * multipliers >> 31) + 1 < 1 << np.maximum(rights - 1, 0))
    )
    multipliers, rights = np.where(zero, 0, multipliers), np.where(zero, 1, rights)
    clamps_negative = step.params["kActivationMin"] >= step.params["kOutputZeroPoint"]
    smallest_shift = 0 if clamps_negative else 1
    if largest.max() >= 1 << 30 or rights.min() < smallest_shift or rights.max() > _MAX_SHIFT:
        return None
    table = np.zeros((len(bias) + len(bias) % 2, 3), np.int32)
    table[: len(bias)] = np.stack([bias, multipliers, rights], axis=1)
    table[len(bias) :, 2] = 1
    return table
