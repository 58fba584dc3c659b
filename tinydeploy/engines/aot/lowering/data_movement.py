"""Lowering of ops that only move elements: each is a strided copy, or no copy at all."""

from __future__ import annotations

from tinydeploy.engines.aot.arithmetic import loop_nest
from tinydeploy.engines.aot.arithmetic.loop_nest import Strides
from tinydeploy.engines.aot.ir import Alias, Argument, Step, Write, operand
from tinydeploy.engines.aot.kernels.movement_kernels import COPY_BLOCK, LOOPS, CopyBlock
from tinydeploy.engines.aot.lowering.lowerings import lowers
from tinydeploy.engines.aot.lowering.require import (
    constant_int,
    constant_ints,
    input_tensors,
    int_option,
    output_tensor,
    positive_axis,
    require,
    require_inferred_shape,
    require_same_size,
    require_types,
)
from tinydeploy.model.graph import DType, Graph, Op, Tensor
from tinydeploy.model.ops import catalogue


def require_movable(op: Op, *tensors: Tensor) -> None:
    """All `tensors` have one and the same type, one that TFLite Micro moves in such an op."""
    require_types(tensors, *catalogue.of(op.kind).moved_types)


@lowers("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def lower_reshape(graph: Graph, op: Op) -> Alias:
    """The same bytes under another shape."""
    counts = {"RESHAPE": (1, 2), "SQUEEZE": (1,), "EXPAND_DIMS": (2,)}[op.kind]
    (source, *_), output = input_tensors(graph, op, *counts), output_tensor(graph, op)
    require_movable(op, source, output)
    require_same_size(source, output)
    if op.kind == "EXPAND_DIMS":
        constant_int(graph, op, 1, "axis", (DType.INT32, DType.INT64))  # that it is one
    if op.kind != "RESHAPE":
        require_inferred_shape(graph, op)
    return Alias(source.index, output.index)


# Blocks


def copy_block(
    graph: Graph,
    source: Argument,
    output: Tensor,
    shape: tuple[int, ...],
    walk_in: tuple[int, Strides],
    walk_out: tuple[int, Strides],
) -> Step:
    """The copy of a block of `shape`; each walk is an offset and strides, in elements."""
    loops, (input_strides, output_strides) = loop_nest.fuse(shape, walk_in[1], walk_out[1])
    require(len(loops) <= LOOPS, f"it takes {len(loops)} loops, more than {LOOPS}")
    params = CopyBlock(
        walk_in[0],
        walk_out[0],
        loop_nest.padded(LOOPS, loops, missing=1),
        loop_nest.padded(LOOPS, input_strides),
        loop_nest.padded(LOOPS, output_strides),
    )
    return COPY_BLOCK.step(graph, params, source, Write(output.index))


@lowers("TRANSPOSE")
def lower_transpose(graph: Graph, op: Op) -> tuple[Step, ...] | Alias:
    """A copy that reads in the order of the permutation; none if only dimensions of 1 move."""
    (source, _), output = input_tensors(graph, op, 2), output_tensor(graph, op)
    require_movable(op, source, output)
    permutation = constant_ints(graph, op, 1, "permutation")
    require(
        sorted(permutation) == list(range(len(source.shape))),
        f"{permutation} is not a permutation of its axes",
    )
    shape = tuple(source.shape[axis] for axis in permutation)
    require(shape == output.shape, f"its output has the shape {output.shape}, not {shape}")
    walk = tuple(loop_nest.contiguous(source.shape)[axis] for axis in permutation)
    if loop_nest.fuse(shape, walk) == loop_nest.fuse(shape, loop_nest.contiguous(shape)):
        return Alias(source.index, output.index)
    target = (0, loop_nest.contiguous(shape))
    return (copy_block(graph, operand(graph, op, 0, "input"), output, shape, (0, walk), target),)


@lowers("STRIDED_SLICE")
def lower_strided_slice(graph: Graph, op: Op) -> tuple[Step, ...]:
    """A copy from an offset with the slice's strides, which may be negative."""
    (source, *_), output = input_tensors(graph, op, 4), output_tensor(graph, op)
    require_movable(op, source, output)
    for name in ("ellipsis_mask", "new_axis_mask", "offset"):
        require(not int_option(op, name), f"{name} is not supported")
    names = ("begin", "end", "strides")
    begins, ends, steps = (constant_ints(graph, op, 1 + i, name) for i, name in enumerate(names))
    rank = len(source.shape)
    require(rank <= 4, f"it slices {rank} dimensions, more than 4")
    require(len(begins) == len(ends) == len(steps) == rank, "it does not slice every dimension")
    ranges = []
    kept = []
    for axis, (extent, begin, end, step) in enumerate(zip(source.shape, begins, ends, steps, strict=True)):
        require(step != 0, "a stride is 0")
        # Python's slices clip as TFLite does.
        whole = slice(
            None if int_option(op, "begin_mask") >> axis & 1 else begin,
            None if int_option(op, "end_mask") >> axis & 1 else end,
            step,
        )
        chosen = range(extent)[whole]
        if int_option(op, "shrink_axis_mask") >> axis & 1:
            start = whole.indices(extent)[0]
            require(step > 0 and start < extent, f"it picks element {begin} of {extent}")
            chosen = range(start, start + 1)
        else:
            kept.append(len(chosen))
        ranges.append(chosen)
    require(tuple(kept) == output.shape, f"its output has the shape {output.shape}, not {tuple(kept)}")
    whole_strides = loop_nest.contiguous(source.shape)
    shape = tuple(len(chosen) for chosen in ranges)
    offset = sum(chosen.start * stride for chosen, stride in zip(ranges, whole_strides, strict=True))
    walk = tuple(chosen.step * stride for chosen, stride in zip(ranges, whole_strides, strict=True))
    target = (0, loop_nest.contiguous(shape))
    return (copy_block(graph, operand(graph, op, 0, "input"), output, shape, (offset, walk), target),)


@lowers("SLICE")
def lower_slice(graph: Graph, op: Op) -> tuple[Step, ...]:
    """A copy from an offset; a size of -1 goes to the end."""
    (source, *_), output = input_tensors(graph, op, 3), output_tensor(graph, op)
    require_movable(op, source, output)
    begins, sizes = (
        constant_ints(graph, op, position, name, (DType.INT32, DType.INT64))
        for position, name in ((1, "begin"), (2, "size"))
    )
    require(len(source.shape) <= 5, f"it slices {len(source.shape)} dimensions, more than 5")
    require(len(begins) == len(sizes) == len(source.shape), "it does not slice every dimension")
    bounds = list(zip(source.shape, begins, sizes, strict=True))
    shape = tuple(extent - begin if size == -1 else size for extent, begin, size in bounds)
    require(shape == output.shape, f"its output has the shape {output.shape}, not {shape}")
    inside = all(0 <= begin <= extent - size for (extent, begin, _), size in zip(bounds, shape, strict=True))
    require(inside, f"it begins at {begins}, and reaches beyond its input")
    walk = loop_nest.contiguous(source.shape)
    offset = sum(begin * stride for begin, stride in zip(begins, walk, strict=True))
    target = (0, loop_nest.contiguous(shape))
    return (copy_block(graph, operand(graph, op, 0, "input"), output, shape, (offset, walk), target),)


@lowers("REVERSE_V2")
def lower_reverse(graph: Graph, op: Op) -> tuple[Step, ...]:
    """A copy that reads the axis backwards."""
    (source, _), output = input_tensors(graph, op, 2), output_tensor(graph, op)
    require_movable(op, source, output)
    require(source.shape == output.shape, f"its output has the shape {output.shape}, not {source.shape}")
    rank = len(source.shape)
    given = constant_ints(graph, op, 1, "axis")
    require(len(given) <= rank, f"it names {len(given)} axes of {rank}")
    axes = {positive_axis(axis, rank) for axis in given}
    whole = loop_nest.contiguous(source.shape)
    walk = tuple(-stride if axis in axes else stride for axis, stride in enumerate(whole))
    offset = sum((source.shape[axis] - 1) * whole[axis] for axis in axes)
    copy = copy_block(graph, operand(graph, op, 0, "input"), output, source.shape, (offset, walk), (0, whole))
    return (copy,)


@lowers("BROADCAST_TO")
def lower_broadcast_to(graph: Graph, op: Op) -> tuple[Step, ...]:
    """A copy that stands still along what is repeated."""
    (source, _), output = input_tensors(graph, op, 2), output_tensor(graph, op)
    require_movable(op, source, output)
    shape = constant_ints(graph, op, 1, "shape", (DType.INT32, DType.INT64))
    require(shape == output.shape, f"its output has the shape {output.shape}, not {shape}")
    try:
        walk = loop_nest.broadcast(source.shape, shape)
    except ValueError:
        require(False, f"the shape {source.shape} does not broadcast to {shape}")
    target = (0, loop_nest.contiguous(shape))
    return (copy_block(graph, operand(graph, op, 0, "input"), output, shape, (0, walk), target),)
