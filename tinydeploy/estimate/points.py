"""Points: times that were measured on boards, mostly by others who published them, with the counts."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from tinydeploy.errors import UsageError
from tinydeploy.estimate.counts import Counts

PUBLISHED = Path(__file__).with_name("points.csv")
_CLASSES = frozenset(field.name for field in fields(Counts))


@dataclass(frozen=True)
class Point:
    """One time, in milliseconds at `mhz`, of one model on one board, and what was executed meanwhile."""

    board: str
    core: str
    mhz: float
    engine: str
    task: str
    variant: str
    ms: float
    source: str
    counts: Counts

    @property
    def cycles(self) -> float:
        """The time in cycles of the board's clock."""
        return self.ms * self.mhz * 1e3


@cache
def points(path: Path = PUBLISHED) -> Sequence[Point]:
    """The points in a CSV file, with a row for each and columns as in PUBLISHED. Raises UsageError."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return tuple(map(_point, csv.DictReader(file)))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} holds no points: {error}") from error


def _point(row: Mapping[str, str]) -> Point:
    counts = Counts(**{name: int(value) for name, value in row.items() if name in _CLASSES and value})
    words = (row["engine"], row["task"], row["variant"])
    found = Point(
        row["board"], row["core"], float(row["mhz"]), *words, float(row["ms"]), row["source"], counts
    )
    if not (found.mhz > 0 and found.ms > 0 and counts.instructions > 0):
        raise ValueError(f"a point without clock, time or instructions: {dict(row)}")
    return found
