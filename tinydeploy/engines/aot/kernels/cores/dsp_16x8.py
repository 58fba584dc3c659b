"""Kernels for layers of int16 on cores with Arm's DSP extension; see kernels/conv_16x8_dsp.h."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.ir import Constant, Overlap, Read, Scratch, Step, Write
from tinydeploy.engines.aot.memory import input_overlap

_BLOCK = 6  # channels of a fully connected layer that are multiplied at once
_PIXELS = 4  # columns that are multiplied at once
_LARGEST = 1 << 15  # magnitude of an input
_RUN = 255  # pairs whose products surely add up in 32 bits
_SHIFTS = (17, 46)  # of which 16 lie between the multiplier's 15 bits and the high word

Weights = npt.NDArray[np.int8]


def fully_connected(step: Step, pixels: int = _PIXELS) -> tuple[Step, ...] | None:
    """One row as it comes; more rows, or a 1×1 convolution, as columns of pixels."""
    depth, channels, rows = (int(step.params[f"k{n}"]) for n in ("InputDepth", "OutputDepth", "Rows"))
    if rows != 1:
        others = {name: value for name, value in step.params.items() if name != "kRows"}
        sizes = ("Input", "Output", "Kernel", "Stride", "Dilation")
        image = {f"k{what}{side}": 1 for what in sizes for side in ("Height", "Width")}
        rest = {"kGroups": 1, "kPadTop": 0, "kPadLeft": 0, "kPadded": False}
        return conv_2d(replace(step, params={"kBatches": rows, **others, **image, **rest}), pixels)
    weights = _weights(step, channels)
    couples = _couples(weights, depth)
    whole = channels // _BLOCK * _BLOCK // 2
    blocks = [couples[i : i + _BLOCK // 2] for i in range(0, whole, _BLOCK // 2)]
    blocks += [couples[i : i + 1] for i in range(whole, len(couples))]
    packed = np.concatenate([block.transpose(1, 0, 2).reshape(-1) for block in blocks])
    return (_step(step, packed, weights),)


def conv_2d(step: Step, pixels: int = _PIXELS) -> tuple[Step, ...] | None:
    """All but grouped convolutions, `pixels` at a time: 1 or 4."""
    if step.params["kGroups"] != 1:
        return None
    depth, channels = int(step.params["kInputDepth"]), int(step.params["kOutputDepth"])
    taps = int(step.params["kKernelWidth"]) if step.params["kDilationWidth"] == 1 else 1
    weights = _weights(step, channels)
    couples = _couples(weights, taps * depth)
    columns = Scratch("columns", "uint32_t", pixels * couples.shape[1])
    windows = input_overlap.windows(step.params, depth)
    least = input_overlap.by_channels(windows, channels, channels=channels, pixels=pixels)
    made = _step(step, couples.reshape(-1), weights, columns, least)
    return (replace(made, kernel="conv_2d_16x8_dsp", params={**made.params, "kPixels": pixels}),)


def depthwise_conv_2d(step: Step) -> tuple[Step, ...] | None:
    """Channels by fours, without a depth multiplier, where sums of 32 bits do."""
    depth = int(step.params["kInputDepth"])
    weights = _constant(step, 1).values.astype(np.int8)
    by_channel = weights.reshape(-1, int(step.params["kOutputDepth"])).T
    if step.params["kDepthMultiplier"] != 1 or depth % 4 != 0 or _narrow(step, by_channel) is None:
        return None
    least = input_overlap.by_channels(input_overlap.windows(step.params, depth), depth, channels=4)
    return (_step(step, weights, by_channel, None, least),)


def by_single_pixels(step: Step) -> tuple[Step, ...] | None:
    """As in dsp.py: a portable `step` with a quarter of the usual working memory; None if it needs none."""
    match step.kernel:
        case "conv_2d_16x8":
            return conv_2d(step, pixels=1)
        case "fully_connected_16x8" if step.params["kRows"] != 1:
            return fully_connected(step, pixels=1)
        case _:
            return None


CHOICES: dict[str, Callable[[Step], tuple[Step, ...] | None]] = {
    "fully_connected_16x8": fully_connected,
    "conv_2d_16x8": conv_2d,
    "depthwise_conv_2d_16x8": depthwise_conv_2d,
}


def _constant(step: Step, position: int) -> Constant:
    constant = step.args[position]
    assert isinstance(constant, Constant)
    return constant


def _weights(step: Step, channels: int) -> Weights:
    """[channel][position]."""
    return _constant(step, 1).values.astype(np.int8).reshape(channels, -1)


def _couples(weights: Weights, run: int) -> Weights:
    """[channel][runs of `run` values] as [two channels][pair][bytes c low, c + 1 low, c high, c + 1 high].

    Each run is made of whole pairs, with a zero behind an odd one.
    """
    channels, length = weights.shape
    padded = np.zeros((channels + channels % 2, length // run, run + run % 2), np.int8)
    padded[:channels, :, :run] = weights.reshape(channels, -1, run)
    pairs = padded.reshape(len(padded) // 2, 2, -1, 2).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(pairs).reshape(len(pairs), -1, 4)


def _narrow(step: Step, weights: Weights) -> tuple[Constant, Constant, Constant] | None:
    """Bias, multiplier and shift for the arithmetic in 32 bits, None if that is not exact."""
    bias, multiplier, shift = (_constant(step, position) for position in (2, 3, 4))
    factors = multiplier.values.astype(np.int64)
    shifts = np.where(factors == 0, _SHIFTS[0], shift.values.astype(np.int64))
    reach = np.abs(bias.values.astype(np.int64)) + _products(weights)
    exact = reach.max() < 1 << 31 and shifts.min() >= _SHIFTS[0] and shifts.max() <= _SHIFTS[1]
    if not step.params["kWideSums"] or not exact:
        return None
    return (
        replace(bias, values=bias.values.astype(np.int32)),
        replace(multiplier, values=(factors << 16).astype(np.int32), comment="15 bits, then 16 zeros"),
        replace(shift, values=(shifts - 16).astype(np.int8)),
    )


def _products(weights: Weights) -> npt.NDArray[np.int64]:
    """The largest magnitude of each channel's sum of products."""
    magnitudes: npt.NDArray[np.int64] = np.abs(weights.astype(np.int64)).sum(axis=1) * _LARGEST
    return magnitudes


def _step(
    step: Step, packed: Weights, weights: Weights, scratch: Scratch | None = None, least: int | None = None
) -> Step:
    """`step` with the weights in another order, and the other constants for sums of 32 bits if they do.

    `least` is how far below the input the output may start, in elements; None if they may not overlap.
    """
    source, old, *constants, output = step.args
    assert isinstance(source, Read) and isinstance(old, Constant) and isinstance(output, Write)
    narrow = _narrow(step, weights)
    pairs = packed.size // 2  # as many as that at most
    run = pairs if _products(weights).max() < 1 << 31 else _RUN
    args = (
        source,
        replace(old, values=packed, comment="in the order of reading"),
        *(narrow or constants),
        *((scratch,) if scratch else ()),
        output,
    )
    overlaps = () if least is None else (Overlap(source.tensor, output.tensor, 2 * least),)
    params = {**step.params, "kNarrow": narrow is not None, "kRun": run}
    return Step(f"{step.kernel}_dsp", "conv_16x8_dsp.h", params, args, overlaps)
