"""Lowering of ops that join and split along an axis: CONCATENATION, PACK, SPLIT, SPLIT_V, UNPACK."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import prod

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.ir import Constant, Step, Write, operand
from tinydeploy.engines.aot.kernels.movement_kernels import COPY_ROWS, LOOKUP_ROWS, CopyRows
from tinydeploy.engines.aot.lowering.data_movement import require_movable
from tinydeploy.engines.aot.lowering.lowerings import lowers
from tinydeploy.engines.aot.lowering.require import (
    constant_int,
    constant_ints,
    input_tensors,
    int_option,
    output_tensor,
    per_tensor,
    positive_axis,
    require,
)
from tinydeploy.model.graph import DType, Graph, Op, Tensor

# Joining and parting along one axis


@lowers("CONCATENATION")
def lower_concatenation(graph: Graph, op: Op) -> tuple[Step, ...]:
    """One copy per input, of runs that the axis makes."""
    sources, output = input_tensors(graph, op), output_tensor(graph, op)
    require_movable(op, *sources, output)
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
    require_movable(op, *sources, output)
    _require_count(op, "values_count", len(sources))
    return tuple(_joining(graph, op, *_extents(op, sources, output)))


def joined(graph: Graph, op: Op, entries: npt.NDArray[np.generic]) -> tuple[Step, ...]:
    """CONCATENATION or PACK of functions of 8-bit tensors: `entries` has a table for each input."""
    axis, extents = _extents(op, input_tensors(graph, op), output_tensor(graph, op))
    steps = []
    for position, copy in enumerate(_joining(graph, op, axis, extents)):
        table = Constant(f"op{op.index}_table{position}", entries[position], f"of each input {position}")
        steps.append(LOOKUP_ROWS.step(graph, copy.of(CopyRows), *copy.args, table))
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
        params = CopyRows(
            rows=prod(output.shape[:axis]),
            row_elements=extent * inner,
            input_step=extent * inner,
            output_offset=offset,
            output_step=output.shape[axis] * inner,
        )
        source = operand(graph, op, position, f"input{position}")
        yield COPY_ROWS.step(graph, params, source, Write(output.index))
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
    require_movable(op, source, *outputs)
    before, after = source.shape[:axis], source.shape[axis + 1 :]
    shares = [(*before, *((extent,) if keeps_axis else ()), *after) for extent in extents]
    fits = [output.shape for output in outputs] == shares and sum(extents) == source.shape[axis]
    require(fits, f"its outputs are not the shares of the input's {source.shape}")
    inner = prod(after)
    starts = accumulate(extents, initial=0)
    return tuple(
        COPY_ROWS.step(
            graph,
            CopyRows(
                rows=prod(before),
                row_elements=extent * inner,
                input_offset=start * inner,
                input_step=source.shape[axis] * inner,
                output_step=extent * inner,
            ),
            operand(graph, op, position, "input"),
            Write(output.index),
        )
        for output, extent, start in zip(outputs, extents, starts, strict=False)
    )
