"""Lowering of reductions along axes, and of what looks at all of one: SOFTMAX, L2_NORMALIZATION."""

from __future__ import annotations

from math import prod

import numpy as np

from tinydeploy.engines.aot.arithmetic import tables
from tinydeploy.engines.aot.ir import Constant, Step, Write, operand
from tinydeploy.engines.aot.lowering import int16_functions, loop_nest
from tinydeploy.engines.aot.lowering.lowerings import lowers
from tinydeploy.engines.aot.lowering.require import (
    UnsupportedError,
    constant_int,
    constant_ints,
    float_option,
    input_tensors,
    int_option,
    output_tensor,
    per_tensor,
    positive_axis,
    require,
    require_same_quantization,
    require_same_shape,
    require_types,
    rescaling,
)
from tinydeploy.engines.aot.memory import input_overlap
from tinydeploy.model.graph import DType, Graph, Op

Params = dict[str, int | float | bool]

_LOOPS = 3


@lowers("MEAN", "SUM")
def lower_sum(graph: Graph, op: Op) -> tuple[Step, ...]:
    """MEAN and SUM of int8 or int16 over any axes."""
    (source, _), output = input_tensors(graph, op, 2), output_tensor(graph, op)
    require_types((source, output), DType.INT8, DType.INT16)
    origin, target = per_tensor(source), per_tensor(output)
    count = source.elements // output.elements
    require(count > 0, f"its output has {output.elements} elements for an input of {source.elements}")
    multiplier, shift = rescaling(origin.scale / target.scale)
    if op.kind == "MEAN":
        # The division by count goes into the multiplier, with as many more bits as shift can take back.
        bits = min(count.bit_length() - 1, 32, 31 + shift)
        multiplier, shift = (multiplier << bits) // count, shift - bits
    limits = np.iinfo(output.dtype.value)
    params: Params = {
        "kInputOffset": -origin.zero_point * count,
        "kMultiplier": multiplier,
        "kShift": shift,
        "kOutputZeroPoint": target.zero_point,
        "kOutputMin": int(limits.min),
        "kOutputMax": int(limits.max),
    }
    return (_reduction(graph, op, "scaled_sum", params),)


@lowers("REDUCE_MAX", "REDUCE_MIN")
def lower_reduce_max(graph: Graph, op: Op) -> tuple[Step, ...]:
    """REDUCE_MAX and REDUCE_MIN of int8 over any axes."""
    (source, _), output = input_tensors(graph, op, 2), output_tensor(graph, op)
    require_types((source, output), DType.INT8)
    require_same_quantization(source, output)
    return (_reduction(graph, op, op.kind.lower(), {}),)


def _reduction(graph: Graph, op: Op, kernel: str, params: Params) -> Step:
    """The kernel over the axes that input 1 holds."""
    source, output = graph.tensors[op.inputs[0]], output_tensor(graph, op)
    rank = len(source.shape)
    axes = {positive_axis(axis, rank) for axis in constant_ints(graph, op, 1, "axis")}
    keep_dims = bool(int_option(op, "keep_dims"))
    shape = tuple(
        1 if axis in axes else extent
        for axis, extent in enumerate(source.shape)
        if keep_dims or axis not in axes
    )
    require(shape == output.shape, f"its output has the shape {output.shape}, not {shape}")
    steps = loop_nest.contiguous(source.shape)
    walks = []
    for reduced in (False, True):
        chosen = [axis for axis in range(rank) if (axis in axes) == reduced]
        extents = tuple(source.shape[axis] for axis in chosen)
        walks.append(loop_nest.fuse(extents, tuple(steps[axis] for axis in chosen)))
    (keep, (keep_strides,)), (reduce, (reduce_strides,)) = walks
    require(max(len(keep), len(reduce)) <= _LOOPS, "it reduces too many separate groups of axes")
    nest = loop_nest.params(
        _LOOPS, Keep=keep, KeepStride=keep_strides, Reduce=reduce, ReduceStride=reduce_strides
    )
    args = (operand(graph, op, 0, "input"), Write(output.index))
    size = output.dtype.bytes
    first = 0, tuple(size * stride for stride in keep_strides)
    least = input_overlap.of_nest(keep, first, (size, tuple(size * s for s in loop_nest.contiguous(keep))))
    return Step(kernel, "reduce.h", nest | params, args, input_overlap.over(args[0], output, least))


