"""Lowering of BATCH_MATMUL; of int8, a constant second matrix makes it a FULLY_CONNECTED."""

from __future__ import annotations

from math import prod

import numpy as np

from tinydeploy.engines.aot.arithmetic import loop_nest
from tinydeploy.engines.aot.arithmetic.fixed_point import layer_scale
from tinydeploy.engines.aot.ir import Step, Write, operand
from tinydeploy.engines.aot.kernels.layer_kernels import BATCH_MATMUL, MATMUL_LOOPS, BatchMatmul
from tinydeploy.engines.aot.lowering.convolutions import Layer, pointwise
from tinydeploy.engines.aot.lowering.lowerings import lowers
from tinydeploy.engines.aot.lowering.require import (
    input_tensors,
    int_option,
    output_tensor,
    per_tensor,
    require,
    require_symmetric,
    require_types,
    rescaling,
    type_range,
    wide_rescaling,
)
from tinydeploy.model.graph import DType, Graph, Op, Tensor


@lowers("BATCH_MATMUL")
def lower_batch_matmul(graph: Graph, op: Op) -> tuple[Step, ...]:
    """Either matrix may be transposed, and the batches of either repeated."""
    (a, b), output = input_tensors(graph, op, 2), output_tensor(graph, op)
    require_types((a, b, output), DType.INT8, DType.INT16)
    wide = output.dtype is DType.INT16
    adj_x, adj_y = (bool(int_option(op, name)) for name in ("adj_x", "adj_y"))
    rows, depth, columns = _extents(a, b, adj_x, adj_y, wide)
    real = [require_symmetric(tensor) if wide else per_tensor(tensor) for tensor in (a, b, output)]
    scale = layer_scale(*(quantization.scale for quantization in real))

    batches = output.shape[:-2]
    walks = _walks(a, b, batches)
    fits = bool(walks) and output.shape[-2:] == (rows, columns)
    require(fits, f"its output has the shape {output.shape} for {a.shape} and {b.shape}")
    plain = not wide and not adj_x and per_tensor(b).zero_point == 0 and prod(a.shape[:-2]) == prod(batches)
    if plain and a.data is None and b.data is not None and prod(b.shape[:-2]) == 1:
        layer = _layer(graph, op, a, b, output, adj_y)
        return pointwise(layer, prod(batches) * rows, depth)

    factor = rescaling(scale)
    multiplier, shift = wide_rescaling(*factor) if wide else factor
    low, high = type_range(output)
    matrices = (rows * depth, depth * columns)
    shape, (a_walk, b_walk) = loop_nest.fuse(batches, *walks)
    require(len(shape) <= MATMUL_LOOPS, f"its batches take {len(shape)} loops, more than {MATMUL_LOOPS}")
    params = BatchMatmul(
        batch=loop_nest.padded(MATMUL_LOOPS, shape, missing=1),
        a_batch_stride=loop_nest.padded(MATMUL_LOOPS, [stride * matrices[0] for stride in a_walk]),
        b_batch_stride=loop_nest.padded(MATMUL_LOOPS, [stride * matrices[1] for stride in b_walk]),
        rows=rows,
        columns=columns,
        depth=depth,
        a_row_stride=1 if adj_x else depth,
        a_depth_stride=rows if adj_x else 1,
        b_column_stride=depth if adj_y else 1,
        b_depth_stride=1 if adj_y else columns,
        a_zero_point=per_tensor(a).zero_point,
        b_zero_point=per_tensor(b).zero_point,
        output_zero_point=per_tensor(output).zero_point,
        output_multiplier=multiplier,
        output_shift=shift,
        left_shift=shift > 0,
        activation_min=low,
        activation_max=high,
    )
    args = (operand(graph, op, 0, "a"), operand(graph, op, 1, "b"), Write(output.index))
    return (BATCH_MATMUL.step(graph, params, *args),)


def _walks(a: Tensor, b: Tensor, batches: tuple[int, ...]) -> list[loop_nest.Strides]:
    """How the matrices of each input are gone through for the output's; none if they do not broadcast."""
    try:
        return [loop_nest.broadcast(tensor.shape[:-2], batches) for tensor in (a, b)]
    except ValueError:
        return []


def _extents(a: Tensor, b: Tensor, adj_x: bool, adj_y: bool, wide: bool) -> tuple[int, int, int]:
    """Rows of the first matrix, products in a sum, and columns of the second matrix."""
    for tensor in (a, b):
        require(2 <= len(tensor.shape) <= 5, f"an input has {len(tensor.shape)} dimensions, not 2 to 5")
    rows, depth = a.shape[:-3:-1] if adj_x else a.shape[-2:]
    b_depth, columns = b.shape[:-3:-1] if adj_y else b.shape[-2:]
    require(depth == b_depth, f"shapes {a.shape} and {b.shape} do not go together")
    largest, limit = (2**30, 2**47) if wide else (255**2, 2**31)
    require(depth * largest < limit, f"it adds up {depth} products, which may overflow")
    return rows, depth, columns


def _layer(graph: Graph, op: Op, a: Tensor, b: Tensor, output: Tensor, transposed: bool) -> Layer:
    """The matrix `b` as the weights of a FULLY_CONNECTED, one row per column."""
    assert b.data is not None
    matrix = b.data.reshape(b.shape[-2:])
    weights = np.ascontiguousarray(matrix if transposed else matrix.T)
    bias = -per_tensor(a).zero_point * weights.sum(axis=1, dtype=np.int64)
    return Layer(graph, op, a, output, weights, (per_tensor(b).scale,), bias.astype(np.int32))
