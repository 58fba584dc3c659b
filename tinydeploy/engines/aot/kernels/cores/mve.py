"""Kernels for cores with Arm's vector extension MVE (M55), and their constants in the order of reading."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.ir import Constant, Overlap, Read, Scratch, Step, Write
from tinydeploy.engines.aot.memory import input_overlap

_LANES = 16  # values of eight bits in a vector
_CHANNELS = 4  # that are multiplied at once
_PIXELS = 2
_MAX_WINDOW = 6 * _LANES  # of a depthwise convolution: its weights have to stay in registers
_MAX_STRIP = (2**16 - 1) // 7  # bytes: eight channels' strips are within an offset of 16 bits


def fully_connected(step: Step) -> tuple[Step, ...] | None:
    """Rows, or a 1×1 convolution's pixels, as they lie in the input; without an addend."""
    if step.addend:
        return None
    depth, channels, rows = (int(step.params[name]) for name in ("kInputDepth", "kOutputDepth", "kRows"))
    least = input_overlap.by_channels(input_overlap.rows(rows, depth), channels, _CHANNELS, _PIXELS)
    return (_convolution(step, "fully_connected_mve", depth, None, least),)


def conv_2d(step: Step) -> tuple[Step, ...] | None:
    """All but grouped convolutions, and those with an addend."""
    p = {name: int(value) for name, value in step.params.items()}
    if p["kGroups"] != 1 or step.addend:
        return None
    length = p["kKernelHeight"] * p["kKernelWidth"] * p["kInputDepth"]
    # A copy of a run may end up to a vector's width behind the column.
    columns = Scratch("columns", "int8_t", _PIXELS * _round_up(length, _LANES) + _LANES)
    windows, channels = input_overlap.windows(step.params, p["kInputDepth"]), p["kOutputDepth"]
    least = input_overlap.by_channels(windows, channels, channels, _PIXELS)
    return (_convolution(step, "conv_2d_mve", length, columns, least),)


def depthwise_conv_2d(step: Step) -> tuple[Step, ...] | None:
    """Any stride, dilation, padding and depth multiplier; windows that fit in the registers."""
    p = {name: int(value) for name, value in step.params.items()}
    depth, channels = p["kInputDepth"], p["kOutputDepth"]
    height, width = ((p[f"kKernel{side}"] - 1) * p[f"kDilation{side}"] + 1 for side in ("Height", "Width"))
    columns = (p["kOutputWidth"] - 1) * p["kStrideWidth"] + width
    strip = (columns - 1) * height + (p["kOutputHeight"] - 1) * p["kStrideHeight"] + height
    if height * width > _MAX_WINDOW or strip > _MAX_STRIP:
        return None
    constant, bias, multiplier, shift = _constants(step)
    weights = constant.values.reshape(p["kKernelHeight"], p["kKernelWidth"], channels)
    window = np.zeros((channels, width, height), np.int8)
    window[:, :: p["kDilationWidth"], :: p["kDilationHeight"]] = weights.transpose(2, 1, 0)
    between = height * p["kStrideWidth"]  # two neighbouring windows' corners
    shared = between if height * width + between <= _LANES else 0
    taps = np.zeros((channels, _round_up(height * width, _LANES)), np.int8)
    taps[:, shared : shared + height * width] = window.reshape(channels, -1)
    # The vector of the last window may reach beyond the last strip.
    corner = (p["kOutputHeight"] - 1) * p["kStrideHeight"] + (p["kOutputWidth"] - 1) * between
    reach = corner + taps.shape[1]
    strips = Scratch("strips", "int8_t", (depth - 1) * strip + max(strip, reach))
    params = {
        **step.params,
        "kKernelHeight": height,
        "kKernelWidth": width,
        "kDilationHeight": 1,
        "kDilationWidth": 1,
    }
    values = np.concatenate([taps.reshape(-1), np.zeros(shared, np.int8)])
    least = input_overlap.row_by_row(params, channels)
    table = np.stack([bias, multiplier, shift], axis=1) if step.params["kPerChannel"] else bias
    return (
        _step(
            replace(step, params=params),
            "depthwise_conv_2d_mve",
            "depthwise_conv_mve.h",
            values,
            table,
            strips,
            least,
        ),
    )


