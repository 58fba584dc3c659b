"""Rewrite of TILE as an op that TFLite Micro has, and that moves the same.

Keras writes UpSampling (nearest), RepeatVector and tf.repeat as RESHAPE and TILE.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinydeploy.model.canonicalize.constant_ops import Call
from tinydeploy.model.graph import DType, Graph, Op, OptionValue, Tensor, same_code
from tinydeploy.results.setting import Edit

_MOST_RANK = 5  # of BROADCAST_TO in TFLite Micro
_MOST_JOINED = 10  # by CONCATENATION in TFLite Micro


def settle(graph: Graph) -> Graph:
    """`graph` with each TILE as a BROADCAST_TO where the repeated extents are 1.

    Where one dimension of another extent is repeated a few times, it is a CONCATENATION. Any other stays.
    """
    tensors, ops = [*graph.tensors], [*graph.ops]
    for op in graph.running:
        times = _times(graph, op)
        if not times:
            continue
        source, output = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
        repeated = [axis for axis, n in enumerate(times) if n > 1]
        if all(source.shape[axis] == 1 for axis in repeated) and len(times) <= _MOST_RANK:
            shape = np.array(output.shape, np.int32)
            shape.flags.writeable = False
            constant = Tensor(len(tensors), f"shape of {op.index}", shape.shape, DType.INT32, data=shape)
            tensors.append(constant)
            ops[op.index] = Op(op.index, "BROADCAST_TO", (source.index, constant.index), op.outputs, {})
        elif len(repeated) == 1 and times[repeated[0]] <= _MOST_JOINED:
            options: dict[str, OptionValue] = {"axis": repeated[0], "fused_activation_function": "NONE"}
            joined = (source.index,) * times[repeated[0]]
            ops[op.index] = Op(op.index, "CONCATENATION", joined, op.outputs, options)
    kinds = sorted({after.kind for before, after in zip(graph.ops, ops, strict=True) if after is not before})
    if not kinds:
        return graph
    edit = Edit("tile", f"TILE as {' and '.join(kinds)}")
    return replace(graph, tensors=tuple(tensors), ops=tuple(ops), edits=(*graph.edits, edit))


def _times(graph: Graph, op: Op) -> tuple[int, ...]:
    """How often TILE repeats each dimension; () if it is no TILE, or contradicts itself."""
    if op.kind != "TILE" or len(op.inputs) != 2 or min(op.inputs) < 0:
        return ()
    call = Call(op, tuple(graph.tensors[i] for i in op.inputs), tuple(graph.tensors[i] for i in op.outputs))
    source, output = call.inputs[0], call.outputs[0]
    try:
        times = call.ints(1)
    except ValueError:
        return ()
    fits = len(times) == len(source.shape) and min(times, default=0) > 0
    fits = fits and output.shape == tuple(n * m for n, m in zip(source.shape, times, strict=True))
    return times if fits and same_code(source, output) else ()
