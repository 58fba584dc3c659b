"""tinydeploy fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Group, RenderableType
from rich.text import Text

from tinydeploy.cli import options
from tinydeploy.cli.shell import progress, show, show_json
from tinydeploy.report.layout import Column, Columns, Prose

if TYPE_CHECKING:
    from tinydeploy.evaluate.fit import Fit, Verdict
    from tinydeploy.firmware.footprint import Need

_MARKS = {"fits": ("✓", "green"), "tight": ("~", "yellow"), "no": ("✗", "red")}
_NONE = 1


@options.verb("fit")
@options.model
@click.argument("words", nargs=-1)
def command(model: Path, words: tuple[str, ...], as_json: bool, **flags: Any) -> int:
    """The boards that MODEL fits: arena, RAM and flash, needed and left, without a build.

    WORDS choose boards by what they are called: "stm32 m7" are those with both words in their names. Any
    other board of PlatformIO's is "pio:ID". Exits with 1 if MODEL fits none of them for certain.
    """
    with progress("reading the model") as update:
        from tinydeploy import verbs

        update("asking what fits the boards", 0, 0)
        found = verbs.fit(model, words, **options.given(flags))
    if as_json:
        show_json(found)
    else:
        show(Group(_table(found), *_notes(found)))
    return 0 if any(fit.verdict == "fits" for fit in found) else _NONE


def _table(found: Sequence[Fit]) -> RenderableType:
    rows = []
    for fit in found:
        arena = "–" if fit.arena_bytes is None else _kib(fit.arena_bytes)
        time = "–" if fit.estimate is None else _ms(fit.estimate.ms)
        figures = (arena, *_figures(fit.ram), *_figures(fit.flash), time)
        rows.append((Text(*_MARKS[fit.verdict]), fit.board, fit.optimize, *figures))
    columns = [Column(), Column("Board"), Column("Goal")]
    columns += [Column(name, right=True) for name in ("Arena", "RAM", "left", "Flash", "left", "ms")]
    return Columns(columns, rows, spare=(3,))


def _figures(need: Need | None) -> tuple[str, str]:
    return ("–", "–") if need is None else (_kib(need.estimate), _kib(need.left))


def _kib(size: int) -> str:
    return f"{size / 1024:,.1f}" if abs(size) < 1000 << 10 else f"{size / 1024:,.0f}"


def _ms(time: float) -> str:
    return f"{time:.3g}" if time < 999.5 else f"{time:,.0f}"


def _notes(found: Sequence[Fit]) -> list[RenderableType]:
    """What the figures are, and the boards by what speaks against them."""
    from tinydeploy.firmware import footprint

    notes: list[RenderableType] = [
        Prose(
            "✓ fits, ~ may not, ✗ does not. All in KiB. RAM: arena, stack and runtime. "
            f"Flash: constants, and code, which is estimated ({footprint.ERROR}).",
            "dim",
        )
    ]
    if any(fit.estimate for fit in found):
        notes.append(
            Prose(
                "ms: a rough estimate from the instructions that are expected, which may be 40 % off; run "
                "estimates it from what is executed.",
                "dim",
            )
        )
    problems: dict[tuple[Verdict, str], list[str]] = {}
    for fit in found:
        if fit.problem and (fit.verdict == "tight" or fit.ram is None):
            problem = fit.problem.replace(fit.board, "it")
            problems.setdefault((fit.verdict, problem), []).append(fit.board)
    for (verdict, problem), boards in problems.items():
        mark, style = _MARKS[verdict]
        notes.append(Prose(f"{mark} {', '.join(dict.fromkeys(boards))}: {problem}", style))
    return notes
