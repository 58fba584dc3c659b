"""What `compress` made, as a table a board, as sentences, and as a page with plots; and its files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from tinydeploy.report import html, many_page, plots, sweep_table, text
from tinydeploy.results import drops, gates, metric_table
from tinydeploy.results.compressed import FLOAT, PTQ, Compressed, Row, chosen, holds, quality
from tinydeploy.results.many import Swept, front

PAGE, TOLD, TABLE = "compress.html", "compress.json", "compress.csv"
_COSTS = ("instructions", "cycles", "arena", "flash")
_PLOTTED = ("instructions", "arena", "flash")


def write(found: Compressed, folder: Path) -> None:
    """Writes page, table and JSON. Raises UsageError if it cannot."""
    files = {
        PAGE: render(found),
        TOLD: json.dumps(found.to_json(), indent=1) + "\n",
        TABLE: sweep_table.csv_text(sweep_table.rows(found.runs)),
    }
    sweep_table.write_texts(files, folder)


def render(found: Compressed) -> str:
    """The page: for each board the table and accuracy against instructions, arena and flash."""
    level = _level(found)
    y = quality(found.runs)
    boards = []
    for number, board in enumerate(found.boards):
        runs = found.on(board)
        drawn = [
            many_page.plot([_named(run) for run in runs], x, y, level, f"pareto{number}{x}") for x in _PLOTTED
        ]
        boards.append((board, *cells(found, board), [plot for plot in drawn if plot is not None]))
    best = {
        number
        for board in found.boards
        for number, run in enumerate(found.runs)
        if run is chosen(found.on(board))
    }
    return html.page(
        "compress.html.j2",
        found=found,
        name=text.base_name(found.model),
        sentences=list(sentences(found)),
        boards=boards,
        runs=found.runs,
        **many_page.table(found.runs, best),
    )


def _named(run: Swept) -> Swept:
    """The run by its recipe alone: a plot is of one board."""
    return Swept({"recipe": run.asked["recipe"]}, run.folder, run.result, run.error)


def _level(found: Compressed) -> tuple[float, str] | None:
    value = found.row(FLOAT).value
    return None if value is None else (value, f"float, {shown(found.metric, value)}")


def shown(metric: str, value: float | None) -> str:
    """A figure of the metric: a share in percent."""
    if value is None:
        return "–"
    return f"{100 * value:.2f} %" if metric_table.unit(metric) == "share" else f"{value:.4g}"


def cells(found: Compressed, board: str) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of one board's table, as people read them.

    ● marks a row on a front: none is better in the metric and not worse in instructions, arena or flash.
    """
    runs = {run.asked["recipe"]: run for run in found.on(board)}
    listed = list(runs.values())
    costs = [name for name in _COSTS if any(name in run.figures for run in listed)]
    y = quality(listed)
    best = {listed[number].asked["recipe"] for x in _PLOTTED if x in costs for number in front(listed, x, y)}
    labels = {name: run.figures[name].label for run in listed for name in costs if name in run.figures}
    is_held = any(holds(run) is not None for run in listed)
    heads = ["Recipe", metric_table.words(found.metric), "Largest drop", *(labels[name] for name in costs)]
    heads += ["File", *(["Limits"] if is_held else [])]
    return heads, [
        _row(found, row, runs.get(row.name), costs, row.name in best, is_held) for row in found.rows
    ]


def _row(
    found: Compressed, row: Row, run: Swept | None, costs: list[str], is_best: bool, is_held: bool
) -> list[str]:
    name = f"{row.name} ●" if is_best else row.name
    rest = [text.kib(row.bytes) if row.bytes else "–", *([_held(run)] if is_held else [])]
    if run is None or run.result is None:
        told = shown(found.metric, row.value) if row.name == FLOAT else "failed"
        return [name, told, "", *("" for _ in costs), *rest]
    drop = drops.largest(run.result)
    figure = run.figures.get(quality([run]))
    value = figure.values[0] if figure else None
    spent = [
        plots.shown(run.figures[one].values[0] or 0, run.figures[one].unit) if one in run.figures else "–"
        for one in costs
    ]
    return [name, shown(found.metric, value), _drop(found.metric, drop), *spent, *rest]


def _drop(metric: str, drop: drops.Drop | None) -> str:
    if drop is None or drop.by <= 0:
        return "none" if drop else "–"
    is_share = drop.what.startswith("class ") or metric_table.unit(metric) == "share"
    return (
        f"{text.printable(drop.what)}: {100 * drop.by:.1f} %"
        if is_share
        else (f"{text.printable(drop.what)}: {drop.by:.3g}")
    )


def _held(run: Swept | None) -> str:
    held = holds(run) if run else None
    return {True: "✓", False: "✗", None: ""}[held]


def sentences(found: Compressed) -> Iterator[str]:
    """Which row is best on each board, the largest drop of all, and what pruning has bought."""
    for board in found.boards:
        runs = found.on(board)
        best = chosen(runs)
        if best is None or best.result is None:
            continue
        held = [run for run in runs if holds(run)]
        of = f"{len(held)} of {len(runs)} int8 rows hold the limits; " if held else ""
        yield f"{board}: {of}best is {best.asked['recipe']}, {_beside(found, best, runs)}"
    worst = [(drop, run) for run in found.runs if run.result and (drop := drops.largest(run.result))]
    if worst:
        drop, run = max(worst, key=lambda pair: pair[0].by)
        if drop.by > 0:
            yield f"Largest drop of all: {_drop(found.metric, drop)}, by {text.printable(run.name)}"
    yield from found.notes


def _beside(found: Compressed, best: Swept, runs: tuple[Swept, ...]) -> str:
    """The best row's figures, beside those of the model quantised as it was."""
    plain = next((run for run in runs if run.asked["recipe"] == PTQ and run.result), None)
    parts = []
    for name in (quality(runs), *_PLOTTED):
        if name not in best.figures:
            continue
        figure = best.figures[name]
        value = (
            plots.shown(figure.values[0] or 0, figure.unit)
            if name in _PLOTTED
            else shown(found.metric, figure.values[0])
        )
        told = f"{value} {figure.label[0].lower()}{figure.label[1:]}"
        other = plain.figures[name].values[0] if plain and name in plain.figures else None
        if name in _PLOTTED and other and plain is not best:
            told += f" ({(figure.values[0] or 0) / other:.2f} of ptq's)"
        parts.append(told)
    return ", ".join(parts)


def limits(found: Compressed) -> Iterator[str]:
    """The limits that rows miss, a line each; that is no failure while another row holds them."""
    for run in found.runs:
        if run.result and holds(run) is False:
            for gate in gates.missed(run.result.gates or ()):
                yield f"{run.name}: {gates.phrase(gate)}"
