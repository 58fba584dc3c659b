"""Kernels for cores that multiply one pair of numbers at a time, and weights in the order of reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tinydeploy.boards import Core
from tinydeploy.engines.aot import overlap
from tinydeploy.engines.aot.channels import settled
from tinydeploy.engines.aot.program import Argument, Constant, Overlap, Read, Scratch, Step, Write

_MAX_WIDTH = 5  # of a depthwise window whose weights are held in registers
_MAX_SUM = 1 << 29
_MAX_SHIFT = 21


@dataclass(frozen=True)
class Blocks:
    """How many sums a core's registers hold: (channels, pixels) of a convolution, and so on.

    `reach` is how far apart the pixels of a block may start for an immediate offset to tell them apart. With
    `columns`, a block's inputs are copied to columns of words instead.
    """

    convolution: tuple[int, int]
    one_pixel: int  # channels
    depthwise: int  # outputs of one channel
    reach: int = 0
    columns: bool = False
    words: bool = False  # one row's weights are multiplied as words


_HEADERS = {
    "conv_2d_scalar": "conv_scalar.h",
    "depthwise_conv_2d_scalar": "depthwise_conv_scalar.h",
    "fully_connected_scalar": "conv_scalar.h",
    "fully_connected_words": "fully_connected_words.h",
}
_BLOCKS = {
    "cortex-m0plus": Blocks((1, 4), 8, 2, columns=True, words=True),
    "cortex-m3": Blocks((4, 2), 8, 4, 4000, words=True),
    "rv32imc": Blocks((4, 4), 16, 4, 2000),
    "rv32imac": Blocks((4, 4), 16, 4, 2000),
}


def choices(core: Core) -> Mapping[str, Callable[[Step], tuple[Step, ...] | None]]:
    """The choices for `core`: none where 32-bit products are slow."""
    blocks = _BLOCKS.get(core.id)
    if blocks is None:
        return {}
    return {
        "fully_connected": lambda step: (_fully_connected(step, blocks),),
        "conv_2d": lambda step: _conv_2d(step, blocks),
        "depthwise_conv_2d": lambda step: _depthwise_conv_2d(step, blocks),
    }


def _fully_connected(step: Step, blocks: Blocks) -> Step:
    depth, channels, batches = _numbers(step, "kInputDepth", "kOutputDepth", "kBatches")
    size = _block(blocks, depth) if batches > 1 else (blocks.one_pixel, 1)
    layer = _layer(step, channel_axis=0)
    columns = Scratch("columns", "int32_t", size[1] * depth) if blocks.columns and batches > 1 else None
    least = overlap.by_channels(
        np.arange(batches) * depth, channels, channels if columns else size[0], size[1]
    )
    weights = _interleave(layer.weights, size[0])
    if blocks.words and batches == 1:
        whole = channels // 8 * 8 * depth
        words = weights[:whole].view(np.uint8).reshape(-1, 4) + np.array([128, 128, 128, 0], np.uint8)
        packed = np.concatenate([words.reshape(-1).view(np.int8), weights[whole:]])
        return _step(step, "fully_connected_words", packed, layer, size, None, least)
    return _step(step, "fully_connected_scalar", weights, layer, size, columns, least)


def _conv_2d(step: Step, blocks: Blocks) -> tuple[Step, ...] | None:
    """All but grouped convolutions."""
    if step.params["kGroups"] != 1:
        return None
    depth, channels = _numbers(step, "kInputDepth", "kOutputDepth")
    layer = _layer(step, channel_axis=0)
    length = layer.weights.shape[1]
    size = _block(blocks, length)
    rows = Scratch("rows", "int32_t" if blocks.columns else "int8_t", size[1] * length)
    windows = overlap.windows(step.params, depth)
    least = overlap.by_channels(windows, channels, channels, size[1])
    return (_step(step, "conv_2d_scalar", _interleave(layer.weights, size[0]), layer, size, rows, least),)


def _depthwise_conv_2d(step: Step, blocks: Blocks) -> tuple[Step, ...] | None:
    """Windows that are narrow and not dilated."""
    width, channels, multiplier = _numbers(step, "kKernelWidth", "kOutputDepth", "kDepthMultiplier")
    if width > _MAX_WIDTH or _numbers(step, "kDilationHeight", "kDilationWidth") != [1, 1]:
        return None
    layer = _layer(step, channel_axis=1)
    least = overlap.channel_rows(step.params, channels, multiplier)
    size = (1, blocks.depthwise)
    return (_step(step, "depthwise_conv_2d_scalar", layer.weights.reshape(-1), layer, size, None, least),)


def _block(blocks: Blocks, length: int) -> tuple[int, int]:
    """(channels, pixels) for rows of `length` inputs."""
    channels, pixels = blocks.convolution
    if blocks.columns:
        return channels, pixels
    return channels, max(1, min(pixels, blocks.reach // length + 1))


def _numbers(step: Step, *names: str) -> list[int]:
    return [int(step.params[name]) for name in names]


@dataclass(frozen=True, eq=False)
class _Layer:
    """`weights` are [channel][position]; the constants are the step's bias, multiplier and shift."""

    weights: npt.NDArray[np.int8]
    constants: tuple[Constant, ...]
    small_sums: bool  # the arithmetic of kernels/scalar.h is exact


