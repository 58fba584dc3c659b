"""Lowering of ops with a state that lives across inferences: SVDF, and those of resource variables."""

from __future__ import annotations

import numpy as np

from tinydeploy.engines.aot.arithmetic.fixed_point import layer_scale
from tinydeploy.engines.aot.ir import Constant, Read, State, Step, Write, operand
from tinydeploy.engines.aot.kernels.movement_kernels import COPY_ROWS, CopyRows
from tinydeploy.engines.aot.kernels.recurrent import SVDF, Svdf
from tinydeploy.engines.aot.lowering.lowerings import lowers
from tinydeploy.engines.aot.lowering.require import (
    UnsupportedError,
    input_tensors,
    int_option,
    output_tensor,
    per_tensor,
    require,
    require_types,
    rescaling,
)
from tinydeploy.model.graph import DType, Graph, Op, Tensor


@lowers("SVDF")
def lower_svdf(graph: Graph, op: Op) -> tuple[Step, ...]:
    """SVDF of int8 with a state of int8 or int16.

    TFLite Micro leaves out its fused activation, and any zero point of its weights.
    """
    source, features, times, bias, state, output = _svdf(graph, op)
    assert features.data is not None and times.data is not None and bias.data is not None
    (batches, depth), (filters, memory) = source.shape, times.shape
    rank = int_option(op, "rank")
    units = filters // rank

    before, stored, after = per_tensor(source), per_tensor(state), per_tensor(output)
    weights = per_tensor(features), per_tensor(times)
    feature_factor = layer_scale(before.scale, weights[0].scale, stored.scale)
    feature_multiplier, feature_shift = rescaling(feature_factor)
    multiplier, shift = rescaling(layer_scale(stored.scale, weights[1].scale, after.scale))
    feature_bias = -before.zero_point * features.data.sum(axis=1, dtype=np.int64)
    sums = times.data.reshape(units, -1).sum(axis=1, dtype=np.int64)
    unit_bias = bias.data.reshape(-1).astype(np.int64) - stored.zero_point * sums
    limits, ends = np.iinfo(state.dtype.value), np.iinfo(output.dtype.value)
    params = Svdf(
        batches=batches,
        input_depth=depth,
        units=units,
        rank=rank,
        memory=memory,
        feature_multiplier=feature_multiplier,
        feature_shift=feature_shift,
        state_zero_point=stored.zero_point,
        state_min=int(limits.min),
        state_max=int(limits.max),
        output_multiplier=multiplier,
        output_shift=shift,
        left_shift=shift > 0,
        output_zero_point=after.zero_point,
        activation_min=int(ends.min),
        activation_max=int(ends.max),
    )
    name = f"op{op.index}"
    args = (
        Read(source.index),
        Constant(f"{name}_features", features.data.reshape(-1), f"[{filters}][{depth}]"),
        Constant(f"{name}_feature_bias", feature_bias.astype(np.int32), "of the input's zero point"),
        Constant(f"{name}_times", times.data.reshape(-1), f"[{filters}][{memory}]"),
        Constant(f"{name}_bias", unit_bias.astype(np.int32), "with the state's zero point"),
        State(state.index),
        Write(output.index),
    )
    return (SVDF.step(graph, params, *args),)


def _svdf(graph: Graph, op: Op) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Input, feature weights, time weights, bias and state of an SVDF, and its output: they go together."""
    (source, features, times, bias, state), output = input_tensors(graph, op, 5), output_tensor(graph, op)
    require_types((source, features, output), DType.INT8)
    require_types((times, state), DType.INT8, DType.INT16)
    require_types((bias,), DType.INT32)
    require(state.is_variable, "its state is not a variable")
    require(source.data is None, "its input is a constant")
    if features.data is None or times.data is None or bias.data is None:
        raise UnsupportedError("its weights or its bias are computed at run time")
    (batches, depth), (filters, memory), rank = source.shape, times.shape, int_option(op, "rank")
    require(rank > 0 and filters % rank == 0, f"it has {filters} filters of rank {rank}")
    units = filters // rank
    require(features.shape == (filters, depth), "its feature weights do not fit its input")
    require(bias.elements == units, "its bias does not fit its weights")
    require(output.shape == (batches, units), f"its output has the shape {list(output.shape)}")
    require(state.elements == batches * filters * memory, f"its state has the shape {list(state.shape)}")
    return source, features, times, bias, state, output


@lowers("VAR_HANDLE", "CALL_ONCE")
def lower_nothing(graph: Graph, op: Op) -> tuple[Step, ...]:
    """A variable is a tensor of the graph, and has its initial value by then."""
    return ()


@lowers("READ_VARIABLE")
def lower_read_variable(graph: Graph, op: Op) -> tuple[Step, ...]:
    """A copy, for the variable may change before its value is used."""
    output = output_tensor(graph, op)
    return (_copy(graph, Read(op.inputs[0]), Write(output.index), output.elements),)


@lowers("ASSIGN_VARIABLE")
def lower_assign_variable(graph: Graph, op: Op) -> tuple[Step, ...]:
    """A copy."""
    variable, value = input_tensors(graph, op, 2)
    return (_copy(graph, operand(graph, op, 1, "value"), State(variable.index), value.elements),)


def _copy(graph: Graph, source: Read | Constant, target: Write | State, elements: int) -> Step:
    return COPY_ROWS.step(graph, CopyRows(1, elements), source, target)
