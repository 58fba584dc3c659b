"""Ops that only move elements: each is a strided copy, or no copy at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, product
from math import prod

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot import overlap, strides
from tinydeploy.engines.aot.checks import (
    constant_int,
    constant_ints,
    input_tensors,
    int_option,
    output_tensor,
    per_tensor,
    positive_axis,
    require,
    require_same_quantization,
    require_same_shape,
    require_same_size,
    require_types,
)
from tinydeploy.engines.aot.program import (
    Alias,
    Argument,
    Constant,
    Step,
    UnsupportedError,
    Write,
    lowers,
    operand,
)
from tinydeploy.engines.aot.strides import Strides
from tinydeploy.graph import DType, Graph, Op, Tensor

# What TFLite Micro moves, by op.
_WIDE = (DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)
_MOVES = {
    "BROADCAST_TO": tuple(DType),
    "CONCATENATION": (*_WIDE, DType.INT64, DType.BOOL),
    "EXPAND_DIMS": (DType.INT8, DType.INT16, DType.FLOAT32),
    "MIRROR_PAD": (DType.INT8,),
    "PACK": (*_WIDE, DType.INT64),
    "PAD": _WIDE,
    "PADV2": _WIDE,
    "RESHAPE": tuple(DType),
    "REVERSE_V2": tuple(DType),
    "SLICE": (*_WIDE, DType.BOOL),
    "SPLIT": _WIDE,
    "SPLIT_V": _WIDE,
    "SQUEEZE": tuple(DType),
    "STRIDED_SLICE": (*_WIDE, DType.BOOL),
    "TRANSPOSE": (DType.INT8, DType.INT16, DType.FLOAT32),
    "UNPACK": _WIDE,
}
JOINS = ("CONCATENATION", "PACK")
_LOOPS = 5
_COPIES = 27  # of MIRROR_PAD, which has three parts along each axis


def _require_movable(op: Op, *tensors: Tensor) -> None:
    require_types(tensors, *_MOVES[op.kind])


@lowers("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def lower_reshape(graph: Graph, op: Op) -> Alias:
    """The same bytes under another shape."""
    (source, *_), output = input_tensors(graph, op, 1, 2), output_tensor(graph, op)
    _require_movable(op, source, output)
    require_same_size(source, output)
    if op.kind == "EXPAND_DIMS":
        require(len(op.inputs) == 2, "it has no axis")
        types = (DType.INT32, DType.INT64)
        axis = positive_axis(constant_int(graph, op, 1, "axis", types), len(output.shape))
        shape = (*source.shape[:axis], 1, *source.shape[axis:])
        require(shape == output.shape, f"its output has the shape {output.shape}, not {shape}")
    return Alias(source.index, output.index)


# Joining and parting along one axis


@lowers("CONCATENATION")
def lower_concatenation(graph: Graph, op: Op) -> tuple[Step, ...]:
    """One copy per input, of runs that the axis makes."""
    sources, output = input_tensors(graph, op), output_tensor(graph, op)
    _require_movable(op, *sources, output)
    axis, extents = _extents(op, sources, output)
    for source in sources:
        if output.dtype is DType.INT8:
            a, b = per_tensor(source), per_tensor(output)
            same = (a.scale, a.zero_point) == (b.scale, b.zero_point)
            require(same, "an input's scale or zero point differs from the output's")
    return tuple(_joining(graph, op, axis, extents))


def _extents(op: Op, sources: Sequence[Tensor], output: Tensor) -> tuple[int, list[int]]:
    """The axis along which a CONCATENATION or a PACK puts its inputs, and how many steps each takes."""
    axis = positive_axis(int_option(op, "axis"), len(output.shape))
    if op.kind == "PACK":
        item = output.shape[:axis] + output.shape[axis + 1 :]
        fits = all(source.shape == item for source in sources) and len(sources) == output.shape[axis]
        require(fits, f"its inputs do not stack up to the output's {output.shape}")
        return axis, [1] * len(sources)
    activation = op.options.get("fused_activation_function", "NONE")
    require(activation == "NONE", f"the fused activation {activation} is not supported")
    require(len(sources) <= 10, f"it has {len(sources)} inputs, more than TFLite Micro's 10")
    for source in sources:
        rest = [shape[:axis] + shape[axis + 1 :] for shape in (source.shape, output.shape)]
        require(
            rest[0] == rest[1] and len(source.shape) == len(output.shape),
            f"an input of shape {source.shape} does not fit the output's {output.shape}",
        )
    extents = [source.shape[axis] for source in sources]
    require(sum(extents) == output.shape[axis], f"its inputs do not add up to the output's {output.shape}")
    return axis, extents


@lowers("PACK")
def lower_pack(graph: Graph, op: Op) -> tuple[Step, ...]:
    """One copy per input, as CONCATENATION along the new axis."""
    sources, output = input_tensors(graph, op), output_tensor(graph, op)
    _require_movable(op, *sources, output)
    _require_count(op, "values_count", len(sources))
    return tuple(_joining(graph, op, *_extents(op, sources, output)))


def joined(graph: Graph, op: Op, entries: npt.NDArray[np.generic]) -> tuple[Step, ...]:
    """CONCATENATION or PACK of functions of 8-bit tensors: `entries` has a table for each input."""
    axis, extents = _extents(op, input_tensors(graph, op), output_tensor(graph, op))
    steps = []
    for position, copy in enumerate(_joining(graph, op, axis, extents)):
        table = Constant(f"op{op.index}_table{position}", entries[position], f"of each input {position}")
        args = (*copy.args, table)
        steps.append(Step("lookup_rows", "lookup.h", copy.params, args))
    return tuple(steps)


def _require_count(op: Op, option: str, tensors: int) -> None:
    """TFLite Micro goes by the number of tensors that an option gives."""
    given = int_option(op, option)
    require(given == tensors, f"its {option} is {given}, and it has {tensors} tensors")


def _joining(graph: Graph, op: Op, axis: int, extents: list[int]) -> Iterator[Step]:
    """Copies of every input into the output, where they lie one after the other along `axis`."""
    output = output_tensor(graph, op)
    inner = prod(output.shape[axis + 1 :])
    offset = 0
    for position, extent in enumerate(extents):
        params = {
            "kRows": prod(output.shape[:axis]),
            "kRowElements": extent * inner,
            "kInputOffset": 0,
            "kInputStep": extent * inner,
            "kOutputOffset": offset,
            "kOutputStep": output.shape[axis] * inner,
        }
        source = operand(graph, op, position, f"input{position}")
        yield _copy_rows(params, source, output)
        offset += extent * inner


@lowers("SPLIT")
def lower_split(graph: Graph, op: Op) -> tuple[Step, ...]:
    """One copy per output, of equal shares of the axis."""
    _, source = input_tensors(graph, op, 2)
    _require_count(op, "num_splits", len(op.outputs))
    axis = positive_axis(constant_int(graph, op, 0, "axis"), len(source.shape))
    extents = [source.shape[axis] // len(op.outputs)] * len(op.outputs)
    return _parting(graph, op, 1, axis, extents)


@lowers("SPLIT_V")
def lower_split_v(graph: Graph, op: Op) -> tuple[Step, ...]:
    """One copy per output, of the shares of the axis that input 1 names; one of them may be -1, the rest."""
    source, _, _ = input_tensors(graph, op, 3)
    _require_count(op, "num_splits", len(op.outputs))
    sizes = constant_ints(graph, op, 1, "sizes", (DType.INT32, DType.INT64))
    axis = positive_axis(constant_int(graph, op, 2, "axis"), len(source.shape))
    rest = source.shape[axis] - sum(size for size in sizes if size >= 0)
    return _parting(graph, op, 0, axis, [rest if size == -1 else size for size in sizes])


@lowers("UNPACK")
def lower_unpack(graph: Graph, op: Op) -> tuple[Step, ...]:
    """One copy per output, of single steps along the axis, which vanishes."""
    (source,) = input_tensors(graph, op, 1)
    _require_count(op, "num", len(op.outputs))
    axis = positive_axis(int_option(op, "axis"), len(source.shape))
    return _parting(graph, op, 0, axis, [1] * source.shape[axis], keeps_axis=False)


def _parting(
    graph: Graph, op: Op, position: int, axis: int, extents: Sequence[int], keeps_axis: bool = True
) -> tuple[Step, ...]:
    """Copies of input `position` into the outputs, of so many steps along `axis`, one after another."""
    source = graph.tensors[op.inputs[position]]
    outputs = [graph.tensors[index] for index in op.outputs]
    _require_movable(op, source, *outputs)
    before, after = source.shape[:axis], source.shape[axis + 1 :]
    shares = [(*before, *((extent,) if keeps_axis else ()), *after) for extent in extents]
    fits = [output.shape for output in outputs] == shares and sum(extents) == source.shape[axis]
    require(fits, f"its outputs are not the shares of the input's {source.shape}")
    inner = prod(after)
    starts = accumulate(extents, initial=0)
    return tuple(
        _copy_rows(
            {
                "kRows": prod(before),
                "kRowElements": extent * inner,
                "kInputOffset": start * inner,
                "kInputStep": source.shape[axis] * inner,
                "kOutputOffset": 0,
                "kOutputStep": extent * inner,
            },
            operand(graph, op, position, "input"),
            output,
        )
        for output, extent, start in zip(outputs, extents, starts, strict=False)
    )


def _copy_rows(params: dict[str, int], source: Argument, output: Tensor) -> Step:
    """The copy that `params` describe."""
    size = output.dtype.bytes
    first = params["kInputOffset"] * size, (params["kInputStep"] * size,)
    end = (params["kOutputOffset"] + params["kRowElements"]) * size, (params["kOutputStep"] * size,)
    least = overlap.of_nest((params["kRows"],), first, end, copies=True)
    overlaps = overlap.over(source, output, least)
    return Step("copy_rows", "shape.h", params, (source, Write(output.index)), overlaps)


# Blocks


def copy_block(
    source: Argument,
    output: Tensor,
    shape: tuple[int, ...],
    walk_in: tuple[int, Strides],
    walk_out: tuple[int, Strides],
) -> Step:
    """The copy of a block of `shape`; each walk is an offset and strides, in elements."""
    loops, (input_strides, output_strides) = strides.fuse(shape, walk_in[1], walk_out[1])
    require(len(loops) <= _LOOPS, f"it takes {len(loops)} loops, more than {_LOOPS}")
    offsets = {"kInputOffset": walk_in[0], "kOutputOffset": walk_out[0]}
    nest = strides.params(_LOOPS, Dim=loops, InputStride=input_strides, OutputStride=output_strides)
    size = output.dtype.bytes
    if loops and input_strides[-1] == output_strides[-1] == 1:  # memcpy of the innermost loop
        run, outer = loops[-1], slice(-1)
    else:
        run, outer = 1, slice(None)
    first = walk_in[0] * size, tuple(stride * size for stride in input_strides[outer])
    end = (walk_out[0] + run) * size, tuple(stride * size for stride in output_strides[outer])
    overlaps = overlap.over(source, output, overlap.of_nest(loops[outer], first, end, copies=True))
    return Step("copy_block", "shape.h", offsets | nest, (source, Write(output.index)), overlaps)


@lowers("TRANSPOSE")
def lower_transpose(graph: Graph, op: Op) -> tuple[Step, ...] | Alias:
    """A copy that reads in the order of the permutation; none if only dimensions of 1 move."""
    (source, _), output = input_tensors(graph, op, 2), output_tensor(graph, op)
    _require_movable(op, source, output)
    permutation = constant_ints(graph, op, 1, "permutation")
    require(
        sorted(permutation) == list(range(len(source.shape))),
        f"{permutation} is not a permutation of its axes",
    )
    shape = tuple(source.shape[axis] for axis in permutation)
    require(shape == output.shape, f"its output has the shape {output.shape}, not {shape}")
    walk = tuple(strides.contiguous(source.shape)[axis] for axis in permutation)
    if strides.fuse(shape, walk) == strides.fuse(shape, strides.contiguous(shape)):
        return Alias(source.index, output.index)
    target = (0, strides.contiguous(shape))
    return (copy_block(operand(graph, op, 0, "input"), output, shape, (0, walk), target),)


@lowers("STRIDED_SLICE")
def lower_strided_slice(graph: Graph, op: Op) -> tuple[Step, ...]:
    """A copy from an offset with the slice's strides, which may be negative."""
    (source, *_), output = input_tensors(graph, op, 4), output_tensor(graph, op)
    _require_movable(op, source, output)
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
    whole_strides = strides.contiguous(source.shape)
    shape = tuple(len(chosen) for chosen in ranges)
    offset = sum(chosen.start * stride for chosen, stride in zip(ranges, whole_strides, strict=True))
    walk = tuple(chosen.step * stride for chosen, stride in zip(ranges, whole_strides, strict=True))
    target = (0, strides.contiguous(shape))
    return (copy_block(operand(graph, op, 0, "input"), output, shape, (offset, walk), target),)


