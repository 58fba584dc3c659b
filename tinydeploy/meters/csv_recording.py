"""A meter's recording in a CSV file: of Joulescope's, Otii's or the PPK2's program, or of a logger."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tinydeploy.errors import DataError
from tinydeploy.meters.meter import Recording

_MOST_BYTES = 1 << 30
_UNITS = {"": 1.0, "s": 1.0, "a": 1.0, "v": 1.0, "m": 1e-3, "u": 1e-6, "µ": 1e-6, "n": 1e-9}
_COLUMNS = {
    "time": re.compile(r"(?:time|timestamp)\s*[_(\[]?\s*([munµ]?)s?[)\]]?"),
    "current": re.compile(r"(?:main )?(?:current|i)\s*[_(\[]?\s*([munµ]?)a?[)\]]?"),
    "voltage": re.compile(r"(?:main )?(?:voltage|bus voltage|v)\s*[_(\[]?\s*([munµ]?)v?[)\]]?"),
    "trigger": re.compile(r"(?:trigger|gpi ?\d|d\d|in\d|digital ?\d*)()"),
}


class CsvMeter:
    """The file `path`, which some program writes while the inferences run; `volts` if it has no voltage."""

    def __init__(self, path: Path, volts: float | None = None) -> None:
        self._path = path
        self._volts = volts

    def start(self) -> None:
        """See Meter."""

    def stop(self) -> Recording:
        """See Meter."""
        return read(self._path, self._volts)

    def close(self) -> None:
        """See Meter."""


def read(path: Path, volts: float | None = None) -> Recording:
    """The recording in a file whose first line names its columns: time, current, trigger, and voltage.

    Units are those in the names (current_ua, Timestamp(ms), …), else seconds, amperes and volts. The first
    column that can be the trigger is it; it is high from half of its range on. Raises DataError for the line
    that cannot be read.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path} is larger than {_MOST_BYTES >> 20} MiB")
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.reader(line for line in file if line.strip())
            names = next(lines, [])
            found = {what: _column(names, what) for what in _COLUMNS}
            for what in ("time", "current", "trigger", *([] if volts else ["voltage"])):
                if found[what] is None:
                    hint = "csv:FILE@3.3 gives it" if what == "voltage" else f"it has {', '.join(names)}"
                    raise DataError(f"{path} has no column of the {what}", hint)
            used = {what: place for what, place in found.items() if place is not None}
            places = [place for place, _ in used.values()]
            rows = [_numbers(row, places, path, lines.line_num) for row in lines]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if not rows:
        raise DataError(f"{path} has no samples")
    table = dict(zip(used, np.array(rows, np.float64).T, strict=True))
    scaled = {what: table[what] * used[what][1] for what in used}
    level = scaled["trigger"]
    high: npt.NDArray[np.bool_] = level > (level.min() + level.max()) / 2
    voltage = scaled["voltage"] if "voltage" in scaled else np.full(len(rows), volts, np.float64)
    return Recording(path.name, scaled["time"], scaled["current"] * voltage, high)


def _column(names: Sequence[str], what: str) -> tuple[int, float] | None:
    """The place of the first column of that name, and its unit."""
    for place, name in enumerate(names):
        if found := _COLUMNS[what].fullmatch(name.strip().lstrip("#").strip().lower()):
            return place, _UNITS[found[1]]
    return None


def _numbers(row: Sequence[str], places: Sequence[int], path: Path, line: int) -> list[float]:
    try:
        numbers = [float(row[place]) for place in places]
    except (IndexError, ValueError) as error:
        raise DataError(f"{path}:{line} is not all numbers") from error
    if not np.isfinite(numbers).all():
        raise DataError(f"{path}:{line} has a number that is not finite")
    return numbers
