"""Layers that run on any core: convolutions and fully connected layers, products of matrices.

What the kernels of a core know beyond that stands beside it, in cores/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinydeploy.engines.aot.geometry import Geometry
from tinydeploy.engines.aot.ir import Argument, Call, Kernel, Params, Read
from tinydeploy.engines.aot.memory import input_overlap

MATMUL_LOOPS = 3  # over the batches


@dataclass(frozen=True)
class Scaling(Params):
    """How a layer's sums become its outputs, see kernels/requantize.h."""

    per_channel: bool  # whether each output channel has a multiplier of its own
    left_shift: bool  # whether any shift is to the left
    output_zero_point: int
    activation_min: int
    activation_max: int

    @property
    def clamps_negative(self) -> bool:
        """Whether what is below the zero point is clamped to it."""
        return self.activation_min >= self.output_zero_point

    @property
    def is_bounded(self) -> bool:
        """Whether the activation clamps more than an int8 does."""
        return self.activation_min > -128 or self.activation_max < 127


@dataclass(frozen=True)
class Addend(Params):
    """An ADD or SUB that the layer does: (a * output + b * addend + start) >> shift, see kernels/addend.h."""

    add_a: int
    add_b: int
    add_start: int
    add_shift: int


@dataclass(frozen=True)
class FullyConnected(Params):
    """`rows` of `input_depth` values, each times all weights: a batch, or pixels of a 1×1 convolution."""

    rows: int
    input_depth: int
    output_depth: int
    scaling: Scaling
    add: Addend | None = None

    @property
    def variant(self) -> str:
        """Whether it adds."""
        return " adding" if self.add else ""


@dataclass(frozen=True)
class Conv2d(Params):
    """A convolution: weights [output channel][y][x][input channel of the group]."""

    geometry: Geometry
    input_depth: int
    output_depth: int
    groups: int
    input_zero_point: int  # what padding reads
    scaling: Scaling
    add: Addend | None = None

    @property
    def variant(self) -> str:
        """Whether it adds."""
        return " adding" if self.add else ""


@dataclass(frozen=True)
class DepthwiseConv2d(Params):
    """A depthwise convolution: weights [y][x][output channel]."""

    geometry: Geometry
    input_depth: int
    output_depth: int
    depth_multiplier: int
    input_zero_point: int
    scaling: Scaling


@dataclass(frozen=True)
class TransposeConv(Params):
    """A transposed convolution. `geometry` is that of the convolution from its output back to its input.

    But input and output are its own. The bias has a value for each phase of the stride and channel.
    """

    geometry: Geometry
    input_depth: int
    output_depth: int
    input_zero_point: int
    scaling: Scaling


Layer = FullyConnected | Conv2d | DepthwiseConv2d


@dataclass(frozen=True)
class Layer16x8(Params):
    """A layer of int16 with weights of int8."""

    layer: Layer
    wide_sums: bool  # sums of 64 bits, whose multipliers have 15


@dataclass(frozen=True)
class FoldBias(Params):
    """The input's zero point folded into a bias that is computed, see kernels/fold_bias.h."""

    stride_height: int
    stride_width: int
    kernel_height: int
    kernel_width: int
    channels: int
    depth: int
    channel_step: int
    tap_step: int
    zero_point: int


@dataclass(frozen=True)
class BatchMatmul(Params):
    """A product of matrices, for each step of MATMUL_LOOPS loops `batch`. Strides are in elements."""

    batch: tuple[int, ...]
    a_batch_stride: tuple[int, ...]
    b_batch_stride: tuple[int, ...]
    rows: int
    columns: int
    depth: int
    a_row_stride: int
    a_depth_stride: int
    b_column_stride: int
    b_depth_stride: int
    a_zero_point: int
    b_zero_point: int
    output_zero_point: int
    output_multiplier: int
    output_shift: int
    left_shift: bool
    activation_min: int
    activation_max: int


LAYER = ("input", "weights", "bias", "multiplier", "shift", "output")


def with_addend(least: int, args: tuple[Argument, ...], apart: int = 0) -> Mapping[str, int]:
    """The distances of a layer whose input has to start `least` bytes behind the output.

    The last of `args` may be an addend, which has to start `apart` bytes behind it.
    """
    return {"input": least} | ({"addend": apart} if isinstance(args[-1], Read) else {})


