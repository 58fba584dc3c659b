"""tinydeploy fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from tinydeploy import footprint, verbs
from tinydeploy.cli import options
from tinydeploy.cli.shell import show, show_json
from tinydeploy.fit import Fit, Verdict
from tinydeploy.footprint import Need

_MARKS = {Verdict.FITS: ("✓", "green"), Verdict.TIGHT: ("~", "yellow"), Verdict.NO: ("✗", "red")}
_NONE = 1


@click.command("fit")
@options.model
@click.argument("words", nargs=-1)
@options.logits
@click.option("--goals", is_flag=True, help="A line for every goal of --optimize, not for the best alone.")
@options.as_json
def command(model: Path, words: tuple[str, ...], logits: bool | None, goals: bool, as_json: bool) -> int:
    """The boards that MODEL fits: arena, RAM and flash, needed and left, without a build.

    WORDS choose boards by what they are called: "stm32 m7" are those with both words in their names. Any
    other board of PlatformIO's is "pio:ID". Exits with 1 if MODEL fits none of them for certain.
    """
    path, file = options.configured(model)
    found = verbs.fit(path, words, every_goal=goals, **options.merged(file, logits=logits))
    if as_json:
        show_json(found)
    else:
        show(Group(_table(found), *_notes(found)))
    return 0 if any(fit.verdict is Verdict.FITS for fit in found) else _NONE


def _table(found: Sequence[Fit]) -> RenderableType:
    table = Table(box=None, header_style="dim", padding=(0, 1, 0, 0), title_justify="left")
    table.add_column("", no_wrap=True)
    for heading in ("Board", "Goal"):
        table.add_column(heading, no_wrap=True)
    for heading in ("Arena", "RAM", "left", "Flash", "left"):
        table.add_column(heading, justify="right", no_wrap=True)
    for fit in found:
        arena = "–" if fit.arena_bytes is None else _kib(fit.arena_bytes)
        figures = (arena, *_figures(fit.ram), *_figures(fit.flash))
        table.add_row(Text(*_MARKS[fit.verdict]), Text(fit.board), fit.optimize, *figures)
    return table


def _figures(need: Need | None) -> tuple[str, str]:
    return ("–", "–") if need is None else (_kib(need.estimate), _kib(need.left))


def _kib(size: int) -> str:
    return f"{size / 1024:,.1f}" if abs(size) < 1000 << 10 else f"{size / 1024:,.0f}"


def _notes(found: Sequence[Fit]) -> list[RenderableType]:
    """What the figures are, and the boards by what speaks against them."""
    notes: list[RenderableType] = [
        Text(
            "All in KiB. RAM: arena, stack and runtime. "
            f"Flash: constants, and code, which is estimated ({footprint.ERROR}).",
            "dim",
        )
    ]
    problems: dict[tuple[Verdict, str], list[str]] = {}
    for fit in found:
        if fit.problem and (fit.verdict is Verdict.TIGHT or fit.ram is None):
            problem = fit.problem.replace(fit.board, "it")
            problems.setdefault((fit.verdict, problem), []).append(fit.board)
    for (verdict, problem), boards in problems.items():
        mark, style = _MARKS[verdict]
        notes.append(Text(f"{mark} {', '.join(dict.fromkeys(boards))}: {problem}", style))
    return notes
