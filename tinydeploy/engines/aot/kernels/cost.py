"""The cost model: what a step costs on a core with the DSP extension, by shape, kernel and blocking.

What the inner loops take is counted in their disassembly; the rest, per channel, per pixel and per row, is
fitted to what QEMU counts for the layers of the MLPerf Tiny models. A test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinydeploy.engines.aot.geometry import Geometry
from tinydeploy.engines.aot.ir import Kernel
from tinydeploy.engines.aot.kernels import (
    dsp_kernels,
    elementwise_kernels,
    functions,
    movement_kernels,
    pooling,
)
from tinydeploy.engines.aot.kernels.dsp_kernels import Dsp, DspColumns, DspRow
from tinydeploy.engines.aot.kernels.elementwise_kernels import AddLinear, Elements
from tinydeploy.engines.aot.kernels.functions import Softmax, Softmax16
from tinydeploy.engines.aot.kernels.layer_kernels import Conv2d, DepthwiseConv2d, FullyConnected, Scaling
from tinydeploy.engines.aot.kernels.movement_kernels import CopyRows, KeepRows
from tinydeploy.engines.aot.kernels.pooling import Pool


def _pointwise(p: DspColumns) -> float:
    layer = p.layer
    assert isinstance(layer, FullyConnected)
    pixels, depth = layer.rows, layer.input_depth
    expanding = 5 * (depth // 4)
    return _columns(p, pixels, (depth + 1) // 2) + pixels * (expanding + 16)


def _conv_2d(p: DspColumns) -> float:
    layer = p.layer
    assert isinstance(layer, Conv2d)
    g: Geometry = layer.geometry
    runs, length = g.taps // g.run, g.run * layer.input_depth
    pixels = g.outputs
    padded = pixels - g.batches * g.rows.inside * g.columns.inside
    per_word, per_run, per_pixel, per_padded_run, per_padded_byte = (
        (8, 66, 88, 50, 2.2) if p.shared else (5, 23, 6, 4, 1.7)
    )
    gathering = pixels * (runs * (length // 4 * per_word + per_run) + per_pixel)
    padding = padded * runs * (per_padded_run + length * per_padded_byte)
    return _columns(p, pixels, runs * ((length + 1) // 2)) + gathering + padding


def _columns(p: DspColumns, pixels: int, pairs: int) -> float:
    """What kernels/conv_dsp.h does with the columns of `pixels`, four at a time, two channels at a time."""
    layer = p.layer
    assert isinstance(layer, FullyConnected | Conv2d)
    couples = (layer.output_depth + 1) // 2
    fours, ones = divmod(pixels, 4) if p.pixels == 4 else (0, pixels)
    block = p.block
    requantising = 8 * _requantisation(p)
    adding = (49 if pairs > block else 38) if layer.add else 0  # for two channels of four pixels
    around = 57 if p.shared else 51 if isinstance(layer, Conv2d) else 38  # more of it where flags differ
    four = pairs * (11 if p.wide else 13) + 3 * ((pairs - 1) // block) + requantising + adding + around
    alone = pairs if block == 1 else pairs % 2
    two, pair = (7, 5) if p.wide else (10, 6)
    one = (pairs - alone) // 2 * two + alone * pair + 3 * ((pairs - 1) // block) + 15
    one += (requantising + adding) // 4
    return couples * (fours * four + ones * one)


def _requantisation(p: Dsp) -> int:
    """The instructions of an output, from its sum to its byte in memory."""
    scaling: Scaling = p.layer.scaling
    return 4 + (not p.wide) + (not p.clamps_negative) + 4 * scaling.is_bounded


def _depthwise(p: Dsp) -> float:
    layer = p.layer
    assert isinstance(layer, DepthwiseConv2d)
    g, depth = layer.geometry, layer.input_depth
    width, stride, height = g.output_width, g.stride_width, g.output_height
    words = (width + 1) // 2 * stride + 1
    read = min(g.input_height, (height - 1) * g.stride_height - g.pad_top + 3)
    if p.shared:
        channel, expanded = 49 + 57 * ((width + 1) // 2), 2 + 40 * words
    else:
        requantising = 2 * (_requantisation(p) - 5)  # beyond those five that are in a pair's instructions
        pair = (31 if stride == 1 else 34) + requantising
        channel = 47 - 3 * int(p.wide) + width // 2 * pair + width % 2 * (16 - int(p.wide))
        expanded = 17 * words - 12
    return g.batches * (height * depth * channel + read * depth / 4 * expanded)


def _fully_connected(p: DspRow) -> float:
    words = p.layer.input_depth // 4
    sixes, rest = divmod(p.layer.output_depth, 6)
    loops = (words - 1) // p.block
    six = words * (21 if p.wide else 30) + 3 * loops + (75 if p.block == 1 else 50)
    two = words * (11 if p.wide else 13) + (3 if p.block == 1 else 15) * loops + 80
    return sixes * six + (rest + 1) // 2 * two + 90


def _add(p: AddLinear) -> float:
    assert isinstance(p.loops, Elements)
    bounds = int(p.activation_min > -128) + int(p.activation_max < 127)
    return (7.5 + 2 * bounds) * p.loops.elements


def _average_pool(p: Pool) -> float:
    outputs = p.geometry.outputs * p.depth
    window = p.geometry.taps
    if p.depth % 4 != 0 or window > 257:
        return outputs * (49 + 4.4 * window)
    return outputs * min(20 + 1.43 * window, 52 + 0.93 * window)  # small windows are unrolled


def _softmax(p: Softmax | Softmax16) -> float:
    return p.rows * (110 + 32 * p.depth)


def _keep_rows(p: KeepRows) -> float:
    return 4 * p.elements + 25 if p.from_ < 16 else _moved(p.elements, p.from_)


def _copy_rows(p: CopyRows) -> float:
    moved = p.row_elements
    if moved <= 64:  # in line, without looking at how it is aligned
        return 10 + p.rows * (6 + 2 * (moved // 4 + (moved % 4 + 1) // 2))
    return 10 + p.rows * (8 + _moved(moved, p.input_step - p.output_step))


def _moved(moved: int, apart: int) -> int:
    """Of int8: runtime/memory.cpp moves four words at a time, or bytes if its ends are not aligned alike."""
    if apart % 4:
        return 4 * moved + 25
    fours, rest = divmod(moved, 16)
    return 13 * fours + 4 * (rest // 4 + rest % 4) + 50


MODELS: dict[Kernel[Any], Callable[[Any], float]] = {
    dsp_kernels.CONV_2D_DSP: _conv_2d,
    dsp_kernels.POINTWISE_DSP: _pointwise,
    dsp_kernels.DEPTHWISE_CONV_2D_DSP: _depthwise,
    dsp_kernels.FULLY_CONNECTED_DSP: _fully_connected,
    elementwise_kernels.ADD_LINEAR.flat: _add,
    pooling.AVERAGE_POOL_2D: _average_pool,
    functions.SOFTMAX: _softmax,
    functions.SOFTMAX_16: _softmax,
    movement_kernels.KEEP_ROWS: _keep_rows,
    movement_kernels.COPY_ROWS: _copy_rows,
}