@lowers("SLICE")
def lower_slice(graph: Graph, op: Op) -> tuple[Step, ...]:
    """A copy from an offset; a size of -1 goes to the end."""
    (source, *_), output = input_tensors(graph, op, 3), output_tensor(graph, op)
    _require_movable(op, source, output)
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
    walk = strides.contiguous(source.shape)
    offset = sum(begin * stride for begin, stride in zip(begins, walk, strict=True))
    target = (0, strides.contiguous(shape))
    return (copy_block(operand(graph, op, 0, "input"), output, shape, (offset, walk), target),)


@lowers("REVERSE_V2")
def lower_reverse(graph: Graph, op: Op) -> tuple[Step, ...]:
    """A copy that reads the axis backwards."""
    (source, _), output = input_tensors(graph, op, 2), output_tensor(graph, op)
    _require_movable(op, source, output)
    require(source.shape == output.shape, f"its output has the shape {output.shape}, not {source.shape}")
    rank = len(source.shape)
    given = constant_ints(graph, op, 1, "axis")
    require(len(given) <= rank, f"it names {len(given)} axes of {rank}")
    axes = {positive_axis(axis, rank) for axis in given}
    whole = strides.contiguous(source.shape)
    walk = tuple(-stride if axis in axes else stride for axis, stride in enumerate(whole))
    offset = sum((source.shape[axis] - 1) * whole[axis] for axis in axes)
    copy = copy_block(operand(graph, op, 0, "input"), output, source.shape, (offset, walk), (0, whole))
    return (copy,)


