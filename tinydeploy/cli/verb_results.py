"""tinydeploy results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from tinydeploy.cli import options
from tinydeploy.cli.shell import show, show_json

if TYPE_CHECKING:
    from tinydeploy.lab.collection import Found


@options.verb("results")
@click.argument("folder", default="tinydeploy-out", type=click.Path(path_type=Path))
def command(folder: Path, as_json: bool) -> None:
    """List the results below FOLDER, by default tinydeploy-out: their figures, and whether checks held."""
    from tinydeploy.lab import many_verbs
    from tinydeploy.report.layout import Column, Columns

    found = many_verbs.all_results(folder)
    if as_json:
        show_json([_plain(one) for one in found])
        return
    if not found:
        show(f"no result in {folder}")
        return
    units = {one.result.unit for one in found if one.result}
    count = units.pop().capitalize() if len(units) == 1 else "Count"
    heads = ("", "Result", "Model", "Board", "Goal", count, "Flash", "Arena", "Accuracy", "Commit")
    right = (count, "Flash", "Arena", "Accuracy")
    rows = [_row(one, folder, with_unit=count == "Count") for one in found]
    spare = (9, 7, 2, 6, 4, 3)  # most names have model and board, too
    show(Columns([Column(head, head in right) for head in heads], rows, spare=spare, title=f"In {folder}"))


def _row(one: Found, folder: Path, *, with_unit: bool) -> tuple[str | Text, ...]:
    from tinydeploy.report import facts, text
    from tinydeploy.results.verdict import failures

    result = one.result
    within = Path(one.place).is_relative_to(folder) and Path(one.place) != folder
    place = text.printable(str(Path(one.place).relative_to(folder) if within else one.place))
    if result is None:
        return Text("?", "yellow"), place, text.printable(one.problem), *[""] * 7
    accuracy = result.accuracy
    commit = result.provenance.commit or ""
    return (
        Text("✗", "bold red") if failures(result) else Text("✓", "green"),
        place,
        text.base_name(result.model.path),
        result.board.id,
        result.optimize or result.engine,
        f"{result.counts.median:,.0f}" + (f" {result.unit}" if with_unit else ""),
        text.kib(result.build.flash_bytes),
        text.kib(result.arena.bytes),
        facts.metric_value(accuracy.metric, accuracy.value) if accuracy else "–",
        commit[:10],
    )


def _plain(one: Found) -> dict[str, object]:
    from tinydeploy.results.compare import figures
    from tinydeploy.results.verdict import failures

    if one.result is None:
        return {"place": one.place, "problem": one.problem}
    known = {figure.name: figure.values[0] for figure in figures([one.result])}
    about = {
        "model": one.result.model.path,
        "board": one.result.board.id,
        "started": one.result.provenance.started,
    }
    return {"place": one.place, **about, "figures": known, "failures": failures(one.result)}
