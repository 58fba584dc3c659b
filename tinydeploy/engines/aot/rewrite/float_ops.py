"""Which ops float_islands.py can take out of float, and what to do about the others."""

from __future__ import annotations

from tinydeploy.model.graph import DType, Graph
from tinydeploy.model.ops import catalogue
from tinydeploy.model.ops.catalogue import CATALOGUE, JOINS
from tinydeploy.model.ops.op_kind import JOINED, GoesBy

# The functions of their elements, but for the ends of an island; and by op, which input it moves.
POINTWISE = frozenset(catalogue.kinds(lambda op: op.goes_by is GoesBy.ELEMENT)) - {"QUANTIZE", "DEQUANTIZE"}
MOVES = {kind: row.moves for kind, row in CATALOGUE.items() if row.moves not in (None, JOINED)}
ORDERS = {"ARG_MAX": "ARG_MIN", "ARG_MIN": "ARG_MAX"}  # by op, what it is of a function that falls
INTEGERS = (DType.INT8, DType.UINT8, DType.INT16)
QUANTISABLE = "TFLite quantises it elsewhere: let the converter quantise this layer, too"
ELSE = "leave it out of the model, or put in its place what TFLite quantises"
ADVICE = {
    **dict.fromkeys(("ADD_N", "CUMSUM"), ELSE),  # TFLite Micro has them quantised, no converter makes them so
    "LOG_SOFTMAX": "end the model before it, as the largest of its inputs is the class, or use SOFTMAX",
    "SOFTMAX": "end the model before it, as the largest of its inputs is the class",
}


def kept_float(graph: Graph) -> set[int]:
    """The tensors of floats and bools that have to be there: outputs of the model, and what moves to them."""
    unquantised = (DType.FLOAT32, DType.BOOL)
    kept = {index for index in graph.outputs if graph.tensors[index].dtype in unquantised}
    for op in reversed(graph.running):
        if not kept.isdisjoint(op.outputs) and op.kind in (*JOINS, *MOVES):
            inputs = op.inputs if op.kind in JOINS else op.inputs[MOVES[op.kind] :][:1]
            kept |= {i for i in inputs if i >= 0 and graph.tensors[i].dtype in unquantised}
    return kept