@lowers("BROADCAST_TO")
def lower_broadcast_to(graph: Graph, op: Op) -> tuple[Step, ...]:
    """A copy that stands still along what is repeated."""
    (source, _), output = input_tensors(graph, op, 2), output_tensor(graph, op)
    _require_movable(op, source, output)
    shape = constant_ints(graph, op, 1, "shape", (DType.INT32, DType.INT64))
    require(shape == output.shape, f"its output has the shape {output.shape}, not {shape}")
    try:
        walk = strides.broadcast(source.shape, shape)
    except ValueError:
        require(False, f"the shape {source.shape} does not broadcast to {shape}")
    target = (0, strides.contiguous(shape))
    return (copy_block(operand(graph, op, 0, "input"), output, shape, (0, walk), target),)


@lowers("MIRROR_PAD")
def lower_mirror_pad(graph: Graph, op: Op) -> tuple[Step, ...]:
    """One copy of the middle, and one of each side and corner, which reads backwards."""
    (source, _), output = input_tensors(graph, op, 2), output_tensor(graph, op)
    _require_movable(op, source, output)
    flat = constant_ints(graph, op, 1, "paddings", (DType.INT32, DType.INT64))
    require(len(flat) == 2 * len(source.shape), "it does not pad every dimension")
    paddings = list(zip(flat[::2], flat[1::2], strict=True))
    edge = 1 if op.options.get("mode") == "REFLECT" else 0  # the outermost element is not repeated
    shape = tuple(
        before + extent + after for extent, (before, after) in zip(source.shape, paddings, strict=True)
    )
    require(shape == output.shape, f"its output has the shape {output.shape}, not {shape}")
    parts = []  # along each axis: first of the input, first of the output, extent, direction
    for extent, (before, after) in zip(source.shape, paddings, strict=True):
        require(
            min(before, after) >= 0 and max(before, after) <= extent - edge,
            f"it pads {extent} elements by {before} and {after}",
        )
        along = [
            (before - 1 + edge, 0, before, -1),
            (0, before, extent, 1),
            (extent - 1 - edge, before + extent, after, -1),
        ]
        parts.append([part for part in along if part[2] > 0])
    copies = prod(map(len, parts))
    require(copies <= _COPIES, f"it takes {copies} copies, more than {_COPIES}")
    inner, outer = strides.contiguous(source.shape), strides.contiguous(shape)
    steps = []
    for block in product(*parts):
        offset_in = sum(part[0] * stride for part, stride in zip(block, inner, strict=True))
        offset_out = sum(part[1] * stride for part, stride in zip(block, outer, strict=True))
        walk = tuple(part[3] * stride for part, stride in zip(block, inner, strict=True))
        extents = tuple(part[2] for part in block)
        argument = operand(graph, op, 0, "input")
        steps.append(copy_block(argument, output, extents, (offset_in, walk), (offset_out, outer)))
    return tuple(steps)


