"""The schedule of a model's ops: inline SVG drawn with matplotlib, coloured by the page's CSS variables.

Importing this module imports matplotlib, which takes most of a second: import it where a picture is drawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle
from matplotlib.ticker import MaxNLocator

from tinydeploy.report import text
from tinydeploy.report.families import buffer_family, family
from tinydeploy.report.svg import COLOURS, STYLE, bare_axes, inline, text_width
from tinydeploy.results.measured import ArenaBuffer, ArenaInfo
from tinydeploy.results.result import Result
from tinydeploy.results.setting import OpInfo


def _bars(
    axes: Axes,
    ops: Sequence[OpInfo],
    values: Mapping[int, float],
    labels: Mapping[int, str],
    size: float,
    beside: float = 0.32,
) -> None:
    """One horizontal bar per op that has a value, its figure at the bar's end, which takes `beside` of it."""
    longest = max(values.values(), default=0) or 1
    axes.set_xlim(0, longest * (1 + beside))
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


@dataclass(frozen=True)
class _Rows:
    """The rows of a schedule: from op `first` to `last`, each so high, with letters of that size."""

    first: int
    last: int
    height: float
    size: float

    @classmethod
    def of(cls, result: Result) -> _Rows:
        """One for each op; with an arena's plan one above and one below, too."""
        ops, buffers = result.model.ops, result.arena.buffers
        first = min([0, *(buffer.first_op for buffer in buffers)])
        last = max([len(ops) - 1, *(buffer.last_op for buffer in buffers)])
        rows = max(1, last - first + 1)
        row, size = (11.0, 8.0) if rows > 120 else (min(30.0, max(15.5, 230 / rows)), 9.5)
        return cls(first, last, row, size)

    @property
    def ylim(self) -> tuple[float, float]:
        """The first row is at the top."""
        return self.last + 0.5, self.first - 0.5

    @property
    def whole(self) -> float:
        """The height of all."""
        return max(1, self.last - self.first + 1) * self.height


def schedule(result: Result) -> str:
    """The op schedule from top to bottom: the arena's buffers beside each op's cost.

    Without a plan (a searched arena has none) the arena's column is left out.
    """
    ops, buffers, rows = result.model.ops, result.arena.buffers, _Rows.of(result)
    row, size, height = rows.height, rows.size, rows.whole
    names, shapes = _labels(ops, rows.first, rows.last)
    labels = 30 + _widest(names.values(), size) + 14 + _widest(shapes.values(), size) + 18

    width, top, bottom = 1080.0, 30.0, 22.0 if buffers else 6.0
    gap = 34.0
    room = width - labels - 4 - (2 if buffers else 1) * gap
    parts = (0.5, 0.3, 0.2) if buffers else (0.0, 0.62, 0.38)
    costs, per_mac = _costs(result)

    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(width / 72, (top + height + bottom) / 72))
        base = _base(figure, top, rows)
        _names(base, names, shapes, labels - 18, size)

        def column(left: float, heading: str) -> None:
            _heading(base, left, heading, rows)

        column(0, "Op, output shape")
        titles: dict[str, str] = {}
        left = labels
        if buffers:
            column(left, _arena_heading(result))
            arena = bare_axes(figure, (left, top, room * parts[0], height), rows.ylim)
            arena.xaxis.set_visible(True)
            titles |= _arena(arena, result, room * parts[0], row, min(size, 9.0))
            left += room * parts[0] + gap
        column(left, result.unit.capitalize())
        bars = bare_axes(figure, (left, top, room * parts[1], height), rows.ylim)
        _bars(bars, ops, costs, {i: text.millions(value) for i, value in costs.items()}, size)
        left += room * parts[1] + gap
        column(left, f"{result.unit.capitalize()} per MAC")
        ratios = bare_axes(figure, (left, top, room * parts[2], height), rows.ylim)
        _bars(ratios, ops, per_mac, {i: f"{value:,.2f}" for i, value in per_mac.items()}, size)
        return inline(figure, "schedule", _described(result), titles)


def schedule_narrow(result: Result) -> str:
    """The same for a phone: the arena's buffers above the cost of the ops, which go by number there."""
    ops, buffers, rows = result.model.ops, result.arena.buffers, _Rows.of(result)
    size, width, head, foot = min(rows.size, 9.0), 358.0, 30.0, 26.0
    names, _ = _labels(ops, rows.first, rows.last)
    labels = 30 + _widest(names.values(), size) + 10
    costs, per_mac = _costs(result)
    told = {
        i: text.millions(value) + (f" · {per_mac[i]:,.2f}" if i in per_mac else "")
        for i, value in costs.items()
    }
    titles: dict[str, str] = {}
    with matplotlib.style.context(["default", STYLE]):
        upper = head + rows.whole + foot if buffers else 0.0
        figure = Figure(figsize=(width / 72, (upper + head + rows.whole + 6) / 72))
        if buffers:
            numbers = _base(figure, head, rows)
            _names(numbers, dict.fromkeys(names, ""), dict.fromkeys(range(len(ops)), ""), 0, size)
            _heading(numbers, 0, _arena_heading(result), rows)
            arena = bare_axes(figure, (28, head, width - 30, rows.whole), rows.ylim)
            arena.xaxis.set_visible(True)
            titles |= _arena(arena, result, width - 30, rows.height, min(size, 8.5))
        base = _base(figure, upper + head, rows)
        _names(base, names, dict.fromkeys(range(len(ops)), ""), 0, size)
        _heading(base, 0, f"Op, {result.unit} · per MAC", rows)
        room = width - labels - 2
        bars = bare_axes(figure, (labels, upper + head, room, rows.whole), rows.ylim)
        beside = 1 / (1 - min(0.6, (_widest(told.values(), size) + 8) / room)) - 1
        _bars(bars, ops, costs, told, size, beside)
        return inline(figure, "narrow", _described(result), titles)


def _base(figure: Figure, top: float, rows: _Rows) -> Axes:
    """Axes across the whole figure, in its own pixels, for names and lines between the rows."""
    width = figure.get_figwidth() * 72
    base = bare_axes(figure, (0, top, width, rows.whole), rows.ylim)
    base.set_xlim(0, width)
    base.axhline(rows.last + 0.5, color=COLOURS["rule"], linewidth=0.6)
    return base


def _heading(base: Axes, left: float, words: str, rows: _Rows) -> None:
    base.text(left, rows.first - 0.5 - 12 / rows.height, words, fontsize=10, color=COLOURS["ink"])


def _arena_heading(result: Result) -> str:
    return "Arena, offset in " + ("KiB" if _unit(_end(result.arena)) > 1 else "bytes")


def _costs(result: Result) -> tuple[dict[int, float], dict[int, float]]:
    """The count of each op, and that per MAC of those that have any."""
    costs = {cost.index: float(cost.count) for cost in result.per_op}
    return costs, {cost.index: cost.count / cost.macs for cost in result.per_op if cost.macs}


def _described(result: Result) -> str:
    what = f"the arena's buffers and the {result.unit}" if result.arena.buffers else f"the {result.unit}"
    return f"For each of {len(result.model.ops)} ops: {what}"


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
