"""Lowering of layers whose weights or bias are computed at run time, or whose input is a constant.

They are lowered with zeros in place of what is not known, and then read the tensors themselves. What else is
folded into the bias on the host, the input's zero point, is folded in by a step of its own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinydeploy.engines.aot.arithmetic.fixed_point import layer_scale
from tinydeploy.engines.aot.ir import Argument, Constant, Read, Scratch, Step, Write
from tinydeploy.engines.aot.lowering.lowerings import Lowering
from tinydeploy.engines.aot.lowering.require import (
    fused_range,
    output_tensor,
    per_tensor,
    require,
    require_symmetric,
    require_types,
    rescaling,
    wide_rescaling,
)
from tinydeploy.model.graph import DType, Graph, Op, Tensor

COMPUTED = "computed"  # the option that says that the weights only stand in for others

Params = dict[str, int | float | bool]


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
    lowered = usual(stand_in, replace(op, options={**op.options, COMPUTED: True}))
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
        params = {**_walk(op, weights), "kZeroPoint": zero_point}
        if op.kind == "TRANSPOSE_CONV":
            params |= {name: step.params[name] for name in ("kStrideHeight", "kStrideWidth")}
        folding = (Step("fold_bias", "fold_bias.h", params, (args[1], given, scratch)),)
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


def _walk(op: Op, weights: Tensor) -> Params:
    """How kernels/fold_bias.h gets through the weights."""
    height, width, depth = (
        (1, 1, 1, *weights.shape)[-3:] if op.kind != "FULLY_CONNECTED" else (1, 1, weights.shape[1])
    )
    params: Params = {"kStrideHeight": 1, "kStrideWidth": 1, "kKernelHeight": height, "kKernelWidth": width}
    if op.kind == "DEPTHWISE_CONV_2D":
        return params | {"kChannels": depth, "kDepth": 1, "kChannelStep": 1, "kTapStep": depth}
    channels = {"kChannels": weights.shape[0], "kDepth": depth}
    return params | channels | {"kChannelStep": height * width * depth, "kTapStep": depth}


def has_offset(graph: Graph, op: Op) -> bool:
    """Whether the weights of this FULLY_CONNECTED have a zero point."""
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
    real = [per_tensor(tensor) for tensor in (source, weights, output)]
    factor = rescaling(layer_scale(*(quantization.scale for quantization in real)))
    multiplier, shift = wide_rescaling(*factor) if wide else factor
    low, high = fused_range(op, output)
    params: Params = {
        **{
            f"k{name}{i}": value
            for i in range(3)
            for name, value in (("Batch", 1), ("ABatchStride", 0), ("BBatchStride", 0))
        },
        "kRows": rows,
        "kColumns": units,
        "kDepth": depth,
        "kARowStride": depth,
        "kADepthStride": 1,
        "kBColumnStride": depth,
        "kBDepthStride": 1,
        "kAZeroPoint": real[0].zero_point,
        "kBZeroPoint": real[1].zero_point,
        "kOutputZeroPoint": real[2].zero_point,
        "kOutputMultiplier": multiplier,
        "kOutputShift": shift,
        "kLeftShift": shift > 0,
        "kActivationMin": low,
        "kActivationMax": high,
    }
    more = (_argument(op, bias, "bias"),) if bias else ()
    args = (_argument(op, source, "input"), _argument(op, weights, "weights"), Write(output.index), *more)
    return (Step("batch_matmul", "batch_matmul.h", params, args),)
