"""Shapes in a file that do not follow from one another, which TFLite Micro believes without a check.

Converters write 1 for a dimension that they do not know. Where an op then folds other dimensions into that
one, as SPACE_TO_BATCH_ND does for a dilated convolution, the file's shape is smaller than what the op makes,
and TFLite Micro computes a part of it.
"""

from __future__ import annotations

from math import prod

import numpy as np

from tinydeploy.graph import Graph, Op

_SAME_ELEMENTS = frozenset(
    ("EXPAND_DIMS", "SQUEEZE", "RESHAPE", "TRANSPOSE", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "REVERSE_V2")
)
_SAME_SHAPE = frozenset(
    (
        *("ABS", "CAST", "CEIL", "COS", "DEQUANTIZE", "ELU", "EXP", "FLOOR", "HARD_SWISH", "LEAKY_RELU"),
        *("LOG", "LOGICAL_NOT", "LOGISTIC", "LOG_SOFTMAX", "NEG", "QUANTIZE", "RELU", "RELU6", "ROUND"),
        *("RSQRT", "SIN", "SOFTMAX", "SQRT", "SQUARE", "TANH", "ZEROS_LIKE", "CUMSUM", "L2_NORMALIZATION"),
    )
)
_SAME_BATCH = frozenset(
    (
        *("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"),
        *("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"),
    )
)
_BROADCAST = frozenset(
    (
        *("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "FLOOR_DIV", "FLOOR_MOD"),
        *("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"),
        *("LOGICAL_AND", "LOGICAL_OR"),
    )
)


def mismatch(graph: Graph, op: Op) -> str:
    """Why the op's output cannot have the shape that the file gives it; empty if it can."""
    if not op.outputs or not op.inputs or min(op.inputs[0], op.outputs[0]) < 0:
        return ""
    source, output = graph.tensors[op.inputs[0]].shape, graph.tensors[op.outputs[0]].shape
    if op.kind in ("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"):
        follows = _blocked(graph, op)
        wrong = follows is not None and follows != output
    elif op.kind in _BROADCAST and len(op.inputs) == 2:
        wrong = _broadcast(source, graph.tensors[op.inputs[1]].shape) != output
    elif op.kind in _SAME_BATCH:
        wrong = source[:1] != output[:1]
    else:
        elements = op.kind in _SAME_ELEMENTS and prod(source) != prod(output)
        wrong = elements or (op.kind in _SAME_SHAPE and source != output)
    if not wrong:
        return ""
    inputs = " and ".join(_text(graph.tensors[i].shape) for i in op.inputs[: 1 + (op.kind in _BROADCAST)])
    return f"its output is {_text(output)} in the file, which does not follow from {inputs}"


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...] | None:
    try:
        return np.broadcast_shapes(a, b)
    except ValueError:
        return None


def _blocked(graph: Graph, op: Op) -> tuple[int, ...] | None:
    """What SPACE_TO_BATCH_ND or BATCH_TO_SPACE_ND makes; None if it is not known here."""
    source = graph.tensors[op.inputs[0]].shape
    block, edges = (graph.tensors[index].data for index in op.inputs[1:3])
    if block is None or edges is None or edges.size != 2 * block.size or len(source) <= block.size:
        return None
    sizes = [int(size) for size in block.reshape(-1)]
    added = [int(a) + int(b) for a, b in edges.reshape(-1, 2)]
    if min(sizes, default=0) < 1:
        return None
    spatial, rest = source[1 : 1 + len(sizes)], source[1 + len(sizes) :]
    if op.kind == "SPACE_TO_BATCH_ND":
        made = ((size + more) // by for size, more, by in zip(spatial, added, sizes, strict=True))
        return (source[0] * prod(sizes), *made, *rest)
    made = (size * by - less for size, less, by in zip(spatial, added, sizes, strict=True))
    return (source[0] // prod(sizes), *made, *rest)


def _text(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a scalar"
