"""Ops that only move elements: each is a strided copy, or no copy at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from math import prod

import numpy as np

from tinydeploy.engines.aot import overlap, strides
from tinydeploy.engines.aot.checks import (
    constant_ints,
    input_tensors,
    int_option,
    output_tensor,
    per_tensor,
    positive_axis,
    require,
    require_same_size,
    require_types,
)
from tinydeploy.engines.aot.program import Alias, Argument, Constant, Step, Write, lowers, operand
from tinydeploy.engines.aot.strides import Strides
from tinydeploy.graph import DType, Graph, Op, Tensor

# What TFLite Micro moves, by op.
_WIDE = (DType.INT8, DType.INT16, DType.INT32, DType.FLOAT32)
_MOVES = {
    "CONCATENATION": (*_WIDE, DType.INT64, DType.BOOL),
    "EXPAND_DIMS": (DType.INT8, DType.INT16, DType.FLOAT32),
    "PACK": (*_WIDE, DType.INT64),
    "PAD": _WIDE,
    "PADV2": _WIDE,
    "RESHAPE": tuple(DType),
    "RESIZE_NEAREST_NEIGHBOR": (DType.INT8, DType.INT16, DType.FLOAT32),
    "SPLIT": _WIDE,
    "SQUEEZE": tuple(DType),
    "STRIDED_SLICE": (*_WIDE, DType.BOOL),
    "TRANSPOSE": (DType.INT8, DType.INT16, DType.FLOAT32),
    "UNPACK": _WIDE,
}
_LOOPS = 5


def _require_movable(op: Op, *tensors: Tensor) -> None:
    require_types(tensors, *_MOVES[op.kind])


@lowers("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def lower_reshape(graph: Graph, op: Op) -> Alias:
    """The same bytes under another shape."""
    (source, *_), output = input_tensors(graph, op, 1, 2), output_tensor(graph, op)
    _require_movable(op, source, output)
    require_same_size(source, output)
    return Alias(source.index, output.index)


# Joining and parting along one axis


@lowers("CONCATENATION")
def lower_concatenation(graph: Graph, op: Op) -> tuple[Step, ...]:
    """One copy per input, of runs that the axis makes."""
    sources, output = input_tensors(graph, op), output_tensor(graph, op)
    _require_movable(op, *sources, output)
    activation = op.options.get("fused_activation_function", "NONE")
    require(activation == "NONE", f"the fused activation {activation} is not supported")
    require(len(sources) <= 10, f"it has {len(sources)} inputs, more than TFLite Micro's 10")
    axis = positive_axis(int_option(op, "axis"), len(output.shape))
    for source in sources:
        rest = [shape[:axis] + shape[axis + 1 :] for shape in (source.shape, output.shape)]
        require(
            rest[0] == rest[1], f"an input of shape {source.shape} does not fit the output's {output.shape}"
        )
        if output.dtype is DType.INT8:
            a, b = per_tensor(source), per_tensor(output)
            same = (a.scale, a.zero_point) == (b.scale, b.zero_point)
            require(same, "an input's scale or zero point differs from the output's")
    extents = [source.shape[axis] for source in sources]
    require(sum(extents) == output.shape[axis], f"its inputs do not add up to the output's {output.shape}")
    return tuple(_joining(graph, op, axis, extents))


@lowers("PACK")
def lower_pack(graph: Graph, op: Op) -> tuple[Step, ...]:
    """One copy per input, as CONCATENATION along the new axis."""
    sources, output = input_tensors(graph, op), output_tensor(graph, op)
    _require_movable(op, *sources, output)
    axis = positive_axis(int_option(op, "axis"), len(output.shape))
    item = output.shape[:axis] + output.shape[axis + 1 :]
    fits = all(source.shape == item for source in sources) and len(sources) == output.shape[axis]
    require(fits, f"its inputs do not stack up to the output's {output.shape}")
    return tuple(_joining(graph, op, axis, [1] * len(sources)))


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
    (value,) = constant_ints(graph, op, 0, "axis")
    axis = positive_axis(value, len(source.shape))
    share = list(source.shape)
    share[axis] = source.shape[axis] // len(op.outputs)
    return _parting(graph, op, 1, axis, tuple(share), share[axis])


@lowers("UNPACK")
def lower_unpack(graph: Graph, op: Op) -> tuple[Step, ...]:
    """One copy per output, of single steps along the axis, which vanishes."""
    (source,) = input_tensors(graph, op, 1)
    axis = positive_axis(int_option(op, "axis"), len(source.shape))
    return _parting(graph, op, 0, axis, source.shape[:axis] + source.shape[axis + 1 :], 1)


def _parting(
    graph: Graph, op: Op, position: int, axis: int, share: tuple[int, ...], extent: int
) -> tuple[Step, ...]:
    """Copies of input `position` into every output, each of shape `share` and `extent` steps along `axis`."""
    source = graph.tensors[op.inputs[position]]
    outputs = [graph.tensors[index] for index in op.outputs]
    _require_movable(op, source, *outputs)
    fits = all(output.shape == share for output in outputs) and extent * len(outputs) == source.shape[axis]
    require(fits, f"its outputs are not equal shares of the input's {source.shape}")
    inner = prod(source.shape[axis + 1 :])
    return tuple(
        _copy_rows(
            {
                "kRows": prod(source.shape[:axis]),
                "kRowElements": extent * inner,
                "kInputOffset": i * extent * inner,
                "kInputStep": source.shape[axis] * inner,
                "kOutputOffset": 0,
                "kOutputStep": extent * inner,
            },
            operand(graph, op, position, "input"),
            output,
        )
        for i, output in enumerate(outputs)
    )


def _copy_rows(params: dict[str, int], source: Argument, output: Tensor) -> Step:
    """The copy that `params` describe."""
    rows = np.arange(params["kRows"], dtype=np.int64)
    first = params["kInputOffset"] + rows * params["kInputStep"]
    end = params["kOutputOffset"] + rows * params["kOutputStep"] + params["kRowElements"]
    size = output.dtype.bytes
    overlaps = overlap.over(source, output, overlap.of_copies(first * size, end * size))
    return Step("copy_rows", "shape.h", params, (source, Write(output.index)), overlaps)


# Blocks


def _copy_block(
    source: Argument,
    output: Tensor,
    shape: tuple[int, ...],
    walk_in: tuple[int, Strides],
    walk_out: tuple[int, Strides],
) -> Step:
    """The copy of a block of `shape`; each walk is an offset and strides."""
    loops, (input_strides, output_strides) = strides.fuse(shape, walk_in[1], walk_out[1])
    require(len(loops) <= _LOOPS, f"it takes {len(loops)} loops, more than {_LOOPS}")
    offsets = {"kInputOffset": walk_in[0], "kOutputOffset": walk_out[0]}
    nest = strides.params(_LOOPS, Dim=loops, InputStride=input_strides, OutputStride=output_strides)
    size = output.dtype.bytes
    if loops and input_strides[-1] == output_strides[-1] == 1:  # memcpy of the innermost loop
        run, outer = loops[-1], slice(-1)
    else:
        run, outer = 1, slice(None)
    first = overlap.walk(loops[outer], input_strides[outer], walk_in[0])
    end = overlap.walk(loops[outer], output_strides[outer], walk_out[0]) + run
    overlaps = overlap.over(source, output, overlap.of_copies(first * size, end * size))
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
    return (_copy_block(operand(graph, op, 0, "input"), output, shape, (0, walk), target),)


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
    return (_copy_block(operand(graph, op, 0, "input"), output, shape, (offset, walk), target),)


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
    fill = {"kElements": output.elements, "kValue": _pad_value(graph, op)}
    around = strides.contiguous(shape)
    offset = sum(before * stride for (before, _), stride in zip(paddings, around, strict=True))
    copy = _copy_block(
        operand(graph, op, 0, "input"),
        output,
        source.shape,
        (0, strides.contiguous(source.shape)),
        (offset, around),
    )
    return (Step("fill", "shape.h", fill, (Write(output.index),)), copy)


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


# Resizing


@lowers("RESIZE_NEAREST_NEIGHBOR")
def lower_resize_nearest_neighbor(graph: Graph, op: Op) -> tuple[Step, ...]:
    """The host computes which row and column each output pixel comes from."""
    (source, _), output = input_tensors(graph, op, 2), output_tensor(graph, op)
    _require_movable(op, source, output)
    size = constant_ints(graph, op, 1, "size")
    require(len(source.shape) == 4, f"it resizes {len(source.shape)} dimensions, not 4")
    batches, height, width, depth = source.shape
    shape = (batches, *size, depth)
    require(shape == output.shape, f"its output has the shape {output.shape}, not {shape}")
    require(max(height, width) < 2**16, "its input is larger than 65,535 pixels")
    nearest = _nearest(bool(int_option(op, "align_corners")), bool(int_option(op, "half_pixel_centers")))
    rows = np.array([nearest(y, height, size[0]) for y in range(size[0])], np.uint16)
    columns = np.array([nearest(x, width, size[1]) for x in range(size[1])], np.uint16)
    params = {
        "kBatches": batches,
        "kInputHeight": height,
        "kInputWidth": width,
        "kOutputHeight": size[0],
        "kOutputWidth": size[1],
        "kDepth": depth,
    }
    args = (
        operand(graph, op, 0, "input"),
        Write(output.index),
        Constant(f"op{op.index}_rows", rows, "input row of each output row"),
        Constant(f"op{op.index}_columns", columns, "input column of each output column"),
    )
    pixel = depth * output.dtype.bytes
    images = np.arange(batches)[:, np.newaxis, np.newaxis] * height * width
    first = (images + rows[:, np.newaxis].astype(np.int64) * width + columns) * pixel
    least = overlap.of_copies(first, overlap.ends(first.size, pixel))
    return (Step("resize_nearest", "resize.h", params, args, overlap.over(args[0], output, least)),)


def _nearest(align_corners: bool, half_pixel_centers: bool) -> Callable[[int, int, int], int]:
    """The function (output position, input size, output size) -> input position, in TFLite's float steps."""

    def nearest(position: int, source: int, target: int) -> int:
        aligned = align_corners and target > 1
        scale = np.float32(source - 1 if aligned else source) / np.float32(target - 1 if aligned else target)
        exact = float((np.float32(position) + np.float32(0.5 if half_pixel_centers else 0.0)) * scale)
        return min(math.floor(exact + 0.5) if align_corners else math.floor(exact), source - 1)

    return nearest
