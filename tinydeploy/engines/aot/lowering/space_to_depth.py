"""Lowering of ops that exchange rows and columns with channels or batches. All int8."""

from __future__ import annotations

from itertools import product
from math import prod

from tinydeploy.engines.aot.arithmetic import loop_nest
from tinydeploy.engines.aot.ir import Step, operand
from tinydeploy.engines.aot.lowering.data_movement import copy_block, require_movable
from tinydeploy.engines.aot.lowering.lowerings import lowers
from tinydeploy.engines.aot.lowering.padding import fill
from tinydeploy.engines.aot.lowering.require import (
    constant_ints,
    constant_pairs,
    input_tensors,
    int_option,
    output_tensor,
    per_tensor,
    require,
)
from tinydeploy.model.graph import Graph, Op

_PLACES = 64  # each takes a copy


@lowers("SPACE_TO_DEPTH", "DEPTH_TO_SPACE")
def lower_space_to_depth(graph: Graph, op: Op) -> tuple[Step, ...]:
    """A copy that exchanges the rows of a block with its columns of pixels."""
    (source,), output = input_tensors(graph, op, 1), output_tensor(graph, op)
    require_movable(op, source, output)
    require(len(source.shape) == len(output.shape) == 4, "its input or output does not have four dimensions")
    size = int_option(op, "block_size")
    require(size > 0, f"its block size is {size}")
    # In the spatial tensor a block's row is size runs of depth channels; in the deep one it is one run.
    spatial, deep = (source, output) if op.kind == "SPACE_TO_DEPTH" else (output, source)
    batches, height, width, channels = deep.shape
    depth = channels // size**2
    require(
        channels % size**2 == 0 and spatial.shape == (batches, height * size, width * size, depth),
        f"its output has the shape {output.shape} for blocks of {size}×{size}",
    )
    shape = (batches * height, size, width, size * depth)
    walk = loop_nest.contiguous(shape)
    apart = (walk[0], size * depth, channels, 1)
    walk_in, walk_out = (walk, apart) if op.kind == "SPACE_TO_DEPTH" else (apart, walk)
    source_argument = operand(graph, op, 0, "input")
    return (copy_block(graph, source_argument, output, shape, (0, walk_in), (0, walk_out)),)


@lowers("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND")
def lower_space_to_batch(graph: Graph, op: Op) -> tuple[Step, ...]:
    """One copy per place in a block: the pixels that have it are images of their own."""
    (source, _, _), output = input_tensors(graph, op, 3), output_tensor(graph, op)
    require_movable(op, source, output)
    rank = len(source.shape)
    require(rank in (3, 4) and rank == len(output.shape), f"it has {rank} dimensions, not 3 or 4")
    block = constant_ints(graph, op, 1, "block shape")
    pairs = constant_pairs(graph, op, 2, "paddings")
    inward = op.kind == "SPACE_TO_BATCH_ND"
    spatial, deep = (source, output) if inward else (output, source)
    fits = len(block) == len(pairs) == rank - 2 and min(block) > 0 and min(map(min, pairs)) >= 0
    require(fits, f"its block {block} and paddings {pairs} do not fit")
    require(prod(block) <= _PLACES, f"its blocks have {prod(block)} places, more than {_PLACES}")
    padded = [n + b + a for n, (b, a) in zip(spatial.shape[1:-1], pairs, strict=True)]
    shape = (
        spatial.shape[0] * prod(block),
        *(extent // size for extent, size in zip(padded, block, strict=True)),
        spatial.shape[-1],
    )
    whole = all(extent % size == 0 for extent, size in zip(padded, block, strict=True))
    require(whole and shape == deep.shape, f"its output has the shape {output.shape} for blocks of {block}")

    space, depth = loop_nest.contiguous(spatial.shape), loop_nest.contiguous(deep.shape)
    walks = (space[0], *(stride * size for stride, size in zip(space[1:-1], block, strict=True)), 1), depth
    steps = [fill(graph, output, per_tensor(output).zero_point)] if inward and any(map(any, pairs)) else []
    for number, place in enumerate(product(*map(range, block))):
        extents, offsets = [spatial.shape[0]], [0, number * spatial.shape[0] * depth[0]]
        for axis, (at, size, (before, _)) in enumerate(zip(place, block, pairs, strict=True), start=1):
            first = max(-((at - before) // size), 0)  # of the image's rows that the spatial tensor has
            last = (spatial.shape[axis] - 1 + before - at) // size
            extents.append(last - first + 1)
            offsets[0] += (first * size + at - before) * space[axis]
            offsets[1] += first * depth[axis]
        if min(extents) > 0:
            ways = tuple(zip(offsets, walks, strict=True))
            from_, to = ways if inward else ways[::-1]
            block_shape = (*extents, spatial.shape[-1])
            steps.append(copy_block(graph, operand(graph, op, 0, "input"), output, block_shape, from_, to))
    return tuple(steps)
