"""Kernels for cores that multiply one pair of numbers at a time, and weights in the order of reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.arithmetic import packed_weights
from tinydeploy.engines.aot.ir import Argument, Call, Constant, Kernel, Params, Read, Scratch, Step
from tinydeploy.engines.aot.kernels import layer_kernels
from tinydeploy.engines.aot.kernels.channel_bounds import settled
from tinydeploy.engines.aot.kernels.kernel_set import Choices, KernelSet
from tinydeploy.engines.aot.kernels.layer_kernels import (
    LAYER,
    Conv2d,
    DepthwiseConv2d,
    FullyConnected,
    Layer,
    by_columns,
)
from tinydeploy.engines.aot.memory import input_overlap
from tinydeploy.model.graph import Graph

_MAX_WIDTH = 5  # of a depthwise window whose weights are held in registers
_MAX_SUM = 1 << 29
_MAX_SHIFT = 21


@dataclass(frozen=True)
class Blocks:
    """How many sums a core's registers hold: (channels, pixels) of a convolution, and so on."""

    convolution: tuple[int, int]
    one_row: int  # channels
    depthwise: int  # outputs of one channel
    shared: bool = False  # layers share the code of convolutions: free where all sums are in memory
    biased: bool = False  # weights of convolutions are unsigned: where there is no load of signed bytes


@dataclass(frozen=True)
class Scalar(Params):
    """A layer of int8 by blocks of so many channels and pixels.

    Its multiplier and shift are 0 if each channel has its own.
    """

    layer: Layer
    block_channels: int
    block_pixels: int
    small_sums: bool  # the arithmetic of kernels/scalar.h is exact
    multiplier: int
    shift: int
    clamps_negative: bool  # whether the activation clamps what is below the zero point


@dataclass(frozen=True)
class Packed(Scalar):
    """Products two at a time, in runs of `run`; see packed_weights.py for the excess, if there is any."""

    run: int
    excess: bool


@dataclass(frozen=True)
class Columns(Packed):
    """The same of columns of pixels, perhaps by code that layers share."""

    shared: bool
    biased: bool

    @property
    def variant(self) -> str:
        """Shared code, and whether it adds."""
        return " shared" * self.shared + self.layer.variant


def _columns_overlap(call: Call[Columns]) -> Mapping[str, int]:
    return by_columns(call.params.layer, call.params.block_pixels, call.args)


def _row_overlap(call: Call[Packed]) -> Mapping[str, int]:
    first, p = np.zeros(1, np.int64), call.params
    return {"input": input_overlap.by_channels(first, p.layer.output_depth, p.block_channels)}


def _depthwise_overlap(call: Call[Scalar]) -> Mapping[str, int]:
    layer = call.params.layer
    assert isinstance(layer, DepthwiseConv2d)
    return {"input": input_overlap.channel_rows(layer.geometry, layer.output_depth, layer.depth_multiplier)}


_COLUMNS = (*LAYER[:-1], "excess", "columns", "output", "[addend]")
FULLY_CONNECTED_SCALAR = Kernel(
    "fully_connected_scalar", "conv_scalar.h", Columns, _COLUMNS, _columns_overlap
)
CONV_2D_SCALAR = Kernel(
    "conv_2d_scalar", "conv_scalar.h", Columns, _COLUMNS, _columns_overlap, frozenset({"groups"})
)
DEPTHWISE_CONV_2D_SCALAR = Kernel(
    "depthwise_conv_2d_scalar",
    "depthwise_conv_scalar.h",
    Scalar,
    LAYER,
    _depthwise_overlap,
    frozenset({"block_channels", "dilation_height", "dilation_width"}),
)
FULLY_CONNECTED_PACKED = Kernel(
    "fully_connected_packed",
    "fully_connected_packed.h",
    Packed,
    (*LAYER[:-1], "excess", "starts", "output"),
    _row_overlap,
    frozenset({"rows", "block_pixels"}),
)

# The lengths of runs to choose from: of a row, of a convolution.
_ROW_RUNS = (2, 4, 8, 16)
_RUNS = (2, 3, 4, 5, 6, 8, 12, 16)
_SMALL_RUNS = (4,)  # where code is to be small: more layers' is alike, and there is little excess


def _fully_connected(
    graph: Graph, step: Step, blocks: Blocks, runs: Sequence[int]
) -> tuple[Step, ...] | None:
    layer = step.of(FullyConnected)
    if layer.rows == 1:
        return None if step.addend else (_one_row(graph, step, layer, blocks.one_row),)
    return (_columns(graph, step, FULLY_CONNECTED_SCALAR, layer, blocks, runs),)


def _conv_2d(graph: Graph, step: Step, blocks: Blocks, runs: Sequence[int]) -> tuple[Step, ...] | None:
    """All but grouped convolutions."""
    layer = step.of(Conv2d)
    if layer.groups != 1:
        return None
    return (_columns(graph, step, CONV_2D_SCALAR, layer, blocks, runs),)