@lowers("ARG_MAX", "ARG_MIN")
def lower_arg_max(graph: Graph, op: Op) -> tuple[Step, ...]:
    """ARG_MAX and ARG_MIN of int8 along one axis, to int32; the first of equal values."""
    (source, _), output = input_tensors(graph, op, 2), output_tensor(graph, op)
    require_types((source,), DType.INT8)
    require_types((output,), DType.INT32)
    axis = positive_axis(constant_int(graph, op, 1, "axis"), len(source.shape))
    shape = source.shape[:axis] + source.shape[axis + 1 :]
    require(shape == output.shape, f"its output has the shape {output.shape}, not {shape}")
    outer, extent, inner = prod(source.shape[:axis]), source.shape[axis], prod(source.shape[axis + 1 :])
    params: Params = {"kOuter": outer, "kExtent": extent, "kInner": inner}
    args = (operand(graph, op, 0, "input"), Write(output.index))
    size = output.dtype.bytes
    least = input_overlap.of_nest((outer, inner), (0, (extent * inner, 1)), (size, (size * inner, size)))
    return (Step(op.kind.lower(), "reduce.h", params, args, input_overlap.over(args[0], output, least)),)


@lowers("SOFTMAX")
def lower_softmax(graph: Graph, op: Op) -> tuple[Step, ...]:
    """SOFTMAX of int8 to int8 or int16, or of int16, along the last axis."""
    if int16_functions.is_int16(graph, op):
        return int16_functions.softmax(graph, op)
    (source,) = input_tensors(graph, op, 1)
    output = output_tensor(graph, op)
    require_types((source,), DType.INT8)
    require_types((output,), DType.INT8, DType.INT16)
    require_same_shape(source, output)
    require(len(source.shape) > 0, "its input is a scalar")
    origin, target = per_tensor(source), per_tensor(output)
    bits = 8 * output.dtype.bytes
    ideal = 2.0**-bits
    exact = target.scale == ideal if bits == 8 else abs(target.scale - ideal) <= 0.001 * ideal
    require(
        exact and target.zero_point == -(1 << (bits - 1)),
        f"its output has scale {target.scale:.6g} and zero point {target.zero_point},"
        f" not 1/{1 << bits} and {-(1 << (bits - 1))}",
    )
    depth = source.shape[-1]
    require(depth < 4096, f"it has {depth} classes, more than the 4,095 whose sum the fixed point holds")
    try:
        exponentials = tables.softmax_exponentials(origin.scale, float_option(op, "beta"))
    except ValueError as error:
        raise UnsupportedError(f"its scale does not suit the fixed-point arithmetic: {error}") from None
    params = {"kRows": source.elements // depth, "kDepth": depth, "kExponentials": len(exponentials)}
    args = (
        operand(graph, op, 0, "input"),
        Write(output.index),
        Constant(
            f"op{op.index}_exponentials", exponentials.astype(np.int32), "exp(-d) for d = 0, 1 ..., Q0.31"
        ),
    )
    return (Step("softmax", "softmax.h", params, args, input_overlap.in_place(graph, args)),)


@lowers("L2_NORMALIZATION")
def lower_l2_normalization(graph: Graph, op: Op) -> tuple[Step, ...]:
    """L2_NORMALIZATION of int8 along the last axis."""
    (source,) = input_tensors(graph, op, 1)
    output = output_tensor(graph, op)
    require_types((source, output), DType.INT8)
    require(source.shape == output.shape, f"its output has the shape {output.shape}, not {source.shape}")
    require(1 <= len(source.shape) <= 4, f"its input has {len(source.shape)} dimensions, not 1 to 4")
    activation = op.options.get("fused_activation_function", "NONE")
    require(activation == "NONE", f"the fused activation {activation} is not supported")
    origin, target = per_tensor(source), per_tensor(output)
    require(
        (target.scale, target.zero_point) == (1 / 128, 0),
        f"its output has scale {target.scale:.6g} and zero point {target.zero_point}, not 1/128 and 0",
    )
    depth = source.shape[-1]
    require(depth * 255**2 < 2**31, f"its rows have {depth} elements, whose squares' sum may overflow")
    params: Params = {
        "kRows": source.elements // depth,
        "kDepth": depth,
        "kInputZeroPoint": origin.zero_point,
    }
    args = (operand(graph, op, 0, "input"), Write(output.index))
    overlaps = input_overlap.in_place(graph, args)
    return (Step("l2_normalization", "l2_normalization.h", params, args, overlaps),)
