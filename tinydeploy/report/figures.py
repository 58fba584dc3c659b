"""The report's pictures: inline SVG drawn with matplotlib, coloured by the page's CSS variables.

Importing this module imports matplotlib, which takes most of a second: import it where a picture is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from matplotlib.ticker import MaxNLocator

from tinydeploy.report import text
from tinydeploy.report.families import buffer_family, family
from tinydeploy.report.svg import COLOURS, STYLE, bare_axes, inline, text_width
from tinydeploy.results.measured import Accuracy, ArenaBuffer, ArenaInfo
from tinydeploy.results.result import Result
from tinydeploy.results.setting import OpInfo


def _bars(
    axes: Axes, ops: Sequence[OpInfo], values: Mapping[int, float], labels: Mapping[int, str], size: float
) -> None:
    """One horizontal bar per op that has a value, its figure at the bar's end."""
    longest = max(values.values(), default=0) or 1
    axes.set_xlim(0, longest * 1.32)
    for op in ops:
        if op.index not in values:
            continue
        value = values[op.index]
        colour = COLOURS[family(op.op)]
        bar = Rectangle((0, op.index - 0.3), value, 0.6, facecolor=colour, linewidth=0)
        bar.set_gid(f"bar{op.index}")
        axes.add_patch(bar)
        axes.text(
            value + longest * 0.02,
            op.index,
            labels[op.index],
            va="center_baseline",
            fontsize=size,
            color=COLOURS["muted"],
        )


def _end(arena: ArenaInfo) -> int:
    return max([1, arena.bytes, *(buffer.offset + buffer.bytes for buffer in arena.buffers)])


def _unit(end: int) -> int:
    return 1024 if end >= 4096 else 1


def _arena(axes: Axes, result: Result, width: float, row: float, size: float) -> dict[str, str]:
    """The planned buffers as rectangles, offset to the right and ops downwards; gives their hover texts.

    Where an op's output runs into an input that dies with the op, a diagonal parts the two.
    """
    arena, ops = result.arena, result.model.ops
    end = _end(arena)
    unit = _unit(end)
    axes.set_xlim(0, end / unit)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 4, 5, 8, 10]))
    axes.grid(axis="x", color=COLOURS["rule"], linewidth=0.7)
    axes.set_axisbelow(True)
    titles = {}
    for number, buffer in enumerate(arena.buffers):
        kind = buffer_family(buffer, ops)
        _buffer(axes, result, number, unit, pad=1.2 / row)
        name, kib = text.printable(buffer.label), text.kib(buffer.bytes)
        titles[f"buffer{number}"] = (
            f"{name}: {buffer.bytes:,} B at offset {buffer.offset:,}, "
            f"live from op {max(buffer.first_op, 0)} to {min(buffer.last_op, len(ops) - 1)}"
        )
        room = buffer.bytes / end * width - 8
        # A converter's long path of fused ops says nothing in a box; it is in the hover text.
        wanted = (f"{name}  {kib}", kib) if len(name) <= 24 else (kib,)
        fitting = [shown for shown in wanted if text_width(shown, size) < room]
        if fitting:
            axes.text(
                (buffer.offset + buffer.bytes / 2) / unit,
                (buffer.first_op + buffer.last_op) / 2,
                fitting[0],
                ha="center",
                va="center_baseline",
                fontsize=size,
                color=COLOURS["on-accent" if kind in ("conv", "dense") else "ink"],
            )
    if arena.lower_bound and arena.lower_bound < arena.bytes:
        axes.axvline(arena.lower_bound / unit, color=COLOURS["bad"], linewidth=1, linestyle=(0, (3, 3)))
    return titles


def _buffer(axes: Axes, result: Result, number: int, unit: int, pad: float) -> None:
    """A buffer's rectangle, and diagonals to those that it takes bytes from."""
    arena, ops = result.arena, result.model.ops
    buffer = arena.buffers[number]
    patch = Rectangle(
        (buffer.offset / unit, buffer.first_op - 0.5 + pad),
        buffer.bytes / unit,
        buffer.last_op - buffer.first_op + 1 - 2 * pad,
        facecolor=COLOURS[buffer_family(buffer, ops)],
        edgecolor=COLOURS["card"],
        linewidth=0.8,
    )
    patch.set_gid(f"buffer{number}")
    axes.add_patch(patch)
    for other, start, stop in _taken_over(buffer, arena.buffers):
        # Downwards in this op, the older buffer gives way from its lowest byte on.
        above, below = buffer.first_op - 0.5 + pad, buffer.first_op + 0.5 - pad
        corners = [(start / unit, above), (stop / unit, above), (stop / unit, below)]
        color, edge = COLOURS[buffer_family(other, ops)], COLOURS["card"]
        axes.add_patch(Polygon(corners, facecolor=color, edgecolor=edge, linewidth=0.8))


