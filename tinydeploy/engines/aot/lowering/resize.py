"""Lowering of RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR: where each row and column comes from."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tinydeploy.engines.aot.ir import Constant, Step, Write, operand
from tinydeploy.engines.aot.kernels.movement_kernels import RESIZE_BILINEAR, RESIZE_NEAREST, Resize
from tinydeploy.engines.aot.lowering.data_movement import require_movable
from tinydeploy.engines.aot.lowering.lowerings import lowers
from tinydeploy.engines.aot.lowering.require import (
    constant_ints,
    input_tensors,
    int_option,
    output_tensor,
    require,
    require_types,
)
from tinydeploy.model.graph import DType, Graph, Op

_ONE = 1 << 10  # RESIZE_BILINEAR's positions have 10 fractional bits


def _params(graph: Graph, op: Op) -> Resize:
    """The parameters of both kernels."""
    (source, _), output = input_tensors(graph, op, 2), output_tensor(graph, op)
    size = constant_ints(graph, op, 1, "size")
    require(len(source.shape) == 4, f"it resizes {len(source.shape)} dimensions, not 4")
    batches, height, width, depth = source.shape
    shape = (batches, *size, depth)
    require(shape == output.shape, f"its output has the shape {output.shape}, not {shape}")
    require(max(height, width, *size) < 2**15, "its input or output is larger than 32,767 pixels")
    return Resize(batches, height, width, size[0], size[1], depth)


@lowers("RESIZE_NEAREST_NEIGHBOR")
def lower_resize_nearest_neighbor(graph: Graph, op: Op) -> tuple[Step, ...]:
    """The host computes which row and column each output pixel comes from."""
    (source, _), output = input_tensors(graph, op, 2), output_tensor(graph, op)
    require_movable(op, source, output)
    params = _params(graph, op)
    _, height, width, _ = source.shape
    size = output.shape[1:3]
    nearest = _nearest(bool(int_option(op, "align_corners")), bool(int_option(op, "half_pixel_centers")))
    rows = np.array([nearest(y, height, size[0]) for y in range(size[0])], np.uint16)
    columns = np.array([nearest(x, width, size[1]) for x in range(size[1])], np.uint16)
    args = (
        operand(graph, op, 0, "input"),
        Write(output.index),
        Constant(f"op{op.index}_rows", rows, "input row of each output row"),
        Constant(f"op{op.index}_columns", columns, "input column of each output column"),
    )
    return (RESIZE_NEAREST.step(graph, params, *args),)


def _nearest(align_corners: bool, half_pixel_centers: bool) -> Callable[[int, int, int], int]:
    """The function (output position, input size, output size) -> input position, in TFLite's float steps."""

    def nearest(position: int, source: int, target: int) -> int:
        aligned = align_corners and target > 1
        scale = np.float32(source - 1 if aligned else source) / np.float32(target - 1 if aligned else target)
        exact = float((np.float32(position) + np.float32(0.5 if half_pixel_centers else 0.0)) * scale)
        return min(math.floor(exact + 0.5) if align_corners else math.floor(exact), source - 1)

    return nearest


@lowers("RESIZE_BILINEAR")
def lower_resize_bilinear(graph: Graph, op: Op) -> tuple[Step, ...]:
    """RESIZE_BILINEAR of int8."""
    (source, _), output = input_tensors(graph, op, 2), output_tensor(graph, op)
    require_types((source, output), DType.INT8)
    params = _params(graph, op)
    _, height, width, _ = source.shape
    align, half = (bool(int_option(op, name)) for name in ("align_corners", "half_pixel_centers"))
    require(not (align and half), "it has both align_corners and half_pixel_centers")
    rows, columns = (
        np.array([between(i) for i in range(target)], np.int16)
        for target, between in (
            (output.shape[1], _between(height, output.shape[1], align, half)),
            (output.shape[2], _between(width, output.shape[2], align, half)),
        )
    )
    args = (
        operand(graph, op, 0, "input"),
        Write(output.index),
        Constant(f"op{op.index}_rows", rows.reshape(-1), "upper row, lower row, weight of the lower"),
        Constant(
            f"op{op.index}_columns", columns.reshape(-1), "left column, right column, weight of the right"
        ),
    )
    return (RESIZE_BILINEAR.step(graph, params, *args),)


def _between(
    source: int, target: int, align_corners: bool, half_pixel_centers: bool
) -> Callable[[int], tuple[int, int, int]]:
    """The function output position -> the two input positions beside it, and the second one's weight."""
    aligned = align_corners and target > 1
    steps, extent = (target - 1, source - 1) if aligned else (target, source)
    scale = (_ONE * extent + steps // 2) // steps

    def between(position: int) -> tuple[int, int, int]:
        exact = position * scale + (scale // 2 - _ONE // 2 if half_pixel_centers else 0)
        first = max(exact // _ONE, 0)
        second = min(-(-exact // _ONE), source - 1)
        # The scale is rounded, and so may lead beyond the last one, where TFLite Micro reads on.
        return (first, second, exact - first * _ONE) if first < source else (source - 1, source - 1, 0)

    return between