def _layer(step: Step, channel_axis: int) -> _Layer:
    """What `step` computes, see channels.settled."""
    old, *constants = (argument for argument in step.args if isinstance(argument, Constant))
    shape = (constants[0].values.size, -1) if channel_axis == 0 else (-1, constants[0].values.size)
    found = settled(step, np.moveaxis(old.values.astype(np.int8).reshape(shape), channel_axis, 0))
    values: tuple[npt.NDArray[np.generic], ...] = (
        found.bias.astype(np.int32),
        found.multipliers.astype(np.int32),
        found.shifts.astype(np.int8),
    )
    shifts = found.shifts
    small = found.reach.max() < _MAX_SUM and shifts.min() >= -_MAX_SHIFT and shifts.max() <= -1
    return _Layer(
        found.weights,
        tuple(replace(constant, values=new) for constant, new in zip(constants, values, strict=True)),
        bool(small),
    )


def _interleave(weights: npt.NDArray[np.int8], channels: int) -> npt.NDArray[np.int8]:
    """[channel][position] as blocks of [position][channel], the last of what is left over."""
    blocks = [weights[start : start + channels].T.reshape(-1) for start in range(0, len(weights), channels)]
    return np.concatenate(blocks)


def _step(
    step: Step,
    kernel: str,
    weights: npt.NDArray[np.int8],
    layer: _Layer,
    size: tuple[int, int],
    scratch: Scratch | None,
    least: int,
) -> Step:
    """`step` by another kernel; `size` is its block of (channels, pixels), `least` as for overlap.over."""
    source, old, output = step.args[0], step.args[1], step.args[-1]
    assert isinstance(source, Read) and isinstance(old, Constant) and isinstance(output, Write)
    args: tuple[Argument, ...] = (
        source,
        replace(old, values=weights, comment="in the order of reading"),
        *layer.constants,
        *((scratch,) if scratch else ()),
        output,
    )
    params = {
        **step.params,
        "kBlockChannels": size[0],
        "kBlockPixels": size[1],
        "kSmallSums": layer.small_sums,
        "kMultiplier": 0 if step.params["kPerChannel"] else int(layer.constants[1].values[0]),
        "kShift": 0 if step.params["kPerChannel"] else int(layer.constants[2].values[0]),
        "kClampsNegative": step.params["kActivationMin"] >= step.params["kOutputZeroPoint"],
    }
    return Step(kernel, _HEADERS[kernel], params, args, (Overlap(source.tensor, output.tensor, least),))
