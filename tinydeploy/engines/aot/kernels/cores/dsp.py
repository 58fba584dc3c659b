"""Kernels for cores with Arm's DSP extension (M4, M7, M33), and their constants in the order of reading."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.geometry import Geometry
from tinydeploy.engines.aot.ir import Argument, Constant, Kernel, Read, Scratch, Step
from tinydeploy.engines.aot.kernels import cost, layer_kernels
from tinydeploy.engines.aot.kernels.channel_bounds import settled
from tinydeploy.engines.aot.kernels.cores import dsp_16x8
from tinydeploy.engines.aot.kernels.dsp_kernels import (
    CONV_2D_DSP,
    DEPTHWISE_CONV_2D_DSP,
    FULLY_CONNECTED_DSP,
    POINTWISE_DSP,
    Dsp,
    DspColumns,
    DspRow,
)
from tinydeploy.engines.aot.kernels.kernel_set import KernelSet
from tinydeploy.engines.aot.kernels.layer_kernels import Conv2d, DepthwiseConv2d, FullyConnected, Layer
from tinydeploy.model.graph import Graph

_SHARED_BLOCK = 1  # pairs that a loop of shared code multiplies at once
_PIXELS = 4  # columns that are multiplied at once
_BLOCK = 6  # channels of a fully connected layer that are multiplied at once
_MAX_WORDS = 125  # of a depthwise row: the third of them is within LDRD's reach
_SHIFT_BITS = 5  # that a shift takes beside a bias
_MAX_SHIFT = 22  # of a zero point of 8 bits, rounding and an accumulator of 30 bits: their sum fits in 32

Order = list[tuple[int, int]]  # pairs of positions; -1 stands for a zero


def fully_connected(graph: Graph, step: Step, pixels: int = _PIXELS) -> tuple[Step, ...] | None:
    """One row as it comes; more rows, or a 1×1 convolution, as columns of pixels."""
    layer = step.of(FullyConnected)
    depth, channels = layer.input_depth, layer.output_depth
    weights = _weights(step).reshape(channels, depth)
    if layer.rows != 1:
        return _convolution(graph, step, POINTWISE_DSP, layer, weights, _pair_up(depth, 1), pixels)
    found = _channels(step, layer, weights)
    if found is None or step.addend:
        return None
    table, weights = found
    packed = _interleave(weights, _pair_up((depth + 3) // 4 * 4, 1, depth))
    couples = packed.reshape(packed.shape[0], -1, 8)  # [two channels][four inputs][bytes]
    whole = channels // _BLOCK * _BLOCK // 2
    blocks = [couples[i : i + _BLOCK // 2] for i in range(0, whole, _BLOCK // 2)]
    blocks += [couples[i : i + 1] for i in range(whole, len(couples))]
    values = np.concatenate([block.transpose(1, 0, 2).reshape(-1) for block in blocks])
    params = DspRow(**vars(_dsp(layer, table)), block=4)
    return (_step(graph, step, FULLY_CONNECTED_DSP, params, values, table),)


def conv_2d(graph: Graph, step: Step, pixels: int = _PIXELS) -> tuple[Step, ...] | None:
    """All but grouped convolutions, `pixels` at a time: 1 or 4."""
    layer = step.of(Conv2d)
    if layer.groups != 1:
        return None
    weights = _weights(step).reshape(layer.output_depth, -1)
    run = layer.geometry.run
    order = _pair_up(run * layer.input_depth, layer.geometry.taps // run)
    return _convolution(graph, step, CONV_2D_DSP, layer, weights, order, pixels)


def depthwise_conv_2d(graph: Graph, step: Step) -> tuple[Step, ...] | None:
    """Windows of 3×3 without dilation and depth multiplier, channels by fours."""
    layer = step.of(DepthwiseConv2d)
    g, depth, stride = layer.geometry, layer.input_depth, layer.geometry.stride_width
    words = (g.output_width + 1) // 2 * stride + 1  # of a channel in a row: two outputs at a time
    fits = (
        g.kernel_height == g.kernel_width == 3
        and g.dilation_height == g.dilation_width == layer.depth_multiplier == 1
        and stride <= 2
        and depth % 4 == 0
        and words <= _MAX_WORDS
    )
    if not fits:
        return None
    weights = _weights(step).reshape(3, 3, depth).transpose(2, 0, 1)
    found = _channels(step, layer, weights.reshape(depth, 9))
    if found is None:
        return None
    table, weights = found[0], found[1].reshape(depth, 3, 3)
    rows = Scratch("rows", "uint32_t", 3 * depth * words)
    values = weights[:, :, [0, 1, 1, 2]].reshape(-1)
    return (_step(graph, step, DEPTHWISE_CONV_2D_DSP, _dsp(layer, table), values, table, rows),)


def widened(step: Step) -> Step | None:
    """`step` with weights of 16 bits, None if its kernel has no such form or a doubled bias does not fit.

    The weights are doubled, as the requantisation wants the sums, and so are the biases.
    """
    params = step.params
    if not isinstance(params, Dsp) or params.wide:
        return None
    source, weights, channels, *rest = step.args
    assert isinstance(weights, Constant) and isinstance(channels, Constant)
    table = channels.values.astype(np.int64)
    if params.layer.scaling.per_channel:
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
    return replace(step, params=replace(params, wide=True), args=args)


def sharing(steps: Iterable[Step]) -> Callable[[Step], Step]:
    """What makes of a program's `steps` those by code that all layers share, where there is such a form."""
    clamped = all(step.params.clamps_negative for step in steps if isinstance(step.params, Dsp))
    return lambda step: shared(step, clamped) or step


