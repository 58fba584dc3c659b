"""Kernels for cores with Arm's vector extension MVE (M55), and their constants in the order of reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.ir import Argument, Call, Constant, Kernel, Params, Read, Scratch, Step, Write
from tinydeploy.engines.aot.kernels import elementwise_kernels, layer_kernels
from tinydeploy.engines.aot.kernels.cores import dsp_16x8
from tinydeploy.engines.aot.kernels.kernel_set import KernelSet
from tinydeploy.engines.aot.kernels.layer_kernels import (
    Conv2d,
    DepthwiseConv2d,
    FullyConnected,
    Layer,
    by_channels,
)
from tinydeploy.engines.aot.memory import input_overlap
from tinydeploy.model.graph import Graph

_LANES = 16  # values of eight bits in a vector
_CHANNELS = 4  # that are multiplied at once
_PIXELS = 2
_MAX_WINDOW = 6 * _LANES  # of a depthwise convolution: its weights have to stay in registers
_MAX_STRIP = (2**16 - 1) // 7  # bytes: eight channels' strips are within an offset of 16 bits


@dataclass(frozen=True)
class Mve(Params):
    """A layer of int8, see kernels/mve.h. Its multiplier and shift are 0 if each channel has its own."""

    layer: Layer
    clamps_negative: bool  # whether the activation clamps what is below the zero point
    shifts_right: bool  # whether all shifts are to the right
    multiplier: int
    shift: int


def _overlap(call: Call[Mve]) -> Mapping[str, int]:
    match call.params.layer:
        case FullyConnected() as layer:
            return {"input": by_channels(layer, _CHANNELS, _PIXELS)}
        case Conv2d() as layer:
            return {"input": by_channels(layer, layer.output_depth, _PIXELS)}
        case DepthwiseConv2d() as layer:
            return {"input": input_overlap.row_by_row(layer.geometry, layer.input_depth, layer.output_depth)}


FULLY_CONNECTED_MVE = Kernel(
    "fully_connected_mve", "conv_mve.h", Mve, ("input", "weights", "channels", "output"), _overlap
)
CONV_2D_MVE = Kernel(
    "conv_2d_mve",
    "conv_mve.h",
    Mve,
    ("input", "weights", "channels", "columns", "output"),
    _overlap,
    frozenset({"groups"}),
)
DEPTHWISE_CONV_2D_MVE = Kernel(
    "depthwise_conv_2d_mve",
    "depthwise_conv_mve.h",
    Mve,
    ("input", "weights", "channels", "strips", "output"),
    _overlap,
    frozenset({"dilation_height", "dilation_width"}),
)
ADD_LINEAR_MVE = replace(elementwise_kernels.ADD_LINEAR.flat, name="add_linear_mve", header="add_mve.h")


def fully_connected(graph: Graph, step: Step) -> tuple[Step, ...] | None:
    """Rows, or a 1×1 convolution's pixels, as they lie in the input; without an addend."""
    if step.addend:
        return None
    layer = step.of(FullyConnected)
    return (_convolution(graph, step, FULLY_CONNECTED_MVE, layer, layer.input_depth),)


def conv_2d(graph: Graph, step: Step) -> tuple[Step, ...] | None:
    """All but grouped convolutions, and those with an addend; some of one input channel as depthwise ones."""
    layer = step.of(Conv2d)
    if layer.groups != 1 or step.addend:
        return None
    suits = layer.input_depth == 1 and _suits_strips(layer)
    if suits and (made := depthwise_conv_2d(graph, _depthwise(step, layer))):
        return made
    length = layer.geometry.taps * layer.input_depth
    # A copy of a run may end up to a vector's width behind the column.
    columns = Scratch("columns", "int8_t", _PIXELS * _round_up(length, _LANES) + _LANES)
    return (_convolution(graph, step, CONV_2D_MVE, layer, length, columns),)


def depthwise_conv_2d(graph: Graph, step: Step) -> tuple[Step, ...] | None:
    """Any stride, dilation, padding and depth multiplier; windows that fit in the registers."""
    layer = step.of(DepthwiseConv2d)
    g, channels = layer.geometry, layer.output_depth
    height, width = g.rows.reach, g.columns.reach
    columns = (g.output_width - 1) * g.stride_width + width
    strip = (columns - 1) * height + (g.output_height - 1) * g.stride_height + height
    if height * width > _MAX_WINDOW or strip > _MAX_STRIP:
        return None
    constant, bias, multiplier, shift = _constants(step)
    weights = constant.values.reshape(g.kernel_height, g.kernel_width, channels)
    window = np.zeros((channels, width, height), np.int8)
    window[:, :: g.dilation_width, :: g.dilation_height] = weights.transpose(2, 1, 0)
    between = height * g.stride_width  # two neighbouring windows' corners
    shared = between if height * width + between <= _LANES else 0
    taps = np.zeros((channels, _round_up(height * width, _LANES)), np.int8)
    taps[:, shared : shared + height * width] = window.reshape(channels, -1)
    # The vector of the last window may reach beyond the last strip.
    corner = (g.output_height - 1) * g.stride_height + (g.output_width - 1) * between
    reach = corner + taps.shape[1]
    strips = Scratch("strips", "int8_t", (layer.input_depth - 1) * strip + max(strip, reach))
    whole = replace(g, kernel_height=height, kernel_width=width, dilation_height=1, dilation_width=1)
    values = np.concatenate([taps.reshape(-1), np.zeros(shared, np.int8)])
    table = np.stack([bias, multiplier, shift], axis=1) if layer.scaling.per_channel else bias
    params = _params(step, replace(layer, geometry=whole))
    return (_step(graph, step, DEPTHWISE_CONV_2D_MVE, params, values, table, strips),)