@lowers("PAD", "PADV2")
def lower_pad(graph: Graph, op: Op) -> tuple[Step, ...]:
    """The output is filled with the padding's value, then the input is copied into its middle."""
    (source, *_), output = input_tensors(graph, op, 2, 3), output_tensor(graph, op)
    _require_movable(op, source, output)
    flat = constant_ints(graph, op, 1, "paddings")
    require(len(flat) == 2 * len(source.shape), "it does not pad every dimension")
    require(all(value >= 0 for value in flat), "a padding is negative")
    paddings = list(zip(flat[::2], flat[1::2], strict=True))
    shape = tuple(
        before + extent + after for extent, (before, after) in zip(source.shape, paddings, strict=True)
    )
    require(shape == output.shape, f"its output has the shape {output.shape}, not {shape}")
    around = strides.contiguous(shape)
    offset = sum(before * stride for (before, _), stride in zip(paddings, around, strict=True))
    copy = copy_block(
        operand(graph, op, 0, "input"),
        output,
        source.shape,
        (0, strides.contiguous(source.shape)),
        (offset, around),
    )
    return (fill(output, _pad_value(graph, op)), copy)


@lowers("FILL")
def lower_fill(graph: Graph, op: Op) -> tuple[Step, ...]:
    """Every element is the one value, as that of a state to begin with."""
    (_, value), output = input_tensors(graph, op, 2), output_tensor(graph, op)
    require_types((value, output), DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)
    shape = constant_ints(graph, op, 0, "shape", (DType.INT32, DType.INT64))
    require(shape == output.shape, f"its output has the shape {output.shape}, not {shape}")
    if value.data is None:
        raise UnsupportedError("its value is computed at run time")
    require(value.elements == 1, "its value is no scalar")
    if output.dtype in (DType.INT8, DType.INT16):
        require_same_quantization(value, output)
    number: int | float = value.data.reshape(-1)[0].item()
    return (fill(output, number),)


