"""Lowering of GATHER and EMBEDDING_LOOKUP, whose positions may be computed at run time."""

from __future__ import annotations

from math import prod

import numpy as np

from tinydeploy.engines.aot.ir import Step, Write, operand
from tinydeploy.engines.aot.lowering.lowerings import lowers
from tinydeploy.engines.aot.lowering.require import (
    input_tensors,
    int_option,
    output_tensor,
    positive_axis,
    require,
    require_types,
)
from tinydeploy.engines.aot.memory import input_overlap
from tinydeploy.model.graph import DType, Graph, Op


@lowers("GATHER")
def lower_gather(graph: Graph, op: Op) -> tuple[Step, ...]:
    """GATHER of int8 along one axis."""
    source, positions = input_tensors(graph, op, 2)
    axis = positive_axis(int_option(op, "axis"), len(source.shape))
    rank = len(positions.shape)
    batch_dims = int_option(op, "batch_dims")
    require(-rank <= batch_dims <= rank, f"it has {batch_dims} batch dimensions")
    batch_dims += rank if batch_dims < 0 else 0
    require(
        batch_dims <= axis and source.shape[:batch_dims] == positions.shape[:batch_dims],
        f"it has {batch_dims} batch dimensions, which do not fit",
    )
    return (_gather(graph, op, (0, 1), axis, batch_dims),)


@lowers("EMBEDDING_LOOKUP")
def lower_embedding_lookup(graph: Graph, op: Op) -> tuple[Step, ...]:
    """EMBEDDING_LOOKUP of int8: GATHER of rows, with its inputs the other way round."""
    positions, table = input_tensors(graph, op, 2)
    require(len(positions.shape) == 1, f"its positions have {len(positions.shape)} dimensions, not 1")
    require(len(table.shape) >= 2, f"its table has {len(table.shape)} dimensions")
    return (_gather(graph, op, (1, 0), 0, 0),)


def _gather(graph: Graph, op: Op, inputs: tuple[int, int], axis: int, batch_dims: int) -> Step:
    """The step; `inputs` are the places of the table and of the positions among the op's inputs."""
    source, positions = (graph.tensors[op.inputs[place]] for place in inputs)
    output = output_tensor(graph, op)
    require_types((source, output), DType.INT8)
    require_types((positions,), DType.INT32)
    picked = positions.shape[batch_dims:]
    shape = (*source.shape[:axis], *picked, *source.shape[axis + 1 :])
    require(shape == output.shape, f"its output has the shape {output.shape}, not {shape}")
    extent = source.shape[axis]
    params = {
        "kBatches": prod(source.shape[:batch_dims]),
        "kOuter": prod(source.shape[batch_dims:axis]),
        "kExtent": extent,
        "kPositions": prod(picked),
        "kInner": prod(source.shape[axis + 1 :]),
    }
    args = (
        operand(graph, op, inputs[0], "table"),
        operand(graph, op, inputs[1], "positions"),
        Write(output.index),
    )
    if positions.data is None:
        return Step("gather", "gather.h", params, args)
    given = positions.data.astype(np.int64)
    require(
        bool(given.min() >= 0 and given.max() < extent),
        f"it takes positions {given.min()} to {given.max()} of {extent}",
    )
    ends = input_overlap.rows(params["kOuter"] * given.size, params["kInner"])
    if ends is None:
        return Step("gather", "gather.h", params, args)
    slices = np.arange(params["kBatches"] * params["kOuter"]).reshape(params["kBatches"], -1, 1)
    first = (slices * extent + given.reshape(params["kBatches"], 1, -1)) * params["kInner"]
    least = input_overlap.of_copies(first, ends + params["kInner"])
    return Step("gather", "gather.h", params, args, input_overlap.over(args[0], output, least))
