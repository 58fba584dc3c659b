"""The card of a model: model.toml beside it, which says what no .tflite holds.

How raw data become its input, what its outputs mean, what it was made from and how, and how good the float
model was. `tinydeploy quantize` and its like write cards; `run` uses them, and people may write them, too.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.errors import UsageError
from tinydeploy.model.preparation import AS_IS, Preparation

FILE_NAME = "model.toml"
_MOST_BYTES = 1 << 20
_STATISTICS = ("range", "average", "deviation")
_SLACK = 0.05  # of the card's range: so far may values lie outside of it
_UNLIKE = 3.0  # so many deviations off the average, or times the deviation, are no longer the same data


@dataclass(frozen=True)
class FloatFigure:
    """How good the float model was: a metric's name, its value, on so many samples; the model's hash."""

    metric: str = ""
    value: float = math.nan
    samples: int = 0
    sha256: str = ""


@dataclass(frozen=True)
class Training:
    """The data that a model was trained or calibrated with: what they were called, and their hash."""

    data: str = ""
    sha256: str = ""
    samples: int = 0


@dataclass(frozen=True)
class Card:
    """What is known of a model; empty where nobody has said it.

    `file` and `sha256` say which model the card belongs to. `range` (lowest, highest), `average` and
    `deviation` are of the prepared values of its training data. `figure` is the float model's.
    """

    file: str = ""
    sha256: str = ""
    made: str = ""
    licence: str = ""
    labels: tuple[str, ...] = ()
    preparation: Preparation = AS_IS
    range: tuple[float, ...] = ()
    average: float | None = None
    deviation: float | None = None
    training: Training = Training()
    calibration: Training = Training()
    figure: FloatFigure | None = None
    path: str = field(default="", compare=False)

    def check(self, x: npt.NDArray[Any]) -> str:
        """Why values that are prepared for the model's input are unlike those of its training; "" if not.

        Integers are the model's codes, of which the card says nothing.
        """
        if x.dtype.kind != "f" or not x.size:
            return ""
        low, high = float(x.min()), float(x.max())
        formula = self.preparation.formula
        how = f"by {formula}" if formula != "v" else "as in training"
        asked = f"as {Path(self.path).name} says: was it prepared {how}?"
        if self.range:
            least, most = self.range
            slack = _SLACK * (most - least)
            if low < least - slack or high > most + slack:
                return (
                    f"x lies between {low:.4g} and {high:.4g}, and its training data between {least:.4g} "
                    f"and {most:.4g}, {asked}"
                )
        if self.average is None or not self.deviation:
            return ""
        average, deviation = float(x.mean(dtype=np.float64)), float(x.std(dtype=np.float64))
        off = abs(average - self.average) > _UNLIKE * self.deviation
        if off or not 1 / _UNLIKE < deviation / self.deviation < _UNLIKE:
            return (
                f"x is {average:.4g} ± {deviation:.4g}, and its training data were {self.average:.4g} ± "
                f"{self.deviation:.4g}, {asked}"
            )
        return ""

    def to_toml(self) -> str:
        """The content of a model.toml."""
        top = {"file": self.file, "sha256": self.sha256, "made": self.made, "licence": self.licence}
        input_: dict[str, Any] = self.preparation.to_toml() | {"range": list(self.range)}
        input_ |= {"average": self.average, "deviation": self.deviation}
        parts = [_table("", top | {"labels": list(self.labels)}), _table("input", input_)]
        parts.append(_table("training", vars(self.training)))
        parts.append(_table("calibration", vars(self.calibration)))
        if self.figure is not None:
            parts.append(_table("float", vars(self.figure)))
        return "\n".join(part for part in parts if part)


def statistics(x: npt.NDArray[Any]) -> dict[str, Any]:
    """`range`, `average` and `deviation` of prepared values, as a Card has them."""
    if x.dtype.kind != "f" or not x.size:
        return {}
    found = float(x.mean(dtype=np.float64)), float(x.std(dtype=np.float64))
    return {"range": (float(x.min()), float(x.max())), "average": found[0], "deviation": found[1]}


def path_for(model: Path) -> Path:
    """Where a card for this model is written: model.toml, unless that is another model's."""
    beside = model.parent / FILE_NAME
    named = model.with_suffix("").with_name(f"{model.stem}.{FILE_NAME}")
    if named.is_file():
        return named
    if beside.is_file() and (other := _read(beside).file) and other != model.name:
        return named
    return beside


