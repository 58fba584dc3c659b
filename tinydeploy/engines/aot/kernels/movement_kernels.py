"""Kernels that only move elements, or set them. Offsets and steps are in elements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinydeploy.engines.aot.ir import Call, Constant, Kernel, Params
from tinydeploy.engines.aot.memory import input_overlap

LOOPS = 5
MOST_COORDINATES = 5  # of GATHER_ND


@dataclass(frozen=True)
class Fill(Params):
    """All elements set to a value."""

    elements: int
    value: int | float


@dataclass(frozen=True)
class KeepRows(Params):
    """The elements from `from_` on, moved to the front of their buffer."""

    elements: int
    from_: int


@dataclass(frozen=True)
class CopyRows(Params):
    """Runs of `row_elements`, each `input_step` after the one before in the input."""

    rows: int
    row_elements: int
    input_offset: int = 0
    input_step: int = 0
    output_offset: int = 0
    output_step: int = 0


@dataclass(frozen=True)
class CopyBlock(Params):
    """A strided copy in LOOPS loops, outermost first."""

    input_offset: int
    output_offset: int
    dim: tuple[int, ...]
    input_stride: tuple[int, ...]
    output_stride: tuple[int, ...]


@dataclass(frozen=True)
class Gather(Params):
    """Slices of `inner` elements, picked along an axis of `extent`."""

    batches: int
    outer: int
    extent: int
    positions: int
    inner: int


@dataclass(frozen=True)
class GatherNd(Params):
    """Slices of `inner` elements of a table, each by `depth` coordinates: `stride` has those of its axes."""

    elements: int
    positions: int
    depth: int
    inner: int
    stride: tuple[int, ...]


@dataclass(frozen=True)
class Resize(Params):
    """Images of `depth` channels in another size."""

    batches: int
    input_height: int
    input_width: int
    output_height: int
    output_width: int
    depth: int


def _copy_rows(call: Call[CopyRows]) -> Mapping[str, int]:
    p, size = call.params, call.sizes[1]
    first = p.input_offset * size, (p.input_step * size,)
    end = (p.output_offset + p.row_elements) * size, (p.output_step * size,)
    return {"input": input_overlap.of_nest((p.rows,), first, end, copies=True)}


def _copy_block(call: Call[CopyBlock]) -> Mapping[str, int]:
    p, size = call.params, call.sizes[1]
    if p.input_stride[-1] == p.output_stride[-1] == 1:  # memcpy of the innermost loop
        run, outer = p.dim[-1], slice(-1)
    else:
        run, outer = 1, slice(None)
    first = p.input_offset * size, tuple(stride * size for stride in p.input_stride[outer])
    end = (p.output_offset + run) * size, tuple(stride * size for stride in p.output_stride[outer])
    return {"input": input_overlap.of_nest(p.dim[outer], first, end, copies=True)}


def _gather(call: Call[Gather]) -> Mapping[str, int]:
    """Known if the positions are."""
    p, positions = call.params, call.args[1]
    if not isinstance(positions, Constant):
        return {}
    given = positions.values.astype(np.int64)
    ends = input_overlap.rows(p.outer * given.size, p.inner)
    if ends is None:
        return {}
    slices = np.arange(p.batches * p.outer).reshape(p.batches, -1, 1)
    first = (slices * p.extent + given.reshape(p.batches, 1, -1)) * p.inner
    return {"input": input_overlap.of_copies(first, ends + p.inner)}


def _first_pixels(call: Call[Resize], columns: int) -> input_overlap.Steps | None:
    """The first input pixel of each output pixel, of tables with so many columns: it is the first."""
    p = call.params
    rows, places = (
        table.values.astype(np.int64).reshape(-1, columns)[:, 0]
        for table in call.args[2:]
        if isinstance(table, Constant)
    )
    return input_overlap.pixels(p.batches, rows, places, p.input_height, p.input_width)


def _resize_nearest(call: Call[Resize]) -> Mapping[str, int]:
    pixels, pixel = _first_pixels(call, 1), call.params.depth * call.sizes[1]
    if pixels is None:
        return {"input": input_overlap.APART}
    return {"input": input_overlap.of_copies(pixels * pixel, np.arange(1, pixels.size + 1) * pixel)}


def _resize_bilinear(call: Call[Resize]) -> Mapping[str, int]:
    pixels, depth = _first_pixels(call, 3), call.params.depth
    return {"input": input_overlap.channel_by_channel(None if pixels is None else pixels * depth, depth)}


_COPY = ("input", "output")
FILL = Kernel("fill", "shape.h", Fill, ("output",))
KEEP_ROWS = Kernel("keep_rows", "shape.h", KeepRows, ("rows",))
COPY_ROWS = Kernel("copy_rows", "shape.h", CopyRows, _COPY, _copy_rows)
COPY_BLOCK = Kernel("copy_block", "shape.h", CopyBlock, _COPY, _copy_block)
LOOKUP_ROWS = Kernel("lookup_rows", "lookup.h", CopyRows, (*_COPY, "table"))
GATHER = Kernel("gather", "gather.h", Gather, ("input", "positions", "output"), _gather)
GATHER_ND = Kernel("gather_nd", "gather.h", GatherNd, ("input", "positions", "output"))
_TABLES = (*_COPY, "rows", "columns")
RESIZE_NEAREST = Kernel("resize_nearest", "resize.h", Resize, _TABLES, _resize_nearest)
RESIZE_BILINEAR = Kernel("resize_bilinear", "resize.h", Resize, _TABLES, _resize_bilinear)