def by_columns(layer: Layer, pixels: int, args: tuple[Argument, ...]) -> Mapping[str, int]:
    """The distances of a kernel that makes all channels of so many pixels from columns of what they need."""
    least = by_channels(layer, layer.output_depth, pixels)
    return with_addend(least, args, (pixels - 1) * layer.output_depth)


def by_channels(layer: Layer, channels: int, pixels: int = 1) -> int:
    """The distance in elements of a kernel that makes so many channels of some rows, or pixels, at once."""
    if isinstance(layer, FullyConnected):
        first = input_overlap.rows(layer.rows, layer.input_depth)
    else:
        first = input_overlap.windows(layer.geometry, layer.input_depth)
    return input_overlap.by_channels(first, layer.output_depth, channels, pixels)


def _rows(call: Call[FullyConnected]) -> Mapping[str, int]:
    return with_addend(by_channels(call.params, 4), call.args)


def _block(channels: int) -> int:
    """How many channels kernels/conv.h makes at once."""
    return next(rows for rows in (4, 2, 1) if channels % rows == 0)


def _windows(call: Call[Conv2d]) -> Mapping[str, int]:
    p = call.params
    return with_addend(by_channels(p, _block(p.output_depth // p.groups)), call.args)


def _channels(call: Call[DepthwiseConv2d]) -> Mapping[str, int]:
    return {"input": _depthwise(call.params)}


def _depthwise(p: DepthwiseConv2d) -> int:
    first = input_overlap.windows(p.geometry, p.input_depth)
    return input_overlap.channel_by_channel(first, p.output_depth, p.depth_multiplier)


def _of_16x8(call: Call[Layer16x8]) -> Mapping[str, int]:
    layer = call.params.layer
    least = _depthwise(layer) if isinstance(layer, DepthwiseConv2d) else by_channels(layer, 1)
    return {"input": least * call.sizes[-1]}


def _phases(call: Call[TransposeConv]) -> Mapping[str, int]:
    p, g = call.params, call.params.geometry
    # The lowest row, or column, that each output's window may reach.
    of_rows, of_columns = (
        np.clip(-((way.taps - 1 - way.before - np.arange(way.steps)) // way.stride), 0, way.size - 1)
        for way in (g.rows, g.columns)
    )
    pixels = input_overlap.pixels(g.batches, of_rows, of_columns, g.input_height, g.input_width)
    first = None if pixels is None else pixels * p.input_depth
    least = input_overlap.by_channels(first, p.output_depth, _block(p.output_depth))
    return {"input": least * call.sizes[-1]}


FULLY_CONNECTED = Kernel("fully_connected", "fully_connected.h", FullyConnected, (*LAYER, "[addend]"), _rows)
CONV_2D = Kernel("conv_2d", "conv.h", Conv2d, (*LAYER, "[addend]"), _windows)
DEPTHWISE_CONV_2D = Kernel("depthwise_conv_2d", "depthwise_conv.h", DepthwiseConv2d, LAYER, _channels)

UNSCALED = frozenset({"left_shift", "output_zero_point"})  # what a layer of int16 has no need of
FULLY_CONNECTED_16X8 = Kernel(
    "fully_connected_16x8", "conv_16x8.h", Layer16x8, LAYER, _of_16x8, host_only=UNSCALED
)
CONV_2D_16X8 = Kernel(
    "conv_2d_16x8", "conv_16x8.h", Layer16x8, LAYER, _of_16x8, UNSCALED | {"input_zero_point"}
)
DEPTHWISE_CONV_2D_16X8 = Kernel(
    "depthwise_conv_2d_16x8", "conv_16x8.h", Layer16x8, LAYER, _of_16x8, UNSCALED | {"input_zero_point"}
)
TRANSPOSE_CONV = Kernel(
    "transpose_conv",
    "transpose_conv.h",
    TransposeConv,
    LAYER,
    _phases,
    host_only=frozenset({"dilation_height", "dilation_width", "padded"}),
)
FOLD_BIAS = Kernel("fold_bias", "fold_bias.h", FoldBias, ("weights", "given", "bias"))
BATCH_MATMUL = Kernel("batch_matmul", "batch_matmul.h", BatchMatmul, ("a", "b", "output", "[bias]"))
