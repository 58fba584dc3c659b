"""A result as a table on the console."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tinydeploy.report import text
from tinydeploy.report.facts import (
    NOT_TIME,
    facts,
    judged,
    kernels,
    others,
    side_by_side,
    target_name,
    versus,
)
from tinydeploy.result import Result

_TOP_OPS = 8
_MARKS = {True: Text("✓", "green"), False: Text("✗", "bold red"), None: Text("")}


def _plain(name: str, style: str = "") -> Text:
    """Names from outside become Text, never markup: "[bold]" in a path stays "[bold]"."""
    return Text(text.printable(name), style)


def _figures(result: Result) -> Table:
    name = text.base_name(result.model.path)
    table = Table(
        title=Text(f"{name} on {result.board.name}"),
        title_justify="left",
        title_style="bold",
        show_header=False,
        box=None,
        padding=(0, 2, 0, 0),
    )
    table.add_column(style="dim")
    table.add_column(justify="right", style="bold", no_wrap=True)
    table.add_column()
    table.add_column()
    for fact in facts(result):
        table.add_row(Text(fact.label), Text(fact.value), _MARKS[fact.good], Text(fact.detail))
    return table


def _setting(result: Result) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column()
    model, board, target = result.model, result.board, result.target
    name = f"signature {model.signature}" if model.signature else ""
    described = f"{model.path}, {len(model.ops)} ops, {text.millions(model.macs)} MACs"
    table.add_row("Model", _plain(", ".join(filter(None, (described, name, model.note)))))
    table.add_row("Board", _plain(f"{board.id}, {board.core}, {text.clock(board.clock_hz)}"))
    table.add_row("Target", _plain(f"{target_name(target)}, link {target.link}"))
    goal = f", optimised for {result.optimize}" if result.optimize else ""
    table.add_row("Engine", _plain(result.engine + goal))
    if result.library:
        table.add_row("Library", _plain(f"{result.library.name} {result.library.version}"))
        table.add_row("Kernels", _plain(kernels(result.library)))
    if result.provenance.data:
        table.add_row("Data", _plain(result.provenance.data))
    if result.accuracy:
        table.add_row("Judged", _plain(judged(result.accuracy)))
        if result.accuracy.also:
            table.add_row("Also", _plain(others(result.accuracy)))
    return table


def _top_ops(result: Result) -> Table:
    costs = sorted(result.per_op, key=lambda cost: cost.count, reverse=True)
    total = sum(cost.count for cost in costs)
    shapes = {op.index: text.shape(op.output_shape) for op in result.model.ops}
    shown = costs[:_TOP_OPS]
    table = Table(
        title=f"Costliest ops, {len(shown)} of {len(costs)}" if len(shown) < len(costs) else "Ops by cost",
        title_justify="left",
        title_style="bold",
        header_style="dim",
        box=None,
        padding=(0, 2, 0, 0),
    )
    table.add_column("op", justify="right")
    table.add_column("")
    table.add_column("output")
    for header in (result.unit, "share", "MACs", "per MAC"):
        table.add_column(header, justify="right")
    for cost in shown:
        table.add_row(
            str(cost.index),
            _plain(cost.op),
            shapes.get(cost.index, ""),
            text.millions(cost.count),
            text.percent(text.ratio(cost.count, total)),
            text.millions(cost.macs) if cost.macs else "–",
            text.per_mac(cost.count, cost.macs),
        )
    return table


def summary(result: Result) -> RenderableType:
    """The headline figures, what was run on what, the costliest ops and the warnings."""
    parts: list[RenderableType] = [_figures(result)]
    if result.unit == "instructions":
        parts.append(Text(NOT_TIME, "dim"))
    parts += [Text(), _setting(result)]
    if result.per_op:
        parts += [Text(), _top_ops(result)]
    if result.warnings:
        parts += [Text(), *(_plain(f"! {warning}", "yellow") for warning in result.warnings)]
    return Group(*parts)


def comparison(results: Sequence[Result]) -> RenderableType:
    """The headline figures of several runs of one model, side by side."""
    first = results[0]
    table = Table(
        title=Text(f"{text.base_name(first.model.path)} on {first.board.name}"),
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=None,
        padding=(0, 2, 0, 0),
    )
    table.add_column(style="dim")
    for result in results:
        table.add_column(result.engine, justify="right")
        table.add_column()
    for row in side_by_side(results):
        cells = [(Text(fact.value), _MARKS[fact.good]) if fact else (Text("–"), Text()) for fact in row.facts]
        table.add_row(Text(row.label), *(part for cell in cells for part in cell))
    parts: list[RenderableType] = [
        table,
        *(Text(sentence) for sentence in versus(results)),
        Text(NOT_TIME, "dim"),
    ]
    for result in results:
        if result.library:
            parts.append(_plain(f"{result.library.name} {result.library.version}; {kernels(result.library)}"))
        parts += [_plain(f"! {result.engine}: {warning}", "yellow") for warning in result.warnings]
    return Group(*parts)