def _taken_over(
    buffer: ArenaBuffer, buffers: Iterable[ArenaBuffer]
) -> Iterator[tuple[ArenaBuffer, int, int]]:
    """What `buffer` takes from others in its first op, which is their last: (other, bytes from, to)."""
    for other in buffers:
        start = max(other.offset, buffer.offset)
        stop = min(other.offset + other.bytes, buffer.offset + buffer.bytes)
        if other.first_op < other.last_op == buffer.first_op and start < stop:
            yield other, start, stop


def schedule(result: Result) -> str:
    """The op schedule from top to bottom: the arena's buffers beside each op's cost.

    Without a plan (a searched arena has none) the arena's column is left out.
    """
    ops, buffers = result.model.ops, result.arena.buffers
    first = min([0, *(buffer.first_op for buffer in buffers)])
    last = max([len(ops) - 1, *(buffer.last_op for buffer in buffers)])
    rows = max(1, last - first + 1)
    row, size = (11.0, 8.0) if rows > 120 else (min(30.0, max(15.5, 230 / rows)), 9.5)
    names, shapes = _labels(ops, first, last)
    labels = 30 + _widest(names.values(), size) + 14 + _widest(shapes.values(), size) + 18

    width, top, bottom = 1080.0, 30.0, 22.0 if buffers else 6.0
    height = rows * row
    gap = 34.0
    room = width - labels - 4 - (2 if buffers else 1) * gap
    parts = (0.5, 0.3, 0.2) if buffers else (0.0, 0.62, 0.38)
    per_mac = {c.index: c.count / c.macs for c in result.per_op if c.macs}
    costs = {c.index: float(c.count) for c in result.per_op}
    ylim = (last + 0.5, first - 0.5)

    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(width / 72, (top + height + bottom) / 72))
        base = bare_axes(figure, (0, top, width, height), ylim)
        base.set_xlim(0, width)
        _names(base, names, shapes, labels - 18, size)
        base.axhline(last + 0.5, color=COLOURS["rule"], linewidth=0.6)

        def column(left: float, heading: str) -> None:
            base.text(left, first - 0.5 - 12 / row, heading, fontsize=10, color=COLOURS["ink"])

        column(0, "Op, output shape")
        titles: dict[str, str] = {}
        left = labels
        if buffers:
            column(left, "Arena, offset in " + ("KiB" if _unit(_end(result.arena)) > 1 else "bytes"))
            arena = bare_axes(figure, (left, top, room * parts[0], height), ylim)
            arena.xaxis.set_visible(True)
            titles |= _arena(arena, result, room * parts[0], row, min(size, 9.0))
            left += room * parts[0] + gap
        column(left, result.unit.capitalize())
        bars = bare_axes(figure, (left, top, room * parts[1], height), ylim)
        _bars(bars, ops, costs, {i: text.millions(value) for i, value in costs.items()}, size)
        left += room * parts[1] + gap
        column(left, f"{result.unit.capitalize()} per MAC")
        ratios = bare_axes(figure, (left, top, room * parts[2], height), ylim)
        _bars(ratios, ops, per_mac, {i: f"{value:,.2f}" for i, value in per_mac.items()}, size)
        what = f"the arena's buffers and the {result.unit}" if buffers else f"the {result.unit}"
        return inline(figure, "schedule", f"For each of {len(ops)} ops: {what}", titles)


def _labels(ops: Sequence[OpInfo], first: int, last: int) -> tuple[dict[int, str], dict[int, str]]:
    """By row, from `first` to `last`, the name of the op, and its output's shape."""
    names = {op.index: text.shorten(text.printable(op.op), 30) for op in ops}
    names |= {-1: "model input"} if first < 0 else {}
    names |= {len(ops): "model output"} if last >= len(ops) else {}
    return names, {op.index: text.shape(op.output_shape) for op in ops}