@lowers("ZEROS_LIKE")
def lower_zeros_like(graph: Graph, op: Op) -> tuple[Step, ...]:
    """Every element is the integer 0, whatever the zero point; of the input only the shape counts."""
    (source,), output = input_tensors(graph, op, 1), output_tensor(graph, op)
    require_types((source, output), DType.INT8, DType.INT32)
    require_same_shape(source, output)
    return (fill(output, 0),)


def fill(output: Tensor, value: int | float) -> Step:
    """The step that sets every element to `value`."""
    params = {"kElements": output.elements, "kValue": value}
    return Step("fill", "shape.h", params, (Write(output.index),))


def _pad_value(graph: Graph, op: Op) -> int | float:
    output = output_tensor(graph, op)
    if len(op.inputs) < 3:
        return per_tensor(output).zero_point if output.dtype is DType.INT8 else 0
    value = graph.tensors[op.inputs[2]]
    if value.data is None:
        require(False, "its padding value is computed at run time")
    assert value.data is not None
    require(
        value.dtype is output.dtype and value.elements == 1,
        "its padding value does not fit the output's type",
    )
    if output.dtype is DType.INT8:
        a, b = per_tensor(value), per_tensor(output)
        same = (a.scale, a.zero_point) == (b.scale, b.zero_point)
        require(same, "its padding value's scale or zero point differs from the output's")
    number: int | float = value.data.reshape(-1)[0].item()
    return number