def shared(step: Step, clamped: bool) -> Step | None:
    """`step` by code that all layers share, with short loops; None if its kernel has no such form.

    `clamped` says that all layers of the program clamp what is negative, and may use that.
    """
    params = step.params
    if not isinstance(params, Dsp):
        return None
    clamps = clamped and params.clamps_negative
    if isinstance(params, DspRow):
        return replace(step, params=replace(params, clamps_negative=clamps, block=_SHARED_BLOCK))
    if params.shared:
        return None
    layer = params.layer
    if isinstance(layer, FullyConnected):
        layer = _as_convolution(layer)
    shape = layer if isinstance(layer, DepthwiseConv2d) else replace(layer, add=None)
    if any(value >= 1 << 15 for _, value in shape.members()):
        return None  # they are kept as int16
    params = replace(params, layer=layer, clamps_negative=clamps, shared=True)
    if not isinstance(params, DspColumns):
        return replace(step, params=params)
    assert isinstance(layer, Conv2d)
    run = Scratch("columns", "uint32_t", -(-layer.geometry.run * layer.input_depth // 4))
    args = tuple(
        replace(a, elements=a.elements + run.elements) if isinstance(a, Scratch) else a for a in step.args
    )
    return replace(step, kernel=CONV_2D_DSP, params=replace(params, block=_SHARED_BLOCK), args=args)


def _as_convolution(layer: FullyConnected) -> Conv2d:
    """Rows as the pixels of an image."""
    return Conv2d(
        Geometry.pointwise(layer.rows),
        layer.input_depth,
        layer.output_depth,
        groups=1,
        input_zero_point=0,
        scaling=layer.scaling,
        add=layer.add,
    )


def _convolution(
    graph: Graph,
    step: Step,
    kernel: Kernel[DspColumns],
    layer: FullyConnected | Conv2d,
    weights: npt.NDArray[np.int8],
    order: Order,
    pixels: int,
) -> tuple[Step, ...] | None:
    found = _channels(step, layer, weights)
    if found is None:
        return None
    table, weights = found
    values = _interleave(weights, order).reshape(-1)
    columns = Scratch("columns", "uint32_t", pixels * len(order))
    params = DspColumns(**vars(_dsp(layer, table)), block=8, pixels=pixels)
    return (_step(graph, step, kernel, params, values, table, columns),)


def _weights(step: Step) -> npt.NDArray[np.int8]:
    constant = step.args[1]
    assert isinstance(constant, Constant)
    return constant.values.astype(np.int8)


def _dsp(layer: Layer, table: npt.NDArray[np.int32]) -> Dsp:
    """The parameters that all kernels have; `table` is [channel][bias, multiplier, right shift]."""
    one = (0, 0) if layer.scaling.per_channel else (int(table[0, 1]), int(table[0, 2]))
    return Dsp(layer, layer.scaling.clamps_negative, *one, wide=False, shared=False)


def _step(
    graph: Graph,
    step: Step,
    kernel: Kernel[Any],
    params: Dsp,
    weights: npt.NDArray[np.int8],
    table: npt.NDArray[np.int32],
    *scratch: Scratch,
) -> Step:
    """`step` by another kernel: input, weights, channels, scratch, output, and the addend if it has one."""
    source, old, bias, *_ = step.args
    assert isinstance(source, Read) and isinstance(old, Constant) and isinstance(bias, Constant)
    bias_column, multiplier, shift = table.T
    if params.layer.scaling.per_channel:
        channels = np.stack([multiplier, bias_column << _SHIFT_BITS | shift], axis=1)
        comment = "multiplier, then bias and right shift, of each channel"
    else:
        channels, comment = bias_column, "biases"
    args: tuple[Argument, ...] = (
        source,
        replace(old, values=weights, comment="in the order of reading"),
        Constant(bias.name.removesuffix("bias") + "channels", channels.reshape(-1), comment),
        *scratch,
        step.output,
        *step.addend,
    )
    return kernel.step(graph, params, *args)


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
    step: Step, layer: Layer, weights: npt.NDArray[np.int8]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int8]] | None:
    """[channel][bias, multiplier, right shift], or None if the arithmetic of kernels/dsp.h is not exact.

    `weights` is [channel][position]; they come back as the table has them, see channels.settled.
    """
    found = settled(step, layer.scaling, weights)
    bias, multipliers, rights = np.broadcast_arrays(found.bias, found.multipliers, -found.shifts)
    smallest = 0 if layer.scaling.clamps_negative else 1
    if found.reach.max() >= 1 << 30 or rights.min() < smallest or rights.max() > _MAX_SHIFT:
        return None
    if np.abs(bias).max() >= 1 << 31 - _SHIFT_BITS:
        return None
    table = np.zeros((len(bias) + len(bias) % 2, 3), np.int32)
    table[: len(bias)] = np.stack([bias, multipliers, rights], axis=1)
    return table, found.weights


SET = KernelSet(
    "dsp",
    choices={
        layer_kernels.FULLY_CONNECTED: fully_connected,
        layer_kernels.CONV_2D: conv_2d,
        layer_kernels.DEPTHWISE_CONV_2D: depthwise_conv_2d,
        **dsp_16x8.CHOICES,
    },
    frugal={  # by columns of one pixel
        layer_kernels.FULLY_CONNECTED: partial(fully_connected, pixels=1),
        layer_kernels.CONV_2D: partial(conv_2d, pixels=1),
        layer_kernels.DEPTHWISE_CONV_2D: depthwise_conv_2d,
        **dsp_16x8.FRUGAL,
    },
    costs=cost.MODELS,
    widened=widened,
    sharing=sharing,
)