def _widest(labels: Iterable[str], size: float) -> float:
    return max((text_width(label, size) for label in labels), default=0)


def _names(
    base: Axes, names: Mapping[int, str], shapes: Mapping[int, str], right: float, size: float
) -> None:
    """The first column: number and name of each op, and the shape of what it makes, which ends at `right`."""
    faint: dict[str, Any] = {"va": "center_baseline", "fontsize": size, "color": COLOURS["muted"]}
    for index, name in names.items():
        base.axhline(index - 0.5, color=COLOURS["rule"], linewidth=0.6)
        if index in shapes:
            base.text(20, index, str(index), ha="right", **faint)
            base.text(30, index, name, va="center_baseline", fontsize=size)
            base.text(right, index, shapes[index], ha="right", **faint)
        else:
            base.text(30, index, name, style="italic", **faint)


def confusion(accuracy: Accuracy) -> str:
    """The confusion matrix: one row per true class, one column per predicted class, shaded by row."""
    matrix = accuracy.confusion
    count = len(matrix)
    labels = [text.shorten(text.printable(c.label), 14) for c in accuracy.per_class]
    labels = labels if len(labels) == count else [str(number) for number in range(count)]
    cell = min(38.0, max(17.0, 380 / count))
    size = 10.0 if cell >= 26 else 8.0
    side = max(text_width(label, 9.5) for label in labels) + 8
    slanted = max(text_width(label, 9.5) for label in labels) > cell - 4
    foot = (side * 0.75 + 10) if slanted else 18.0
    left, top = side + 20, 4.0
    width, height = left + count * cell + 4, top + count * cell + foot + 18

    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(width / 72, height / 72))
        axes = bare_axes(figure, (left, top, count * cell, count * cell), (count - 0.5, -0.5))
        axes.set_xlim(-0.5, count - 0.5)
        titles = {}
        for i, row in enumerate(matrix):
            for j, samples in enumerate(row):
                _cell(axes, (i, j), samples, text.ratio(samples, sum(row)), cell, size)
                titles[f"cell{i}x{j}"] = f"{samples:,} samples of {labels[i]} taken for {labels[j]}"
        faint: dict[str, Any] = {"fontsize": 9.5, "color": COLOURS["muted"]}
        _class_labels(axes, labels, slanted, cell)
        axes.text(
            -0.5 - (side + 12) / cell,
            (count - 1) / 2,
            "true class",
            rotation=90,
            ha="center",
            va="center",
            **faint,
        )
        axes.text((count - 1) / 2, count - 0.5 + (foot + 12) / cell, "predicted class", ha="center", **faint)
        label = f"Confusion matrix of {count} classes over {accuracy.samples:,} samples"
        return inline(figure, "confusion", label, titles)


def _cell(axes: Axes, place: tuple[int, int], samples: int, share: float, cell: float, size: float) -> None:
    """One cell of the confusion matrix, shaded by its share of the row, with its number if that has room."""
    i, j = place
    patch = Rectangle((j - 0.5, i - 0.5), 1, 1, linewidth=1, edgecolor=COLOURS["card"])
    colour = "accent" if i == j else "bad"
    # Rare mistakes have to be visible beside a diagonal near 1: they start at a fifth.
    alpha = 0.12 + 0.88 * share if i == j else min(1.0, 0.2 + 1.6 * share)
    patch.set_facecolor((COLOURS[colour], alpha) if samples else (COLOURS["rule"], 0.45))
    patch.set_gid(f"cell{i}x{j}")
    axes.add_patch(patch)
    if samples:
        ink = "on-accent" if alpha > 0.5 else "ink"
        fits = text_width(f"{samples}", size) < cell - 2
        shown = f"{samples}" if fits else "•"
        axes.text(j, i, shown, ha="center", va="center_baseline", fontsize=size, color=COLOURS[ink])


def _class_labels(axes: Axes, labels: Iterable[str], slanted: bool, cell: float) -> None:
    bottom = axes.get_ylim()[0]
    for number, label in enumerate(labels):
        axes.text(-0.5 - 6 / cell, number, label, ha="right", va="center_baseline", fontsize=9.5)
        axes.text(
            number,
            bottom + (7 if slanted else 13) / cell,
            label,
            ha="right" if slanted else "center",
            va="top" if slanted else "baseline",
            rotation=45 if slanted else 0,
            rotation_mode="anchor",
            fontsize=9.5,
        )
