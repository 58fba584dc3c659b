"""Lowering of layers whose weights or bias are computed at run time, or whose input is a constant.

They are lowered with zeros in place of what is not known, and then read the tensors themselves. What else is
folded into the bias on the host, the input's zero point, is folded in by a step of its own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinydeploy.engines.aot.arithmetic.fixed_point import layer_scale
from tinydeploy.engines.aot.ir import Argument, Constant, Read, Scratch, Step, Write
from tinydeploy.engines.aot.kernels.layer_kernels import (
    BATCH_MATMUL,
    FOLD_BIAS,
    MATMUL_LOOPS,
    BatchMatmul,
    FoldBias,
    TransposeConv,
)
from tinydeploy.engines.aot.lowering.lowerings import Lowering
from tinydeploy.engines.aot.lowering.require import (
    fused_range,
    output_tensor,
    per_tensor,
    require,
    require_bias_scale,
    require_symmetric,
    require_types,
    rescaling,
    wide_rescaling,
)
from tinydeploy.model.graph import DType, Graph, Op, Tensor


def is_computed(graph: Graph, op: Op) -> bool:
    """Whether not all is as usual with the layer `op`: its input computed, its weights and bias constant."""
    source, weights, bias = _operands(graph, op)
    usual = source.data is None and weights.data is not None and (bias is None or bias.data is not None)
    return not usual


def lower(graph: Graph, op: Op, usual: Lowering) -> tuple[Step, ...]:
    """The steps of a layer that `usual` lowers if its weights are constants."""
    source, weights, bias = _operands(graph, op)
    known = {source.index: replace(source, data=None)}
    for tensor in (weights, *((bias,) if bias else ())):
        known[tensor.index] = replace(tensor, data=np.zeros(tensor.shape, tensor.dtype.numpy))
    require(len(known) == 2 + (bias is not None), "its input is its weights, too")
    stand_in = replace(graph, tensors=tuple(known.get(t.index, t) for t in graph.tensors))
    lowered = usual(stand_in, op)
    assert isinstance(lowered, tuple)
    (step,) = lowered
    _, _, zeros, *scales, output = step.args
    assert isinstance(zeros, Constant)
    given = (
        _argument(op, bias, "bias") if bias else replace(zeros, values=zeros.values[: _channels(op, weights)])
    )
    args = (_argument(op, source, "input"), _argument(op, weights, "weights"))
    zero_point = per_tensor(source).zero_point
    folding: tuple[Step, ...] = ()
    if zero_point != 0 or op.kind == "TRANSPOSE_CONV":
        scratch = Scratch("bias", f"{zeros.values.dtype}_t", zeros.values.size)
        walk = _walk(op, weights, zero_point)
        if isinstance(step.params, TransposeConv):
            g = step.params.geometry
            walk = replace(walk, stride_height=g.stride_height, stride_width=g.stride_width)
        folding = (FOLD_BIAS.step(graph, walk, args[1], given, scratch),)
        given = scratch
    overlaps = step.overlaps if source.data is None else ()
    return (*folding, replace(step, args=(*args, given, *scales, output), overlaps=overlaps))


def _operands(graph: Graph, op: Op) -> tuple[Tensor, Tensor, Tensor | None]:
    """Input, weights, and the bias if there is one."""
    require(len(op.inputs) >= 2 and min(op.inputs[:2]) >= 0, "an input is missing")
    first, second, *rest = (
        (op.inputs[2], op.inputs[1], *op.inputs[3:]) if op.kind == "TRANSPOSE_CONV" else op.inputs
    )
    bias = graph.tensors[rest[0]] if rest and rest[0] >= 0 else None
    return graph.tensors[first], graph.tensors[second], bias


def _argument(op: Op, tensor: Tensor, name: str) -> Argument:
    if tensor.data is None:
        return Read(tensor.index)
    return Constant(f"op{op.index}_{name}", tensor.data.reshape(-1))


def _channels(op: Op, weights: Tensor) -> int:
    return weights.shape[3 if op.kind == "DEPTHWISE_CONV_2D" else 0]


def _walk(op: Op, weights: Tensor, zero_point: int) -> FoldBias:
    """How kernels/fold_bias.h gets through the weights."""
    height, width, depth = (
        (1, 1, 1, *weights.shape)[-3:] if op.kind != "FULLY_CONNECTED" else (1, 1, weights.shape[1])
    )
    if op.kind == "DEPTHWISE_CONV_2D":
        return FoldBias(1, 1, height, width, depth, 1, 1, depth, zero_point)
    return FoldBias(1, 1, height, width, weights.shape[0], depth, height * width * depth, depth, zero_point)


def has_offset(graph: Graph, op: Op) -> bool:
    """Whether the weights of this FULLY_CONNECTED have a zero point that counts: one, with one scale."""
    found = graph.tensors[op.inputs[1]].quantization if len(op.inputs) > 1 and op.inputs[1] >= 0 else None
    return found is not None and not found.per_channel and found.zero_point != 0


def with_offset(graph: Graph, op: Op) -> tuple[Step, ...]:
    """FULLY_CONNECTED with weights that have a zero point: a product of matrices, as of activations."""
    source, weights, bias = _operands(graph, op)
    output = output_tensor(graph, op)
    require_types((source, output), DType.INT8, DType.INT16)
    require_types((weights,), DType.INT8)
    wide = output.dtype is DType.INT16
    if wide:
        require_symmetric(source)
        require_symmetric(output)
    units, depth = weights.shape
    rows = output.elements // units
    fits = output.shape[-1:] == (units,) and rows * depth == source.elements
    require(fits, "its weights do not fit its input and its output")
    if bias is not None:
        require_types((bias,), DType.INT64 if wide else DType.INT32)
        require(bias.elements == units, "its bias does not fit its weights")
    require_bias_scale(graph, op)
    real = [per_tensor(tensor) for tensor in (source, weights, output)]
    factor = rescaling(layer_scale(*(quantization.scale for quantization in real)))
    multiplier, shift = wide_rescaling(*factor) if wide else factor
    low, high = fused_range(op, output)
    params = BatchMatmul(
        batch=(1,) * MATMUL_LOOPS,
        a_batch_stride=(0,) * MATMUL_LOOPS,
        b_batch_stride=(0,) * MATMUL_LOOPS,
        rows=rows,
        columns=units,
        depth=depth,
        a_row_stride=depth,
        a_depth_stride=1,
        b_column_stride=depth,
        b_depth_stride=1,
        a_zero_point=real[0].zero_point,
        b_zero_point=real[1].zero_point,
        output_zero_point=real[2].zero_point,
        output_multiplier=multiplier,
        output_shift=shift,
        left_shift=shift > 0,
        activation_min=low,
        activation_max=high,
    )
    more = (_argument(op, bias, "bias"),) if bias else ()
    args = (_argument(op, source, "input"), _argument(op, weights, "weights"), Write(output.index), *more)
    return (BATCH_MATMUL.step(graph, params, *args),)
