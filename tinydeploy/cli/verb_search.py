"""tinydeploy search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Group, RenderableType

from tinydeploy.cli import options
from tinydeploy.cli.shell import EXIT_CODES, check_failed, progress, show, show_json, tell
from tinydeploy.report import search_page
from tinydeploy.report.layout import Column, Columns, Facts, Prose
from tinydeploy.report.plots import shown
from tinydeploy.report.text import printable
from tinydeploy.results import metric_table


@options.verb("search", epilog=EXIT_CODES)
@click.argument("space", type=click.Path(path_type=Path))
def command(space: Path, as_json: bool, **flags: Any) -> None:
    """Search SPACE, a Python file with build(trial), for models that are good and cheap.

    build(trial) gives a Keras model, and makes its choices by trial.suggest_int, suggest_float and
    suggest_categorical, as with optuna. Candidates are priced untrained by the engine's plan and cost model;
    those that fit board and limits are trained; those that no other beats are run on the target. A search
    that was ended goes on.
    """
    arguments = options.given(flags)
    with progress("reading the space") as update:
        from tinydeploy.search import searching

        found = searching.search(space, progress=update, notice=tell, **arguments)
    if as_json:
        show_json(found.to_json())
    else:
        show(Group(*_shown(found.told, found.folder)))
    check_failed(found.failures)


def _shown(told: Mapping[str, Any], folder: Path) -> Iterator[RenderableType]:
    counts = ", ".join(f"{count} {state}" for state, count in told["counts"].items())
    yield Facts([("Space", (printable(told["space"]),)), ("Board", told["board"]), ("Candidates", counts)])
    front = [row for row in told["candidates"] if row["front"]]
    if front:
        yield ""
        yield _front(told, front)
    else:
        yield Prose("\nNo candidate was trained:")
        for why in list(dict.fromkeys(row["why"] for row in told["candidates"] if row["why"]))[:5]:
            yield Prose(f"  {printable(why)}")
    for row in front:
        if missed := (row.get("measured") or {}).get("missed"):
            yield Prose(f"! candidate {row['number']}: {missed}", "yellow")
    yield Prose(f"\nCandidates: {folder / 'front'}")
    yield Prose(f"Table: {folder / search_page.CSV}")
    yield Prose(f"Page: {folder / search_page.PAGE}")


def _front(told: Mapping[str, Any], front: list[Mapping[str, Any]]) -> Columns:
    metric = told["metric"]
    unit = metric_table.unit(metric)
    names = list(dict.fromkeys([*told["minimize"], "instructions", "arena", "flash"]))
    heads = [Column("#", right=True), Column("Chosen by", right=True), Column("On target", right=True)]
    heads += [Column(search_page.LABELS[name], right=True) for name in names]
    rows = []
    for row in front:
        measured = row.get("measured") or {}
        figure = measured.get(metric)
        cells = [
            str(row["number"]),
            shown(row["figure"], unit),
            "–" if figure is None else shown(figure, unit),
        ]
        for name in names:
            value = measured.get(name, row["price"].get(name))
            cells.append("–" if value is None else shown(value, search_page.UNITS[name]))
        rows.append(cells)
    return Columns(heads, rows, title=f"{metric_table.words(metric)} of those that no other beats")
