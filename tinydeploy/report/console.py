"""A result as a table on the console."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from tinydeploy.report import closer, text
from tinydeploy.report.facts import (
    budget_row,
    facts,
    judged,
    kernels,
    metric_value,
    not_time,
    others,
    side_by_side,
    target_name,
    versus,
)
from tinydeploy.report.layout import Column, Columns, Facts, Prose
from tinydeploy.results import gates
from tinydeploy.results.case import Case
from tinydeploy.results.measured import Gate
from tinydeploy.results.profiled import Profile
from tinydeploy.results.result import Result

_TOP_OPS = 8
_MARKS = {True: Text("✓", "green"), False: Text("✗", "bold red"), None: Text("")}


def _prose(sentences: str, style: str = "") -> Prose:
    """Names from outside are never markup: "[bold]" in a path stays "[bold]"."""
    return Prose(text.printable(sentences), style)


def _figures(result: Result) -> Columns:
    name = text.base_name(result.model.path)
    rows = [
        (Text(fact.label, "dim"), Text(fact.value, "bold"), _MARKS[fact.good], Text(fact.detail))
        for fact in facts(result)
    ]
    columns = (Column(), Column(right=True), Column(), Column())
    return Columns(columns, rows, prose=True, title=f"{name} on {result.board.name}")


def budget(limits: Sequence[Gate]) -> Columns:
    """Every limit, and how near to it the figure is."""
    rows = [
        (Text(row.label, "dim"), Text(row.value, "bold"), _MARKS[row.good], row.limit, Text(row.detail))
        for row in map(budget_row, limits)
    ]
    columns = (Column("Budget"), Column("is", right=True), Column(), Column("limit", right=True), Column())
    return Columns(columns, rows, prose=True)


def _setting(result: Result) -> Facts:
    model, board, target = result.model, result.board, result.target
    named = (f"signature {model.signature}",) if model.signature else ()
    described = (model.path, f"{len(model.ops)} ops", f"{text.millions(model.macs)} MACs", *named)
    made, licence = result.provenance.made, result.provenance.licence
    rows: list[tuple[str, str | tuple[str, ...]]] = [
        ("Model", _listed(*described, *(edit.words for edit in model.edits))),
        *([("Made by", made)] if made else []),
        *([("Licence", licence)] if licence else []),
        ("Board", _listed(board.id, board.core, text.clock(board.clock_hz))),
        ("Target", f"{target_name(target)}, link {target.link}"),
        *([("Stand-in", target.note)] if target.note else []),
        ("Engine", result.engine + (f", optimised for {result.optimize}" if result.optimize else "")),
    ]
    if result.library:
        rows.append(("Library", (f"{result.library.name} {result.library.version}",)))
        rows.append(("Kernels", kernels(result.library)))
        rows.append(("Flags", result.library.flags))
    if result.parity:
        rows.append(("Reference", (result.parity.reference,)))
    if result.provenance.data:
        path, sha256, rest = result.provenance.data.rpartition(", sha256 ")
        data = (f"{path},", "sha256", *rest.split()) if sha256 else tuple(rest.split())
        rows.append(("Data", data))
    if result.estimate:
        rows.append(("Fitted on", result.estimate.fitted_on))
    if result.energy:
        rows.append(("Energy", result.energy.method))
    if result.accuracy:
        rows.append(("Judged", judged(result.accuracy)))
        if result.accuracy.also:
            rows.append(("Also", others(result.accuracy)))
    return Facts(
        (label, text.printable(value) if isinstance(value, str) else tuple(map(text.printable, value)))
        for label, value in rows
    )


def _listed(*parts: str) -> tuple[str, ...]:
    """The parts with commas between them, each to stay whole."""
    return (*(f"{part}," for part in parts[:-1]), parts[-1])


def _top_ops(result: Result) -> Columns:
    costs = sorted(result.per_op, key=lambda cost: cost.count, reverse=True)
    total = sum(cost.count for cost in costs)
    shapes = {op.index: text.shape(op.output_shape) for op in result.model.ops}
    shown, timed = costs[:_TOP_OPS], result.estimate is not None
    rows = [
        (
            str(cost.index),
            text.printable(cost.op),
            shapes.get(cost.index, ""),
            text.millions(cost.count),
            text.percent(text.ratio(cost.count, total)),
            text.millions(cost.macs) if cost.macs else "–",
            text.per_mac(cost.count, cost.macs),
            *([text.micros(1e3 * cost.estimate.ms) if cost.estimate else "–"] if timed else []),
        )
        for cost in shown
    ]
    columns = [Column("#", right=True), Column("Op"), Column("Output")]
    columns += (
        Column(name, right=True) for name in (result.unit, "share", "MACs", "per MAC", *["estimated"] * timed)
    )
    title = f"Costliest ops, {len(shown)} of {len(costs)}" if len(shown) < len(costs) else "Ops by cost"
    return Columns(columns, rows, spare=(5, 2, 6), title=title)


def _hot_functions(profile: Profile) -> Columns:
    shown = profile.functions[:_TOP_OPS]
    rows = [
        (
            text.millions(one.count),
            text.percent(text.ratio(one.count, profile.total)),
            text.printable(one.name),
        )
        for one in shown
    ]
    columns = (Column(profile.unit, right=True), Column("share", right=True), Column("Function"))
    return Columns(columns, rows, title=f"Where they go, {len(shown)} of {len(profile.functions)} functions")


def summary(result: Result) -> RenderableType:
    """The headline figures, what was run on what, the costliest ops and the warnings."""
    parts: list[RenderableType] = [
        *(_prose(f"✗ {gates.phrase(gate)}", "bold red") for gate in gates.missed(result.gates or ()))
    ]
    parts += [*([Text()] if parts else []), _figures(result)]
    if said := not_time([result]):
        parts.append(Prose(said, "dim"))
    if result.gates:
        parts += [Text(), budget(result.gates)]
    parts += [Text(), _setting(result)]
    if result.per_op:
        parts += [Text(), _top_ops(result)]
    if result.closer:
        parts += [Text(), *_closer(result)]
    if result.profile:
        parts += [Text(), _hot_functions(result.profile)]
    if result.warnings:
        parts += [Text(), *(_prose(f"! {warning}", "yellow") for warning in result.warnings)]
    return Group(*parts)


def _closer(result: Result) -> Iterator[RenderableType]:
    """Groups beside the float model, and what the figures come to."""
    assert result.closer is not None
    rows = closer.groups(result)
    metric = result.accuracy.metric if result.accuracy else "top1"
    if rows:
        heads = [Column("Group"), *(Column(name, right=True) for name in ("Samples", "Float", "Device"))]
        shown = [(text.printable(row.name), f"{row.samples:,}", *_figures_of(metric, row)) for row in rows]
        yield Columns(heads, shown)
    yield from (Prose(sentence) for sentence in closer.sentences(result.closer))


def _figures_of(metric: str, row: closer.Row) -> tuple[str, str]:
    before, after = (
        "–" if value is None else metric_value(metric, value) for value in (row.before, row.after)
    )
    return before, after


def checked(cases: Sequence[Case]) -> RenderableType:
    """Each case with its limits, and how many hold."""
    parts: list[RenderableType] = []
    for case in cases:
        head = Text.assemble(_MARKS[case.passed], " ", (text.printable(case.name), "bold"))
        parts += [head, *(_prose(f"  ✗ {line}", "red") for line in case.lines)]
        if case.gates:
            parts.append(budget(case.gates))
        parts.append(Text())
    passed = sum(case.passed for case in cases)
    return Group(*parts, Prose(f"{passed} of {len(cases)} within all limits"))


def comparison(results: Sequence[Result]) -> RenderableType:
    """The headline figures of several runs of one model, side by side."""
    first = results[0]
    columns = [Column()]
    for result in results:
        columns += [Column(result.engine, right=True), Column()]
    rows = []
    for row in side_by_side(results):
        cells = [(Text(fact.value), _MARKS[fact.good]) if fact else (Text("–"), Text()) for fact in row.facts]
        rows.append([Text(row.label, "dim"), *(part for cell in cells for part in cell)])
    table = Columns(columns, rows, title=f"{text.base_name(first.model.path)} on {first.board.name}")
    parts: list[RenderableType] = [
        table,
        *(Prose(sentence) for sentence in versus(results)),
        *([Prose(said, "dim")] if (said := not_time(results)) else []),
    ]
    for result in results:
        if result.library:
            parts.append(_prose(f"{result.library.name} {result.library.version}; {kernels(result.library)}"))
        parts += [_prose(f"! {result.engine}: {warning}", "yellow") for warning in result.warnings]
    return Group(*parts)
