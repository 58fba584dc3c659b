"""A comparison for people: as tables on the console, as Markdown, and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from tinydeploy.report import ci, text
from tinydeploy.report.layout import Column, Columns, Prose
from tinydeploy.results import gates
from tinydeploy.results.compare import Comparison, Figure, Flips, OpChange
from tinydeploy.results.measured import OpCost

_STYLES = {True: "green", False: "bold red", None: ""}
_SHOWN_SAMPLES = 20


@dataclass(frozen=True)
class Cell:
    """A figure of one result: its value, its change against the first, and whether that is for the better."""

    value: str
    change: str = ""
    better: bool | None = None
    share: float = 0.0  # of the largest in its row


def cells(figure: Figure) -> tuple[Cell, ...]:
    """The figure of each result, the first without a change."""
    most = max((abs(value) for value in figure.values if value is not None), default=0.0)
    found = []
    for index, value in enumerate(figure.values):
        if value is None:
            found.append(Cell("–"))
            continue
        share = text.ratio(abs(value), most)
        change = _change(figure, index) if index else ""
        found.append(Cell(_shown(figure, value), change, figure.better(index), share))
    return tuple(found)


def _shown(figure: Figure, value: float) -> str:
    return text.kib(round(value)) if figure.unit == "bytes" else gates.shown(value, figure.unit)


def _change(figure: Figure, index: int) -> str:
    delta, ratio = figure.delta(index), figure.ratio(index)
    if delta is None:
        return ""
    if delta == 0:
        return "="
    if figure.unit == "share":
        return f"{100 * delta:+.2f} points"
    amount = f"{delta:+,.0f}" if figure.unit in ("bytes", "count") else f"{delta:+,.4g}"
    unit = " B" if figure.unit == "bytes" else ""
    return f"{amount}{unit}" + (f" ({100 * (ratio - 1):+.1f} %)" if ratio is not None else "")


def op_cells(change: OpChange) -> tuple[Cell, ...]:
    """Count, kernel and bytes of an op in each result."""
    first = change.costs[0]
    return tuple(
        _op_cell(first, cost) if index else _op_cell(None, cost) for index, cost in enumerate(change.costs)
    )


def _op_cell(first: OpCost | None, cost: OpCost | None) -> Cell:
    if cost is None:
        return Cell("–")
    layer = cost.layer
    told = f"{cost.count:,}" + (f" {layer.kernel}, {layer.constant_bytes:,} B" if layer else "")
    if first is None or first.count == cost.count:
        return Cell(told)
    ratio = text.ratio(cost.count, first.count)
    return Cell(told, f"{100 * (ratio - 1):+.1f} %" if first.count else "", cost.count < first.count)


def sentences(found: Comparison) -> Iterator[str]:
    """What there is to know of the comparison as a whole: obstacles, confidence, flips, ops that changed."""
    for reason in found.obstructed:
        yield f"Not like with like: {reason}."
    for name, between in zip(found.short, found.intervals, strict=True):
        if between is not None:
            low, high = (gates.shown(end, "share") for end in between)
            yield f"Accuracy of {text.printable(name)} lies between {low} and {high} at 95 % confidence."
    for name, flip in zip(found.short[1:], found.flips, strict=True):
        if flip is not None:
            yield _flipped(text.printable(name), flip)
    changed = sum(op.changed for op in found.ops)
    yield f"{changed} of {len(found.ops)} ops changed." if changed else "No op changed."


def _flipped(name: str, flip: Flips) -> str:
    if not flip.lost and not flip.won:
        return f"{name} has the very same samples right."
    verdict = "more than chance" if flip.p < 0.05 else "which may be chance"
    lost, won = _numbers(flip.lost), _numbers(flip.won)
    return (
        f"{name} has {len(flip.lost)} samples wrong that were right{lost}, {len(flip.won)} right that were "
        f"wrong{won}: McNemar's p is {flip.p:.3g}, {verdict}."
    )


def _numbers(samples: tuple[int, ...]) -> str:
    if not samples:
        return ""
    more = " …" if len(samples) > _SHOWN_SAMPLES else ""
    return f" (number {', '.join(map(str, samples[:_SHOWN_SAMPLES]))}{more})"


def console(found: Comparison) -> RenderableType:
    """The figures, what is to be said of them, and the ops that changed."""
    columns = [Column("")]
    for name in found.short:
        columns += [Column(text.printable(name), right=True), Column("")]
    rows: list[list[str | Text]] = []
    for figure in found.figures:
        row: list[str | Text] = [Text(figure.label, "dim")]
        for cell in cells(figure):
            row += [cell.value, Text(cell.change, _STYLES[cell.better])]
        rows.append(row)
    parts: list[RenderableType] = [Columns(columns, rows), Text(), *map(Prose, sentences(found))]
    changed = [op for op in found.ops if op.changed]
    if changed:
        of_ops: list[list[str | Text]] = []
        for op in changed:
            row = [str(op.index), text.printable(op.op)]
            for cell in op_cells(op):
                row += [text.printable(cell.value), Text(cell.change, _STYLES[cell.better])]
            of_ops.append(row)
        parts += [Text(), Columns([Column("#", right=True), Column("Op"), *columns[1:]], of_ops)]
    return Group(*parts)


def markdown(found: Comparison) -> str:
    """The same for a comment on a pull request."""
    heads = ["", *found.short]
    rows = [[figure.label, *(_in_markdown(cell) for cell in cells(figure))] for figure in found.figures]
    lines = ["## tinydeploy: comparison", "", *ci.table(heads, rows), ""]
    lines += [f"- {ci.cell(sentence)}" for sentence in sentences(found)]
    changed = [op for op in found.ops if op.changed]
    if changed:
        rows = [[f"{op.index} {op.op}", *(_in_markdown(cell) for cell in op_cells(op))] for op in changed]
        lines += ["", "<details><summary>Ops</summary>", "", *ci.table(heads, rows), "", "</details>"]
    return "\n".join(lines)


def _in_markdown(cell: Cell) -> str:
    mark = {True: " 🟢", False: " 🔴", None: ""}[cell.better]
    return f"{cell.value} {cell.change}{mark}".strip()


def plain(found: Comparison) -> dict[str, Any]:
    """The comparison as JSON has it; deltas and ratios are against the first."""
    indices = range(1, len(found.results))
    return {
        "schema": "tinydeploy.comparison/1",
        "results": list(found.names),
        "obstacles": [list(some) for some in found.obstacles],
        "figures": [
            {
                "name": figure.name,
                "unit": figure.unit,
                "values": list(figure.values),
                "deltas": [figure.delta(index) for index in indices],
                "ratios": [figure.ratio(index) for index in indices],
                "better": [figure.better(index) for index in indices],
            }
            for figure in found.figures
        ],
        "ops": [
            {
                "index": op.index,
                "op": op.op,
                "changed": op.changed,
                "counts": [cost.count if cost else None for cost in op.costs],
                "kernels": [cost.layer.kernel if cost and cost.layer else None for cost in op.costs],
            }
            for op in found.ops
        ],
        "intervals": [list(between) if between else None for between in found.intervals],
        "flips": [
            {"lost": list(flip.lost), "won": list(flip.won), "p": flip.p} if flip else None
            for flip in found.flips
        ],
    }