def load(model: Path) -> Card | None:
    """The card beside the model: NAME.model.toml, or a model.toml that names no other file; None without one.

    Raises UsageError for one that is not TOML, or that holds an unknown key or a value of the wrong type.
    """
    named = model.with_name(f"{model.stem}.{FILE_NAME}")
    if named.is_file():
        return _read(named)
    beside = model.parent / FILE_NAME
    if not beside.is_file():
        return None
    found = _read(beside)
    return found if found.file in ("", model.name) else None


def doubts(card: Card, content: bytes) -> str:
    """Why the card may not be this file's; "" if its hash is, or the card has none."""
    if not card.sha256 or card.sha256 == hashlib.sha256(content).hexdigest():
        return ""
    return f"{Path(card.path).name} was written for another file of that name: its sha256 is not the model's"


def _read(path: Path) -> Card:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"{path}: too large for what it is", f"at most {_MOST_BYTES:,} bytes")
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise UsageError(f"{path}: nested too deeply") from error
    except (ValueError, OSError) as error:
        raise UsageError(f"{path}: {error}") from error
    where = str(path)
    tables = {name: raw.pop(name, {}) for name in ("input", "training", "calibration", "float")}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise UsageError(f"{path}: '{name}' must be a table")
    own = {key: tables["input"].pop(key) for key in _STATISTICS if key in tables["input"]}
    given = _fields(where, raw, ("file", "sha256", "made", "licence", "labels"), Card)
    given |= _fields(f"{where}: [input]", own, _STATISTICS, Card)
    if given.get("range") and len(given["range"]) != 2:
        raise UsageError(f"{where}: [input]: 'range' must be the lowest and the highest value")
    figure = tables["float"]
    read: dict[str, Any] = given | {
        name: Training(**_fields(f"{where}: [{name}]", tables[name], tuple(vars(Training())), Training))
        for name in ("training", "calibration")
    }
    return Card(
        **read,
        preparation=Preparation.parse(f"{where}: [input]", tables["input"]),
        figure=FloatFigure(**_fields(f"{where}: [float]", figure, tuple(vars(FloatFigure())), FloatFigure))
        if figure
        else None,
        path=where,
    )


_WANTED: dict[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "a string"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "float | None": ((int, float), "a number"),
    "tuple[str, ...]": ((str,), "a list of strings"),
    "tuple[float, ...]": ((int, float), "a list of numbers"),
}


def _fields(where: str, raw: Mapping[str, Any], known: tuple[str, ...], kind: type) -> dict[str, Any]:
    """The values of a table, as the fields of a dataclass take them."""
    types = {item.name: str(item.type) for item in fields(kind)}
    found: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}"
            raise UsageError(f"{where}: unknown key '{key}'", hint)
        allowed, words = _WANTED[types[key]]
        several = types[key].startswith("tuple")
        items = value if several and isinstance(value, list) else [value]
        right = isinstance(value, list) == several and all(
            isinstance(item, allowed) and not isinstance(item, bool) for item in items
        )
        if not right or any(isinstance(item, float) and not math.isfinite(item) for item in items):
            raise UsageError(f"{where}: '{key}' must be {words}")
        if any(isinstance(item, str) and not item.isprintable() for item in items):
            raise UsageError(f"{where}: '{key}' holds characters that cannot be printed")
        found[key] = tuple(items) if several else value
    return found


def _table(name: str, values: Mapping[str, Any]) -> str:
    lines = [
        f"{key} = {json.dumps(value, ensure_ascii=False)}"
        for key, value in values.items()
        if value not in ("", None, [], 0) or (key in ("average", "value") and value == 0)
    ]
    if not lines:
        return ""
    return "\n".join([*([f"[{name}]"] if name else []), *lines]) + "\n"
