"""Lowering of GATHER, EMBEDDING_LOOKUP and GATHER_ND, whose positions may be computed at run time."""

from __future__ import annotations

from math import prod

import numpy as np

from tinydeploy.engines.aot.arithmetic import loop_nest
from tinydeploy.engines.aot.ir import Step, Write, operand
from tinydeploy.engines.aot.kernels.movement_kernels import (
    GATHER,
    GATHER_ND,
    MOST_COORDINATES,
    Gather,
    GatherNd,
)
from tinydeploy.engines.aot.lowering.data_movement import require_movable
from tinydeploy.engines.aot.lowering.lowerings import lowers
from tinydeploy.engines.aot.lowering.require import (
    input_tensors,
    int_option,
    output_tensor,
    positive_axis,
    require,
    require_types,
)
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
    require_movable(op, source, output)
    require_types((positions,), DType.INT32)
    picked = positions.shape[batch_dims:]
    shape = (*source.shape[:axis], *picked, *source.shape[axis + 1 :])
    require(shape == output.shape, f"its output has the shape {output.shape}, not {shape}")
    extent = source.shape[axis]
    params = Gather(
        batches=prod(source.shape[:batch_dims]),
        outer=prod(source.shape[batch_dims:axis]),
        extent=extent,
        positions=prod(picked),
        inner=prod(source.shape[axis + 1 :]),
    )
    args = (
        operand(graph, op, inputs[0], "table"),
        operand(graph, op, inputs[1], "positions"),
        Write(output.index),
    )
    if positions.data is not None:
        given = positions.data.astype(np.int64)
        require(
            bool(given.min() >= 0 and given.max() < extent),
            f"it takes positions {given.min()} to {given.max()} of {extent}",
        )
    return GATHER.step(graph, params, *args)


@lowers("GATHER_ND")
def lower_gather_nd(graph: Graph, op: Op) -> tuple[Step, ...]:
    """GATHER_ND of int8: the last axis of the positions has one for each of the first axes of the table."""
    (source, positions), output = input_tensors(graph, op, 2), output_tensor(graph, op)
    require_types((source, output), DType.INT8)
    require_types((positions,), DType.INT32)
    require(len(positions.shape) > 0, "its positions are a scalar")
    depth = positions.shape[-1]
    most = min(len(source.shape), MOST_COORDINATES)
    require(depth <= most, f"its positions have {depth} coordinates, more than {most}")
    shape = (*positions.shape[:-1], *source.shape[depth:])
    require(shape == output.shape, f"its output has the shape {output.shape}, not {shape}")
    steps = loop_nest.contiguous(source.shape)[:depth]
    params = GatherNd(
        elements=source.elements,
        positions=prod(positions.shape[:-1]),
        depth=depth,
        inner=prod(source.shape[depth:]),
        stride=(*steps, *[0] * MOST_COORDINATES)[:MOST_COORDINATES],
    )
    if positions.data is not None:
        first = positions.data.reshape(-1, depth).astype(np.int64) @ np.array(steps, np.int64)
        outside = first[(first < 0) | (first + params.inner > source.elements)]
        require(outside.size == 0, f"it begins at element {outside[:1]} of {source.elements}")
    args = (operand(graph, op, 0, "table"), operand(graph, op, 1, "positions"), Write(output.index))
    return (GATHER_ND.step(graph, params, *args),)