def _suits_strips(layer: Conv2d) -> bool:
    """Whether a convolution of one input channel likely takes fewer instructions as a depthwise one.

    The coefficients are fitted to what QEMU counts for 24 layers, of which they are off by 10 and 20 % at the
    most. With few output channels, it is gathering windows that takes the time.
    """
    g, channels = layer.geometry, layer.output_depth
    rows, columns = g.rows, g.columns
    pixels = rows.steps * columns.steps
    padded = pixels - rows.inside * columns.inside
    runs = g.taps // g.run
    length = _round_up(g.taps, _LANES) // _LANES
    fours = _round_up(channels, _CHANNELS) // _CHANNELS
    gathering = 26 * pixels + 2.7 * pixels * runs + 27 * padded * runs
    together = gathering + pixels * fours * (18 + 8.8 * length)
    read = min((rows.steps - 1) * rows.stride + rows.reach, rows.steps * rows.reach)
    spreading = read * (22 + 5.9 * ((columns.steps - 1) * columns.stride + columns.reach))
    vectors = _round_up(rows.reach * columns.reach, _LANES) // _LANES
    fours = _round_up(columns.steps, _CHANNELS) // _CHANNELS
    by_row = channels * (16.5 + 10.9 * fours + 4.6 * columns.steps * vectors)
    return spreading + rows.steps * by_row < together


def _depthwise(step: Step, layer: Conv2d) -> Step:
    """A convolution of one input channel as a depthwise one with as many outputs for it."""
    channels = layer.output_depth
    params = DepthwiseConv2d(layer.geometry, 1, channels, channels, layer.input_zero_point, layer.scaling)
    source, weights, *rest = step.args
    assert isinstance(weights, Constant)
    weights = replace(weights, values=weights.values.reshape(channels, -1).T.reshape(-1))
    return replace(step, kernel=layer_kernels.DEPTHWISE_CONV_2D, params=params, args=(source, weights, *rest))


def add(graph: Graph, step: Step) -> tuple[Step, ...]:
    """Tensors of one shape; a broadcast is another kernel."""
    return (replace(step, kernel=ADD_LINEAR_MVE),)


SET = KernelSet(
    "mve",
    choices={
        layer_kernels.FULLY_CONNECTED: fully_connected,
        layer_kernels.CONV_2D: conv_2d,
        layer_kernels.DEPTHWISE_CONV_2D: depthwise_conv_2d,
        elementwise_kernels.ADD_LINEAR.flat: add,
        **dsp_16x8.CHOICES,
    },
    folds_additions=False,  # ADD takes ten instructions for four outputs
)


def _round_up(count: int, unit: int) -> int:
    return -(-count // unit) * unit


def _constants(
    step: Step,
) -> tuple[Constant, npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int8]]:
    """Weights, and bias, multiplier and shift; these have one value per channel, or one for all."""
    weights, *rest = (argument for argument in step.args if isinstance(argument, Constant))
    bias, multiplier, shift = (constant.values for constant in rest)
    return weights, bias.astype(np.int32), multiplier.astype(np.int32), shift.astype(np.int8)


def _convolution(
    graph: Graph, step: Step, kernel: Kernel[Mve], layer: Layer, length: int, *columns: Scratch
) -> Step:
    """`length` inputs make an output."""
    channels = layer.output_depth
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
    if layer.scaling.per_channel:
        table = np.concatenate([table, by_blocks(multiplier), by_blocks(shift)], axis=1)
    return _step(graph, step, kernel, _params(step, layer), values, table, *columns)


def _params(step: Step, layer: Layer) -> Mve:
    """`layer`, which `step` does, and what kernels/mve.h may leave out of a requantisation."""
    _, _, multiplier, shift = _constants(step)
    one = (0, 0) if layer.scaling.per_channel else (int(multiplier[0]), int(shift[0]))
    return Mve(layer, layer.scaling.clamps_negative, bool((shift < 0).all()), *one)


def _step(
    graph: Graph,
    step: Step,
    kernel: Kernel[Mve],
    params: Mve,
    weights: npt.NDArray[np.int8],
    table: npt.NDArray[np.int32],
    *scratch: Scratch,
) -> Step:
    """`step` by another kernel: input, weights, channels, scratch, output."""
    source, _, named, *_, output = step.args
    assert isinstance(source, Read) and isinstance(named, Constant) and isinstance(output, Write)
    constant, *_ = _constants(step)
    comment = "bias, multiplier and shift" if params.layer.scaling.per_channel else "biases"
    args: tuple[Argument, ...] = (
        source,
        replace(constant, values=weights.reshape(-1), comment="in the order of reading"),
        Constant(named.name.removesuffix("bias") + "channels", table.reshape(-1), comment),
        *scratch,
        output,
    )
    return kernel.step(graph, params, *args)
