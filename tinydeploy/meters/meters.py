"""The meters by the words of --meter: csv:FILE, csv:FILE@VOLTS, ppk2:PORT@VOLTS."""

from __future__ import annotations

import math
from pathlib import Path

from tinydeploy.errors import UsageError
from tinydeploy.meters.csv_recording import CsvMeter
from tinydeploy.meters.meter import Meter
from tinydeploy.meters.ppk2 import Ppk2Meter

_FORMS = "it is csv:FILE, csv:FILE@VOLTS or ppk2:PORT@VOLTS"
_MOST_VOLTS = 60


def check(word: str) -> None:
    """Raises UsageError for a word that names no meter; nothing is opened."""
    _parts(word)


def opened(word: str) -> Meter:
    """The meter of this word. Raises UsageError, or TargetError or ToolError if it is not there."""
    kind, place, volts = _parts(word)
    if kind == "csv":
        return CsvMeter(Path(place), volts)
    assert volts is not None
    return Ppk2Meter(place, volts)


def _parts(word: str) -> tuple[str, str, float | None]:
    kind, _, rest = word.partition(":")
    place, at, said = rest.rpartition("@") if "@" in rest else (rest, "", "")
    if kind not in ("csv", "ppk2") or not place:
        raise UsageError(f"there is no meter '{word}'", _FORMS)
    if not at:
        if kind == "ppk2":
            raise UsageError(f"'{word}' does not say at how many volts", _FORMS)
        return kind, place, None
    try:
        volts = float(said)
    except ValueError:
        volts = math.nan
    if not 0 < volts <= _MOST_VOLTS:
        raise UsageError(f"'{said}' is no number of volts", _FORMS)
    return kind, place, volts
