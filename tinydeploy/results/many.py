"""Many results: a figure over time, and the runs of a sweep with what each was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tinydeploy.results.compare import Figure, figures
from tinydeploy.results.result import Result


@dataclass(frozen=True)
class Point:
    """A figure of one result: when that was made, what it is called there, and its value."""

    started: str
    label: str
    value: float


@dataclass(frozen=True)
class Series:
    """A figure of one model on one board over its results, the oldest first. `figure` says its unit."""

    name: str
    figure: Figure
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Swept:
    """A run of a sweep: what it was asked for, its folder, and its result or why there is none."""

    asked: Mapping[str, str]
    folder: str
    result: Result | None
    error: str = ""

    @property
    def name(self) -> str:
        """What it was asked for, in a line."""
        return ", ".join(self.asked.values())

    @property
    def figures(self) -> dict[str, Figure]:
        """Its figures by their names; none without a result."""
        found = figures([self.result]) if self.result else ()
        return {figure.name: figure for figure in found if figure.values[0] is not None}


def columns(runs: Sequence[Swept]) -> tuple[str, ...]:
    """The names of the figures that any of the runs has."""
    return tuple(dict.fromkeys(name for run in runs for name in run.figures))


def front(runs: Sequence[Swept], x: str, y: str) -> frozenset[int]:
    """Pareto's front: the numbers of the runs that no other beats in one figure and equals in the other."""
    known = {
        number: tuple(_cost(run.figures[name]) for name in (x, y))
        for number, run in enumerate(runs)
        if {x, y} <= run.figures.keys()
    }
    return frozenset(
        number for number, own in known.items() if not any(_dominates(other, own) for other in known.values())
    )


def _cost(figure: Figure) -> float:
    value = figure.values[0]
    assert value is not None
    return -value if figure.higher else value


def _dominates(other: tuple[float, ...], own: tuple[float, ...]) -> bool:
    return other != own and all(theirs <= ours for theirs, ours in zip(other, own, strict=True))