def add(step: Step) -> tuple[Step, ...]:
    """Tensors of one shape; a broadcast is another kernel."""
    return (replace(step, kernel="add_linear_mve", header="add_mve.h"),)


CHOICES = {
    "fully_connected": fully_connected,
    "conv_2d": conv_2d,
    "depthwise_conv_2d": depthwise_conv_2d,
    "add_linear": add,
}


def _round_up(count: int, unit: int) -> int:
    return -(-count // unit) * unit


def _constants(
    step: Step,
) -> tuple[Constant, npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int8]]:
    """Weights, and bias, multiplier and shift; these have one value per channel, or one for all."""
    weights, *rest = (argument for argument in step.args if isinstance(argument, Constant))
    bias, multiplier, shift = (constant.values for constant in rest)
    return weights, bias.astype(np.int32), multiplier.astype(np.int32), shift.astype(np.int8)


def _convolution(step: Step, kernel: str, length: int, columns: Scratch | None, least: int) -> Step:
    """`length` inputs make an output."""
    channels = int(step.params["kOutputDepth"])
    blocks = _round_up(channels, _CHANNELS) // _CHANNELS
    constant, bias, multiplier, shift = _constants(step)
    weights = np.zeros((blocks * _CHANNELS, _round_up(length, _LANES)), np.int8)
    weights[:channels, :length] = constant.values.reshape(channels, length)
    values = weights.reshape(blocks, _CHANNELS, -1, _LANES).transpose(0, 2, 1, 3)

    def by_blocks(column: npt.NDArray[np.generic]) -> npt.NDArray[np.int32]:
        padded = np.zeros(blocks * _CHANNELS, column.dtype)
        padded[:channels] = column
        return padded.reshape(blocks, _CHANNELS).view(np.int32)

    table = by_blocks(bias)
    if step.params["kPerChannel"]:
        table = np.concatenate([table, by_blocks(multiplier), by_blocks(shift)], axis=1)
    return _step(step, kernel, "conv_mve.h", values, table, columns, least)


def _rounding(step: Step, shifts: npt.NDArray[np.signedinteger]) -> dict[str, bool]:
    """What kernels/mve.h may leave out of a requantisation."""
    return {
        "kClampsNegative": step.params["kActivationMin"] >= step.params["kOutputZeroPoint"],
        "kShiftsRight": bool((shifts < 0).all()),
    }


def _step(
    step: Step,
    kernel: str,
    header: str,
    weights: npt.NDArray[np.int8],
    table: npt.NDArray[np.int32],
    scratch: Scratch | None,
    least: int,
) -> Step:
    """`step` by another kernel: input, weights, channels, scratch, output.

    `least` is how far below the input the output may start.
    """
    source, _, named, *_, output = step.args
    assert isinstance(source, Read) and isinstance(named, Constant) and isinstance(output, Write)
    constant, _, multiplier, shift = _constants(step)
    per_channel = bool(step.params["kPerChannel"])
    params = {
        **step.params,
        **_rounding(step, shift),
        "kMultiplier": 0 if per_channel else int(multiplier[0]),
        "kShift": 0 if per_channel else int(shift[0]),
    }
    comment = "bias, multiplier and shift" if per_channel else "biases"
    args = (
        source,
        replace(constant, values=weights.reshape(-1), comment="in the order of reading"),
        Constant(named.name.removesuffix("bias") + "channels", table.reshape(-1), comment),
        *((scratch,) if scratch else ()),
        output,
    )
    return Step(kernel, header, params, args, (Overlap(source.tensor, output.tensor, least),))
