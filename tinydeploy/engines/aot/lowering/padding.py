"""Lowering of PAD, PADV2, MIRROR_PAD, FILL and ZEROS_LIKE: a fill, and copies into it."""

from __future__ import annotations

from itertools import product
from math import prod

from tinydeploy.engines.aot.arithmetic import loop_nest
from tinydeploy.engines.aot.ir import Step, Write, operand
from tinydeploy.engines.aot.kernels.movement_kernels import FILL, Fill
from tinydeploy.engines.aot.lowering.data_movement import copy_block, require_movable
from tinydeploy.engines.aot.lowering.lowerings import lowers
from tinydeploy.engines.aot.lowering.require import (
    UnsupportedError,
    constant_ints,
    constant_pairs,
    input_tensors,
    output_tensor,
    per_tensor,
    require,
    require_same_quantization,
    require_same_shape,
    require_types,
)
from tinydeploy.model.graph import DType, Graph, Op, Tensor

_COPIES = 27  # of MIRROR_PAD, which has three parts along each axis


@lowers("MIRROR_PAD")
def lower_mirror_pad(graph: Graph, op: Op) -> tuple[Step, ...]:
    """One copy of the middle, and one of each side and corner, which reads backwards."""
    (source, _), output = input_tensors(graph, op, 2), output_tensor(graph, op)
    require_movable(op, source, output)
    paddings = constant_pairs(graph, op, 1, "paddings", (DType.INT32, DType.INT64))
    require(len(paddings) == len(source.shape), "it does not pad every dimension")
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
    inner, outer = loop_nest.contiguous(source.shape), loop_nest.contiguous(shape)
    steps = []
    for block in product(*parts):
        offset_in = sum(part[0] * stride for part, stride in zip(block, inner, strict=True))
        offset_out = sum(part[1] * stride for part, stride in zip(block, outer, strict=True))
        walk = tuple(part[3] * stride for part, stride in zip(block, inner, strict=True))
        extents = tuple(part[2] for part in block)
        argument = operand(graph, op, 0, "input")
        steps.append(copy_block(graph, argument, output, extents, (offset_in, walk), (offset_out, outer)))
    return tuple(steps)


@lowers("PAD", "PADV2")
def lower_pad(graph: Graph, op: Op) -> tuple[Step, ...]:
    """The output is filled with the padding's value, then the input is copied into its middle."""
    (source, *_), output = input_tensors(graph, op, 2, 3), output_tensor(graph, op)
    require_movable(op, source, output)
    paddings = constant_pairs(graph, op, 1, "paddings")
    require(len(paddings) == len(source.shape), "it does not pad every dimension")
    require(all(min(both) >= 0 for both in paddings), "a padding is negative")
    shape = tuple(
        before + extent + after for extent, (before, after) in zip(source.shape, paddings, strict=True)
    )
    require(shape == output.shape, f"its output has the shape {output.shape}, not {shape}")
    around = loop_nest.contiguous(shape)
    offset = sum(before * stride for (before, _), stride in zip(paddings, around, strict=True))
    copy = copy_block(
        graph,
        operand(graph, op, 0, "input"),
        output,
        source.shape,
        (0, loop_nest.contiguous(source.shape)),
        (offset, around),
    )
    return (fill(graph, output, _pad_value(graph, op)), copy)


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
    return (fill(graph, output, number),)


@lowers("ZEROS_LIKE")
def lower_zeros_like(graph: Graph, op: Op) -> tuple[Step, ...]:
    """Every element is the integer 0, whatever the zero point; of the input only the shape counts."""
    (source,), output = input_tensors(graph, op, 1), output_tensor(graph, op)
    require_types((source, output), DType.INT8, DType.INT32)
    require_same_shape(source, output)
    return (fill(graph, output, 0),)


def fill(graph: Graph, output: Tensor, value: int | float) -> Step:
    """The step that sets every element to `value`."""
    return FILL.step(graph, Fill(output.elements, value), Write(output.index))


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
