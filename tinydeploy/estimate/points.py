"""Points: times that were measured on boards, mostly by others who published them, with the counts."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from functools import cache
from pathlib import Path

from tinydeploy.errors import UsageError
from tinydeploy.estimate.counts import Counts

VARIABLE = "TINYDEPLOY_POINTS"
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


def known_points() -> Sequence[Point]:
    """The published points, and those in the file that TINYDEPLOY_POINTS names. Raises UsageError."""
    own = os.environ.get(VARIABLE)
    return (*points(), *(points(Path(own)) if own else ()))


def text(some: Sequence[Point]) -> str:
    """The points as a CSV file, which `points` reads."""
    out = io.StringIO()
    names = [field.name for field in fields(Point) if field.name != "counts"]
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*names, *(field.name for field in fields(Counts))])
    for point in some:
        writer.writerow([*(getattr(point, name) for name in names), *astuple(point.counts)])
    return out.getvalue()


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
