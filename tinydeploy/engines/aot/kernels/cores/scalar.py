"""Kernels for cores that multiply one pair of numbers at a time, and weights in the order of reading."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tinydeploy.boards.core import Core
from tinydeploy.engines.aot.arithmetic import packed_weights
from tinydeploy.engines.aot.ir import Argument, Constant, Overlap, Read, Scratch, Step
from tinydeploy.engines.aot.kernels.channel_bounds import settled
from tinydeploy.engines.aot.lowering import conv_with_addend
from tinydeploy.engines.aot.memory import input_overlap

_MAX_WIDTH = 5  # of a depthwise window whose weights are held in registers
_MAX_SUM = 1 << 29
_MAX_SHIFT = 21


@dataclass(frozen=True)
class Blocks:
    """How many sums a core's registers hold: (channels, pixels) of a convolution, and so on."""

    convolution: tuple[int, int]
    one_row: int  # channels
    depthwise: int  # outputs of one channel
    shared: bool  # layers share the code of convolutions: it costs nothing where all sums are in memory


_HEADERS = {
    "conv_2d_scalar": "conv_scalar.h",
    "depthwise_conv_2d_scalar": "depthwise_conv_scalar.h",
    "fully_connected_scalar": "conv_scalar.h",
    "fully_connected_packed": "fully_connected_packed.h",
}
_BLOCKS = {
    "cortex-m0plus": Blocks((1, 8), 8, 2, True),
    "cortex-m3": Blocks((1, 4), 4, 4, False),
    "rv32imc": Blocks((2, 4), 8, 4, False),
    "rv32imac": Blocks((2, 4), 8, 4, False),
}
# The lengths of runs to choose from: of a row, of a convolution.
_ROW_RUNS = (2, 4, 8, 16)
_RUNS = (2, 3, 4, 5, 6, 8, 12, 16)
_SMALL_RUNS = (4,)  # where code is to be small: more layers' is alike, and there is little excess


def blocks(core: Core) -> Blocks | None:
    """What the choices for `core` depend on; None where there are none."""
    return _BLOCKS.get(core.id)


def choices(core: Core, small: bool) -> Mapping[str, Callable[[Step], tuple[Step, ...] | None]]:
    """The choices for `core`: none where 32-bit products are slow. `small` spares flash."""
    found = blocks(core)
    if found is None:
        return {}
    runs = _SMALL_RUNS if small else _RUNS
    return {
        "fully_connected": lambda step: _fully_connected(step, found, runs),
        "conv_2d": lambda step: _conv_2d(step, found, runs),
        "depthwise_conv_2d": lambda step: _depthwise_conv_2d(step, found),
    }


def _fully_connected(step: Step, blocks: Blocks, runs: Sequence[int]) -> tuple[Step, ...] | None:
    depth, channels, rows = _numbers(step, "kInputDepth", "kOutputDepth", "kRows")
    if rows == 1:
        return None if step.addend else (_one_row(step, blocks.one_row),)
    least = input_overlap.by_channels(
        input_overlap.rows(rows, depth), channels, channels, blocks.convolution[1]
    )
    return (_columns(step, "fully_connected_scalar", blocks, runs, least),)


def _conv_2d(step: Step, blocks: Blocks, runs: Sequence[int]) -> tuple[Step, ...] | None:
    """All but grouped convolutions."""
    if step.params["kGroups"] != 1:
        return None
    depth, channels = _numbers(step, "kInputDepth", "kOutputDepth")
    windows = input_overlap.windows(step.params, depth)
    least = input_overlap.by_channels(windows, channels, channels, blocks.convolution[1])
    return (_columns(step, "conv_2d_scalar", blocks, runs, least),)


def _columns(step: Step, kernel: str, blocks: Blocks, runs: Sequence[int], least: int) -> Step:
    """Many pixels, which are multiplied two at a time."""
    layer = _layer(step, channel_axis=0)
    run = packed_weights.best_run(layer.weights, runs)
    excess = packed_weights.excess(layer.weights, run)
    columns = Scratch("columns", "int32_t", blocks.convolution[1] // 2 * layer.weights.shape[1])
    weights = _interleave(layer.weights - excess, blocks.convolution[0])
    listed = _excess(step, packed_weights.by_position(excess, blocks.convolution[0]))
    new = _step(step, kernel, weights, layer, blocks.convolution, (listed, columns), least)
    params = {**new.params, "kRun": run, "kExcess": bool(excess.any()), "kShared": blocks.shared}
    return replace(new, params=params)


def _one_row(step: Step, block: int) -> Step:
    """One row, whose channels are multiplied two at a time."""
    layer = _layer(step, channel_axis=0)
    channels, depth = layer.weights.shape
    whole = channels // block * block
    run = packed_weights.best_run(layer.weights[:whole], _ROW_RUNS)
    excess = packed_weights.excess(layer.weights[:whole], run)
    words = _interleave(layer.weights[:whole] - excess, block) ^ np.int8(-128)  # as unsigned bytes: plus 128
    weights = np.concatenate([words, layer.weights[whole:].reshape(-1)])
    starts = Scratch("starts", "int32_t", -(-depth // run))
    least = input_overlap.by_channels(np.zeros(1, np.int64), channels, block)
    others = (_excess(step, packed_weights.by_channel(excess, block)), starts)
    new = _step(step, "fully_connected_packed", weights, layer, (block, 1), others, least)
    return replace(new, params={**new.params, "kRun": run, "kExcess": bool(excess.any())})


def _excess(step: Step, values: npt.NDArray[np.generic]) -> Constant:
    weights = step.args[1]
    assert isinstance(weights, Constant)
    return Constant(weights.name.removesuffix("weights") + "excess", values, "of large weights")


def _depthwise_conv_2d(step: Step, blocks: Blocks) -> tuple[Step, ...] | None:
    """Windows that are narrow and not dilated."""
    width, channels, multiplier = _numbers(step, "kKernelWidth", "kOutputDepth", "kDepthMultiplier")
    if width > _MAX_WIDTH or _numbers(step, "kDilationHeight", "kDilationWidth") != [1, 1]:
        return None
    layer = _layer(step, channel_axis=1)
    least = input_overlap.channel_rows(step.params, channels, multiplier)
    size = (1, blocks.depthwise)
    weights = layer.weights.reshape(-1)
    return (_step(step, "depthwise_conv_2d_scalar", weights, layer, size, (), least),)


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
    return np.concatenate([np.zeros(0, np.int8), *blocks])


def _step(
    step: Step,
    kernel: str,
    weights: npt.NDArray[np.int8],
    layer: _Layer,
    size: tuple[int, int],
    others: tuple[Argument, ...],
    least: int,
) -> Step:
    """`step` by another kernel; `size` is its block of (channels, pixels), `least` as for overlap.over.

    `others` are the arguments between the constants and the output.
    """
    source, old = step.args[:2]
    assert isinstance(source, Read) and isinstance(old, Constant)
    args: tuple[Argument, ...] = (
        source,
        replace(old, values=weights, comment="in the order of reading"),
        *layer.constants,
        *others,
        step.output,
        *step.addend,
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
    overlaps = (Overlap(source.tensor, step.output.tensor, least), *conv_with_addend.added(step, size[1]))
    return Step(kernel, _HEADERS[kernel], params, args, overlaps)
