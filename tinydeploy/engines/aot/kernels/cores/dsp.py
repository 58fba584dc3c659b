"""Kernels for cores with Arm's DSP extension (M4, M7, M33), and their constants in the order of reading."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.ir import Constant, Overlap, Read, Scratch, Step
from tinydeploy.engines.aot.kernels.channel_bounds import settled
from tinydeploy.engines.aot.lowering import conv_with_addend
from tinydeploy.engines.aot.memory import input_overlap

CHOICES: dict[str, Callable[[Step], tuple[Step, ...] | None]] = {}
_Choice = TypeVar("_Choice", bound=Callable[..., tuple[Step, ...] | None])

_SHARED_BLOCK = 1  # pairs that a loop of shared code multiplies at once
_PIXELS = 4  # columns that are multiplied at once
_BLOCK = 6  # channels of a fully connected layer that are multiplied at once
_MAX_WORDS = 125  # of a depthwise row: the third of them is within LDRD's reach
_SHIFT_BITS = 5  # that a shift takes beside a bias
_MAX_SHIFT = 22  # of a zero point of 8 bits, rounding and an accumulator of 30 bits: their sum fits in 32

Order = list[tuple[int, int]]  # pairs of positions; -1 stands for a zero


def chooses(kernel: str) -> Callable[[_Choice], _Choice]:
    """Registers the choice for steps that call `kernel`."""

    def register(choice: _Choice) -> _Choice:
        CHOICES[kernel] = choice
        return choice

    return register


@chooses("fully_connected")
def fully_connected(step: Step, pixels: int = _PIXELS) -> tuple[Step, ...] | None:
    """One row as it comes; more rows, or a 1×1 convolution, as columns of pixels."""
    depth, channels = int(step.params["kInputDepth"]), int(step.params["kOutputDepth"])
    weights = _weights(step).reshape(channels, depth)
    if step.params["kRows"] != 1:
        first = input_overlap.rows(int(step.params["kRows"]), depth)
        return _convolution(step, "pointwise_dsp", weights, _pair_up(depth, 1), first, pixels)
    found = _channels(step, weights)
    if found is None or step.addend:
        return None
    table, weights = found
    packed = _interleave(weights, _pair_up((depth + 3) // 4 * 4, 1, depth))
    couples = packed.reshape(packed.shape[0], -1, 8)  # [two channels][four inputs][bytes]
    whole = channels // _BLOCK * _BLOCK // 2
    blocks = [couples[i : i + _BLOCK // 2] for i in range(0, whole, _BLOCK // 2)]
    blocks += [couples[i : i + 1] for i in range(whole, len(couples))]
    values = np.concatenate([block.transpose(1, 0, 2).reshape(-1) for block in blocks])
    return (_step(step, "fully_connected_dsp", "fully_connected_dsp.h", values, table, None, None, 4),)


@chooses("conv_2d")
def conv_2d(step: Step, pixels: int = _PIXELS) -> tuple[Step, ...] | None:
    """All but grouped convolutions, `pixels` at a time: 1 or 4."""
    if step.params["kGroups"] != 1:
        return None
    params = {name: int(value) for name, value in step.params.items()}
    weights = _weights(step).reshape(params["kOutputDepth"], -1)
    taps = params["kKernelWidth"] if params["kDilationWidth"] == 1 else 1
    runs = params["kKernelHeight"] * params["kKernelWidth"] // taps
    order = _pair_up(taps * params["kInputDepth"], runs)
    windows = input_overlap.windows(step.params, params["kInputDepth"])
    return _convolution(step, "conv_2d_dsp", weights, order, windows, pixels)


@chooses("depthwise_conv_2d")
def depthwise_conv_2d(step: Step) -> tuple[Step, ...] | None:
    """Windows of 3×3 without dilation and depth multiplier, channels by fours."""
    params = {name: int(value) for name, value in step.params.items()}
    depth, stride = params["kInputDepth"], params["kStrideWidth"]
    words = (params["kOutputWidth"] + 1) // 2 * stride + 1  # of a channel in a row: two outputs at a time
    fits = (
        params["kKernelHeight"] == params["kKernelWidth"] == 3
        and params["kDilationHeight"] == params["kDilationWidth"] == params["kDepthMultiplier"] == 1
        and stride <= 2
        and depth % 4 == 0
        and words <= _MAX_WORDS
    )
    if not fits:
        return None
    weights = _weights(step).reshape(3, 3, depth).transpose(2, 0, 1)
    found = _channels(step, weights.reshape(depth, 9))
    if found is None:
        return None
    table, weights = found[0], found[1].reshape(depth, 3, 3)
    rows = Scratch("rows", "uint32_t", 3 * depth * words)
    values = weights[:, :, [0, 1, 1, 2]].reshape(-1)
    least = input_overlap.row_by_row(step.params, depth)
    return (_step(step, "depthwise_conv_2d_dsp", "depthwise_conv_dsp.h", values, table, rows, least),)


def widened(step: Step) -> Step | None:
    """`step` with weights of 16 bits, None if its kernel has no such form or a doubled bias does not fit.

    The weights are doubled, as the requantisation wants the sums, and so are the biases.
    """
    if step.params.get("kWide") is not False:
        return None
    source, weights, channels, *rest = step.args
    assert isinstance(weights, Constant) and isinstance(channels, Constant)
    table = channels.values.astype(np.int64)
    if step.params["kPerChannel"]:
        shifts = table[1::2] & (1 << _SHIFT_BITS) - 1
        table[1::2] = (table[1::2] >> _SHIFT_BITS) * 2 << _SHIFT_BITS | shifts
    else:
        table *= 2
    if np.abs(table).max() >= 1 << 31:
        return None
    # The bytes c, c + 1, c, c + 1 become the pairs of c and of c + 1.
    wide = weights.values.reshape(-1, 2, 2).transpose(0, 2, 1).reshape(-1).astype(np.int16) * np.int16(2)
    args = (
        source,
        replace(weights, values=wide, comment=f"doubled, {weights.comment}"),
        replace(channels, values=table.astype(np.int32)),
        *rest,
    )
    return replace(step, params={**step.params, "kWide": True}, args=args)


def by_single_pixels(step: Step) -> tuple[Step, ...] | None:
    """A portable `step` by a kernel whose working memory is a quarter of the usual; None if there is none."""
    match step.kernel:
        case "conv_2d":
            return conv_2d(step, pixels=1)
        case "fully_connected" if step.params["kRows"] != 1:
            return fully_connected(step, pixels=1)
        case _:
            return None


def shared(step: Step, clamped: bool) -> Step | None:
    """`step` by code that all layers share, with short loops; None if its kernel has no such form.

    `clamped` says that all layers of the program clamp what is negative, and may use that.
    """
    params = {**step.params}
    params["kClampsNegative"] = clamped and bool(params.get("kClampsNegative"))
    if step.kernel == "fully_connected_dsp":
        return replace(step, params={**params, "kBlock": 1})
    if params.get("kShared") is not False:
        return None
    if step.kernel == "pointwise_dsp":
        pixels = params.pop("kRows")
        for name in ("Height", "Width"):
            ones = ("Input", "Output", "Kernel", "Stride", "Dilation")
            params |= {f"k{what}{name}": 1 for what in ones}
        params |= {"kBatches": 1, "kInputWidth": pixels, "kOutputWidth": pixels}
        params |= {"kPadTop": 0, "kPadLeft": 0, "kPadded": False, "kInputZeroPoint": 0}
    shape = {name for name in params if name != "kMultiplier" and not name.startswith("kAdd")}
    if any(params[name] >= 1 << 15 for name in shape):
        return None  # they are kept as int16
    if "kBlock" not in params:
        return replace(step, params={**params, "kShared": True})
    taps = params["kKernelWidth"] if params["kDilationWidth"] == 1 else 1
    run = Scratch("columns", "uint32_t", -(-int(taps * params["kInputDepth"]) // 4))
    args = tuple(
        replace(a, elements=a.elements + run.elements) if isinstance(a, Scratch) else a for a in step.args
    )
    params |= {"kShared": True, "kBlock": _SHARED_BLOCK}
    return replace(step, kernel="conv_2d_dsp", params=params, args=args)


def _convolution(
    step: Step,
    kernel: str,
    weights: npt.NDArray[np.int8],
    order: Order,
    first: input_overlap.Steps | None,
    pixels: int,
) -> tuple[Step, ...] | None:
    """`first` says where in the input each output pixel's window starts."""
    found = _channels(step, weights)
    if found is None:
        return None
    table, weights = found
    values = _interleave(weights, order).reshape(-1)
    columns = Scratch("columns", "uint32_t", pixels * len(order))
    depth = len(weights)
    least = input_overlap.by_channels(first, depth, channels=depth, pixels=pixels)
    made = _step(step, kernel, "conv_dsp.h", values, table, columns, least, 8)
    overlaps = (*made.overlaps, *conv_with_addend.added(step, pixels))
    return (replace(made, params={**made.params, "kPixels": pixels}, overlaps=overlaps),)


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
    least: int | None,
    block: int = 0,
) -> Step:
    """`step` by another kernel: input, weights, channels, scratch, output, and the addend if it has one.

    `least` is how far below the input the output may start, None if they may not overlap.
    """
    source, old, bias, *_ = step.args
    assert isinstance(source, Read) and isinstance(old, Constant) and isinstance(bias, Constant)
    bias_column, multiplier, shift = table.T
    params = {name: value for name, value in step.params.items() if name != "kLeftShift"}
    params["kClampsNegative"] = step.params["kActivationMin"] >= step.params["kOutputZeroPoint"]
    params |= {"kMultiplier": 0, "kShift": 0, "kWide": False, "kShared": False}
    if step.params["kPerChannel"]:
        channels = np.stack([multiplier, bias_column << _SHIFT_BITS | shift], axis=1)
        comment = "multiplier, then bias and right shift, of each channel"
    else:
        channels, comment = bias_column, "biases"
        params |= {"kMultiplier": int(multiplier[0]), "kShift": int(shift[0])}
    if block:
        params["kBlock"] = block
    args = (
        source,
        replace(old, values=weights, comment="in the order of reading"),
        Constant(bias.name.removesuffix("bias") + "channels", channels.reshape(-1), comment),
        *((scratch,) if scratch else ()),
        step.output,
        *step.addend,
    )
    overlaps = () if least is None else (Overlap(source.tensor, step.output.tensor, least),)
    return Step(kernel, header, params, args, overlaps)


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


def _channels(
    step: Step, weights: npt.NDArray[np.int8]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int8]] | None:
    """[channel][bias, multiplier, right shift], or None if the arithmetic of kernels/dsp.h is not exact.

    `weights` is [channel][position]; they come back as the table has them, see channels.settled.
    """
    found = settled(step, weights)
    bias, multipliers, rights = np.broadcast_arrays(found.bias, found.multipliers, -found.shifts)
    smallest = 0 if step.params["kActivationMin"] >= step.params["kOutputZeroPoint"] else 1
    if found.reach.max() >= 1 << 30 or rights.min() < smallest or rights.max() > _MAX_SHIFT:
        return None
    if np.abs(bias).max() >= 1 << 31 - _SHIFT_BITS:
        return None
    table = np.zeros((len(bias) + len(bias) % 2, 3), np.int32)
    table[: len(bias)] = np.stack([bias, multipliers, rights], axis=1)
    return table, found.weights