def _columns(
    graph: Graph, step: Step, kernel: Kernel[Columns], given: Layer, blocks: Blocks, runs: Sequence[int]
) -> Step:
    """Many pixels, which are multiplied two at a time."""
    layer = _layer(step, given, channel_axis=0)
    run = packed_weights.best_run(layer.weights, runs)
    excess = packed_weights.excess(layer.weights, run)
    weights = _interleave(layer.weights - excess, blocks.convolution[0])
    if blocks.biased:
        weights ^= np.int8(-128)  # plus 128
        excess = packed_weights.behind_starts(excess, run)
    columns = Scratch("columns", "int32_t", blocks.convolution[1] // 2 * _column_words(layer, run, blocks))
    listed = _excess(step, packed_weights.by_position(excess, blocks.convolution[0]))
    made = _params(given, layer, blocks.convolution)
    params = Columns(
        **vars(made), run=run, excess=bool(excess.any()), shared=blocks.shared, biased=blocks.biased
    )
    return _step(graph, step, kernel, params, weights, layer, listed, columns)


def _column_words(layer: _Layer, run: int, blocks: Blocks) -> int:
    """Of a column: its positions, and where weights are biased a word for each run."""
    length: int = layer.weights.shape[1]
    return length + (-(-length // run) if blocks.biased else 0)


def _one_row(graph: Graph, step: Step, given: Layer, block: int) -> Step:
    """One row, whose channels are multiplied two at a time."""
    layer = _layer(step, given, channel_axis=0)
    channels, depth = layer.weights.shape
    whole = channels // block * block
    run = packed_weights.best_run(layer.weights[:whole], _ROW_RUNS)
    excess = packed_weights.excess(layer.weights[:whole], run)
    words = _interleave(layer.weights[:whole] - excess, block) ^ np.int8(-128)  # as unsigned bytes: plus 128
    weights = np.concatenate([words, layer.weights[whole:].reshape(-1)])
    starts = Scratch("starts", "int32_t", -(-depth // run))
    listed = _excess(step, packed_weights.by_channel(excess, block))
    params = Packed(**vars(_params(given, layer, (block, 1))), run=run, excess=bool(excess.any()))
    return _step(graph, step, FULLY_CONNECTED_PACKED, params, weights, layer, listed, starts)


def _excess(step: Step, values: npt.NDArray[np.generic]) -> Constant:
    weights = step.args[1]
    assert isinstance(weights, Constant)
    return Constant(weights.name.removesuffix("weights") + "excess", values, "of large weights")


def _depthwise_conv_2d(graph: Graph, step: Step, blocks: Blocks) -> tuple[Step, ...] | None:
    """Windows that are narrow and not dilated."""
    given = step.of(DepthwiseConv2d)
    g = given.geometry
    if g.kernel_width > _MAX_WIDTH or not g.dilation_height == g.dilation_width == 1:
        return None
    layer = _layer(step, given, channel_axis=1)
    params = _params(given, layer, (1, blocks.depthwise))
    return (_step(graph, step, DEPTHWISE_CONV_2D_SCALAR, params, layer.weights.reshape(-1), layer),)


@dataclass(frozen=True, eq=False)
class _Layer:
    """`weights` are [channel][position]; the constants are the step's bias, multiplier and shift."""

    weights: npt.NDArray[np.int8]
    constants: tuple[Constant, ...]
    small_sums: bool  # the arithmetic of kernels/scalar.h is exact


def _layer(step: Step, given: Layer, channel_axis: int) -> _Layer:
    """What `step` computes, see channel_bounds.settled."""
    old, *constants = (argument for argument in step.args if isinstance(argument, Constant))
    shape = (constants[0].values.size, -1) if channel_axis == 0 else (-1, constants[0].values.size)
    found = settled(
        step, given.scaling, np.moveaxis(old.values.astype(np.int8).reshape(shape), channel_axis, 0)
    )
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


def _params(given: Layer, layer: _Layer, size: tuple[int, int]) -> Scalar:
    """The parameters that all kernels have; `size` is their block of (channels, pixels)."""
    scaling = given.scaling
    multiplier, shift = (0 if scaling.per_channel else int(c.values[0]) for c in layer.constants[1:])
    return Scalar(given, *size, layer.small_sums, multiplier, shift, scaling.clamps_negative)


def _step(
    graph: Graph,
    step: Step,
    kernel: Kernel[Any],
    params: Scalar,
    weights: npt.NDArray[np.int8],
    layer: _Layer,
    *others: Argument,
) -> Step:
    """`step` by another kernel. `others` are the arguments between the constants and the output."""
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
    return kernel.step(graph, params, *args)


def _choices(blocks: Blocks, runs: Sequence[int]) -> Choices:
    return {
        layer_kernels.FULLY_CONNECTED: lambda graph, step: _fully_connected(graph, step, blocks, runs),
        layer_kernels.CONV_2D: lambda graph, step: _conv_2d(graph, step, blocks, runs),
        layer_kernels.DEPTHWISE_CONV_2D: lambda graph, step: _depthwise_conv_2d(graph, step, blocks),
    }


SETS = tuple(
    KernelSet(name, choices=_choices(blocks, _RUNS), small=_choices(blocks, _SMALL_RUNS))
    for name, blocks in (
        ("armv6m", Blocks((1, 8), 8, 2, shared=True)),  # without a long multiply
        ("armv7m", Blocks((1, 4), 4, 4)),
        ("rv32im", Blocks((2, 4), 8, 4)),
        ("xtensa", Blocks((1, 6), 4, 6, biased=True)),
    )
)
