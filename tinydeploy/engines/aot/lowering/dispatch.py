"""Dispatch of an op to its lowering. All families of ops are loaded here, and register theirs."""

from __future__ import annotations

from tinydeploy.engines.aot.ir import Alias, Step
from tinydeploy.engines.aot.lowering import (  # noqa: F401, each registers its own
    comparisons,
    conv_with_addend,
    convolutions,
    data_movement,
    elementwise,
    gather,
    in_float,
    join_split,
    lstm,
    matmul,
    padding,
    quantize,
    reduce,
    resize,
    space_to_depth,
    state,
    table_lookup,
    transpose_conv,
)
from tinydeploy.engines.aot.lowering.lowerings import LOWERINGS
from tinydeploy.engines.aot.lowering.require import UnsupportedError
from tinydeploy.engines.aot.own_ops import Addition, FloatOp, LookupOp, WindowOp
from tinydeploy.model.graph import Graph, Op


def lower_op(graph: Graph, op: Op) -> tuple[Step, ...] | Alias:
    """What `op` becomes. Raises UnsupportedError if it cannot be compiled."""
    if op.kind not in LOWERINGS and not isinstance(op, LookupOp):
        raise UnsupportedError(f"there is no kernel for {op.kind}")
    shapes = op.inputs[1:] if op.kind == "RESHAPE" else ()  # a scalar's shape is empty
    for index in {*op.inputs, *op.outputs}.difference(shapes):
        if index >= 0 and graph.tensors[index].elements == 0:
            raise UnsupportedError("it has a tensor without elements")
    match op:
        case LookupOp():
            lowered = table_lookup.composed(graph, op)
        case FloatOp():
            lowered = in_float.lower(graph, op)
        case WindowOp(addition=Addition() as addition):
            lowered = conv_with_addend.lower(graph, op, addition)
        case _:
            lowered = LOWERINGS[op.kind](graph, op)
    if isinstance(lowered, Alias):
        source, target = graph.tensors[lowered.input], graph.tensors[lowered.output]
        if source.bytes != target.bytes:
            raise UnsupportedError(f"its output has {target.bytes} bytes, its input {source.bytes}")
        if source.is_variable:
            raise UnsupportedError("it reshapes a variable")
    return lowered
