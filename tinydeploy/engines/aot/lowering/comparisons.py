"""Comparisons, logic on bools, and SELECT_V2, element by element, with broadcasting."""

from __future__ import annotations

import numpy as np

from tinydeploy.engines.aot.arithmetic import loop_nest
from tinydeploy.engines.aot.ir import Step, Write, operand
from tinydeploy.engines.aot.kernels import elementwise_kernels as kernels
from tinydeploy.engines.aot.kernels.elementwise_kernels import Binary, Select
from tinydeploy.engines.aot.kernels.functions import LOGICAL_NOT, Unary
from tinydeploy.engines.aot.lowering import broadcasting
from tinydeploy.engines.aot.lowering.elementwise import operands
from tinydeploy.engines.aot.lowering.lowerings import lowers
from tinydeploy.engines.aot.lowering.require import (
    input_tensors,
    output_tensor,
    per_tensor,
    require,
    require_same_size,
    require_types,
)
from tinydeploy.model.graph import DType, Graph, Op

# By op, for which orders of its operands it says yes: less, equal, greater.
_RELATIONS = {
    "EQUAL": (False, True, False),
    "NOT_EQUAL": (True, False, True),
    "LESS": (True, False, False),
    "LESS_EQUAL": (True, True, False),
    "GREATER": (False, False, True),
    "GREATER_EQUAL": (False, True, True),
}


@lowers(*_RELATIONS)
def lower_comparison(graph: Graph, op: Op) -> tuple[Step, ...]:
    """Comparisons, of int8 values as the reals they stand for."""
    sources, output = input_tensors(graph, op, 2), output_tensor(graph, op)
    equality = (DType.BOOL,) if op.kind in ("EQUAL", "NOT_EQUAL") else ()
    require_types(sources, DType.INT8, DType.INT32, DType.INT64, *equality)
    require_types((output,), DType.BOOL)
    loops, relation = broadcasting.loops_of(graph, op), _RELATIONS[op.kind]
    if sources[0].dtype is not DType.INT8:
        return (broadcasting.of_two(graph, op, kernels.COMPARE, kernels.Compare(loops, *relation)),)
    a, b = (per_tensor(tensor) for tensor in sources)
    for real in (a, b):
        require(real.scale < 1, f"an input's scale is {real.scale:.6g}: TFLite Micro compares below 1")
    params = kernels.CompareScaled(loops, 8, *relation, operands(a, b))
    return (broadcasting.of_two(graph, op, kernels.COMPARE_SCALED, params),)


@lowers("LOGICAL_AND", "LOGICAL_OR")
def lower_logical(graph: Graph, op: Op) -> tuple[Step, ...]:
    """LOGICAL_AND and LOGICAL_OR are the minimum and the maximum of two bools."""
    require_types((*input_tensors(graph, op, 2), output_tensor(graph, op)), DType.BOOL)
    kernel = kernels.MINIMUM if op.kind == "LOGICAL_AND" else kernels.MAXIMUM
    return (broadcasting.of_two(graph, op, kernel, Binary(broadcasting.loops_of(graph, op))),)


@lowers("LOGICAL_NOT")
def lower_logical_not(graph: Graph, op: Op) -> tuple[Step, ...]:
    """LOGICAL_NOT."""
    (source,), output = input_tensors(graph, op, 1), output_tensor(graph, op)
    require_types((source, output), DType.BOOL)
    require_same_size(source, output)
    args = (operand(graph, op, 0, "input"), Write(output.index))
    return (LOGICAL_NOT.step(graph, Unary(output.elements), *args),)


@lowers("SELECT_V2")
def lower_select(graph: Graph, op: Op) -> tuple[Step, ...]:
    """SELECT_V2 of int8 or int16: the integers of one tensor or of the other, as they are."""
    sources, output = input_tensors(graph, op, 3), output_tensor(graph, op)
    require_types(sources[:1], DType.BOOL)
    require_types((*sources[1:], output), DType.INT8, DType.INT16)
    shapes = [tensor.shape for tensor in sources]
    try:
        fits = np.broadcast_shapes(*shapes) == output.shape
    except ValueError:
        fits = False
    require(fits, f"shapes {', '.join(map(str, shapes))} do not broadcast to {output.shape}")
    over = (loop_nest.broadcast(shape, output.shape) for shape in shapes)
    shape, walks = loop_nest.fuse(output.shape, *over)
    params = Select(*broadcasting.nest(shape, *walks))
    reads = (operand(graph, op, i, name) for i, name in enumerate(kernels.SELECT.arguments[:-1]))
    return (kernels.SELECT.step(graph, params, *reads, Write(output.index)),)
