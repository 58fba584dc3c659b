"""Kernels for layers of int16 on cores with Arm's DSP extension; see kernels/conv_16x8_dsp.h."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.geometry import Axis, Geometry
from tinydeploy.engines.aot.ir import Argument, Constant, Kernel, Params, Read, Scratch, Step, Write
from tinydeploy.engines.aot.kernels import layer_kernels
from tinydeploy.engines.aot.kernels.dsp_kernels import (
    CONV_2D_16X8_DSP,
    DEPTHWISE_CONV_2D_16X8_DSP,
    FULLY_CONNECTED_16X8_DSP,
    Dsp16x8,
    DspColumns16x8,
)
from tinydeploy.engines.aot.kernels.kernel_set import Choices
from tinydeploy.engines.aot.kernels.layer_kernels import Conv2d, DepthwiseConv2d, FullyConnected, Layer16x8
from tinydeploy.model.graph import Graph

_BLOCK = 6  # channels of a fully connected layer that are multiplied at once
_PIXELS = 4  # columns that are multiplied at once
_LARGEST = 1 << 15  # magnitude of an input
_RUN = 255  # pairs whose products surely add up in 32 bits
_SHIFTS = (17, 46)  # of which 16 lie between the multiplier's 15 bits and the high word

Weights = npt.NDArray[np.int8]


def fully_connected(graph: Graph, step: Step, pixels: int = _PIXELS) -> tuple[Step, ...] | None:
    """One row as it comes; more rows, or a 1×1 convolution, as columns of pixels."""
    params = step.of(Layer16x8)
    layer = params.layer
    assert isinstance(layer, FullyConnected)
    if layer.rows != 1:
        image = Geometry.of(layer.rows, Axis(1, 1), Axis(1, 1))
        pixel_by_pixel = Conv2d(image, layer.input_depth, layer.output_depth, 1, 0, layer.scaling)
        return conv_2d(graph, replace(step, params=replace(params, layer=pixel_by_pixel)), pixels)
    weights = _weights(step, layer.output_depth)
    couples = _couples(weights, layer.input_depth)
    whole = layer.output_depth // _BLOCK * _BLOCK // 2
    blocks = [couples[i : i + _BLOCK // 2] for i in range(0, whole, _BLOCK // 2)]
    blocks += [couples[i : i + 1] for i in range(whole, len(couples))]
    packed = np.concatenate([block.transpose(1, 0, 2).reshape(-1) for block in blocks])
    made, constants = _narrowed(step, packed, weights)
    return (_step(graph, step, FULLY_CONNECTED_16X8_DSP, made, packed, constants),)


def conv_2d(graph: Graph, step: Step, pixels: int = _PIXELS) -> tuple[Step, ...] | None:
    """All but grouped convolutions, `pixels` at a time: 1 or 4."""
    layer = step.of(Layer16x8).layer
    assert isinstance(layer, Conv2d)
    if layer.groups != 1:
        return None
    weights = _weights(step, layer.output_depth)
    couples = _couples(weights, layer.geometry.run * layer.input_depth)
    columns = Scratch("columns", "uint32_t", pixels * couples.shape[1])
    packed = couples.reshape(-1)
    made, constants = _narrowed(step, packed, weights)
    params = DspColumns16x8(**vars(made), pixels=pixels)
    return (_step(graph, step, CONV_2D_16X8_DSP, params, packed, constants, columns),)


def depthwise_conv_2d(graph: Graph, step: Step) -> tuple[Step, ...] | None:
    """Channels by fours, without a depth multiplier, where sums of 32 bits do."""
    layer = step.of(Layer16x8).layer
    assert isinstance(layer, DepthwiseConv2d)
    weights = _constant(step, 1).values.astype(np.int8)
    by_channel = weights.reshape(-1, layer.output_depth).T
    if layer.depth_multiplier != 1 or layer.input_depth % 4 != 0 or _narrow(step, by_channel) is None:
        return None
    made, constants = _narrowed(step, weights, by_channel)
    return (_step(graph, step, DEPTHWISE_CONV_2D_16X8_DSP, made, weights, constants),)


CHOICES: Choices = {
    layer_kernels.FULLY_CONNECTED_16X8: fully_connected,
    layer_kernels.CONV_2D_16X8: conv_2d,
    layer_kernels.DEPTHWISE_CONV_2D_16X8: depthwise_conv_2d,
}
FRUGAL: Choices = {  # by columns of one pixel
    layer_kernels.FULLY_CONNECTED_16X8: partial(fully_connected, pixels=1),
    layer_kernels.CONV_2D_16X8: partial(conv_2d, pixels=1),
    layer_kernels.DEPTHWISE_CONV_2D_16X8: depthwise_conv_2d,
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
    if not step.of(Layer16x8).wide_sums or not exact:
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


def _narrowed(step: Step, packed: Weights, weights: Weights) -> tuple[Dsp16x8, tuple[Argument, ...]]:
    """The parameters, and bias, multiplier and shift for sums of 32 bits if they do.

    `packed` are the weights in the order of reading, `weights` by channel.
    """
    given = step.of(Layer16x8)
    narrow = _narrow(step, weights)
    pairs = packed.size // 2  # as many as that at most
    run = pairs if _products(weights).max() < 1 << 31 else _RUN
    params = Dsp16x8(given.layer, given.wide_sums, narrow is not None, run)
    return params, narrow or step.args[2:5]


def _step(
    graph: Graph,
    step: Step,
    kernel: Kernel[Any],
    params: Params,
    packed: Weights,
    constants: tuple[Argument, ...],
    *scratch: Scratch,
) -> Step:
    """`step` by another kernel, with the weights in another order."""
    source, old, output = step.args[0], step.args[1], step.args[-1]
    assert isinstance(source, Read) and isinstance(old, Constant) and isinstance(output, Write)
    weights = replace(old, values=packed, comment="in the order of reading")
    return kernel.step(graph, params, source, weights, *constants, *scratch, output)
