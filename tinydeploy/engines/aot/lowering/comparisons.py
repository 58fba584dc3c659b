"""Comparisons, logic on bools, and SELECT_V2, element by element, with broadcasting."""

from __future__ import annotations

import numpy as np

from tinydeploy.engines.aot.ir import Step, Write, operand
from tinydeploy.engines.aot.lowering import broadcasting, loop_nest
from tinydeploy.engines.aot.lowering.elementwise import operand_params
from tinydeploy.engines.aot.lowering.lowerings import lowers
from tinydeploy.engines.aot.lowering.require import (
    input_tensors,
    output_tensor,
    per_tensor,
    require,
    require_same_size,
    require_types,
)
from tinydeploy.engines.aot.memory import input_overlap
from tinydeploy.model.graph import DType, Graph, Op

Params = dict[str, int | float | bool]

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
    params: Params = dict(zip(("kLess", "kEqual", "kGreater"), _RELATIONS[op.kind], strict=True))
    if sources[0].dtype is not DType.INT8:
        return (broadcasting.of_two(graph, op, "compare", "logic.h", params),)
    a, b = (per_tensor(tensor) for tensor in sources)
    for real in (a, b):
        require(real.scale < 1, f"an input's scale is {real.scale:.6g}: TFLite Micro compares below 1")
    params = {"kHeadroom": 8} | params | operand_params(a, b)
    return (broadcasting.of_two(graph, op, "compare_scaled", "logic.h", params),)


@lowers("LOGICAL_AND", "LOGICAL_OR")
def lower_logical(graph: Graph, op: Op) -> tuple[Step, ...]:
    """LOGICAL_AND and LOGICAL_OR are the minimum and the maximum of two bools."""
    require_types((*input_tensors(graph, op, 2), output_tensor(graph, op)), DType.BOOL)
    kernel = "minimum" if op.kind == "LOGICAL_AND" else "maximum"
    return (broadcasting.of_two(graph, op, kernel, "elementwise.h", {}),)


@lowers("LOGICAL_NOT")
def lower_logical_not(graph: Graph, op: Op) -> tuple[Step, ...]:
    """LOGICAL_NOT."""
    (source,), output = input_tensors(graph, op, 1), output_tensor(graph, op)
    require_types((source, output), DType.BOOL)
    require_same_size(source, output)
    args = (operand(graph, op, 0, "input"), Write(output.index))
    overlaps = input_overlap.in_place(graph, args)
    return (Step("logical_not", "logic.h", {"kElements": output.elements}, args, overlaps),)


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
    most = broadcasting.LOOPS
    require(len(shape) <= most, f"broadcasting takes {len(shape)} loops, more than {most}")
    names = dict(zip(("ConditionStride", "XStride", "YStride"), walks, strict=True))
    reads = tuple(operand(graph, op, i, name) for i, name in enumerate(("condition", "x", "y")))
    overlaps = broadcasting.overlaps(reads, sources, output, shape, walks)
    params = loop_nest.params(most, Dim=shape, **names)
    return (Step("select", "logic.h", params, (*reads, Write(output.index)), overlaps),)
