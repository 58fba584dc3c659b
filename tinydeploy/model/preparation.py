"""Preparation: how raw data (pixels, audio, columns of a table) become a model's input.

It is what the [input] of a model's card says, and the [data] of a tinydeploy.toml over it.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.errors import UsageError

COLOURS = ("grey", "rgb", "bgr")
_MOST = 1 << 20  # of whole numbers: rows of a window, pixels of a side
_MOST_RATE = 1 << 20  # Hz
_SHOWN = 3  # numbers of a list that people see


@dataclass(frozen=True)
class Preparation:
    """How a raw value v becomes (v - mean) / scale, and what is cut out of the data.

    `mean` and `scale` hold one number, or one a channel (the last axis); empty, they are not said. `colour`
    is one of COLOURS, `size` height and width of images in pixels, `rate` of audio in Hz. `window` and
    `stride` are counted in rows of a table, or in audio's samples. `features`, `label` and `group` are a
    table's columns; without features, all the others.
    """

    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    colour: str = ""
    size: tuple[int, ...] = ()
    rate: int = 0
    window: int = 0
    stride: int = 0
    features: tuple[str, ...] = ()
    label: str = "label"
    group: str = "group"

    @classmethod
    def parse(cls, where: str, table: Mapping[str, Any]) -> Preparation:
        """From a TOML table, which `where` names. Raises UsageError for a key or a value that cannot be."""
        known = [item.name for item in fields(cls)]
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
                hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}"
                raise UsageError(f"{where}: unknown key '{key}'", hint)
        read: dict[str, Any] = {
            key: _READERS[key](f"{where}: '{key}'", value) for key, value in table.items()
        }
        found = cls(**read)
        if found.colour and found.colour not in COLOURS:
            raise UsageError(f"{where}: 'colour' must be one of {', '.join(COLOURS)}")
        if len(found.size) not in (0, 2):
            raise UsageError(f"{where}: 'size' must be height and width: [96, 96]")
        if 0 in found.scale:
            raise UsageError(f"{where}: 'scale' must not be 0")
        return found

    def over(self, other: Preparation) -> Preparation:
        """What either says; where both do, what this one does."""
        own = {
            item.name: getattr(self, item.name)
            for item in fields(self)
            if getattr(self, item.name) != item.default
        }
        return replace(other, **own)

    def applied(self, where: str, raw: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """(raw - mean) / scale in float32; one of each for all values, or one for each along the last axis.

        Raises UsageError for as many as the data do not have.
        """
        made = raw.astype(np.float32)
        for name, numbers in (("mean", self.mean), ("scale", self.scale)):
            if len(numbers) > 1 and len(numbers) != raw.shape[-1]:
                raise UsageError(
                    f"{where}: `{name}` has {len(numbers)} numbers for {raw.shape[-1]} channels",
                    "give one for all, or one for each",
                )
            if numbers:
                each = np.array(numbers, np.float32)
                made = made - each if name == "mean" else made / each
        return np.asarray(made, np.float32)

    @property
    def formula(self) -> str:
        """For people: "(v - 127.5) / 127.5"."""
        mean, scale = (_shown(numbers) for numbers in (self.mean, self.scale))
        moved = f"v - {mean}" if mean else "v"
        if not scale:
            return moved
        return f"({moved}) / {scale}" if mean else f"v / {scale}"

    def to_toml(self) -> dict[str, Any]:
        """What differs from saying nothing, as TOML has it."""
        found: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if value != item.default:
                found[item.name] = list(value) if isinstance(value, tuple) else value
        return found


AS_IS = Preparation()
"""Nothing is said: values are taken as they are."""


def _shown(numbers: tuple[float, ...]) -> str:
    if not numbers or (len(numbers) == 1 and numbers[0] == 0):
        return ""
    if len(numbers) == 1:
        return f"{numbers[0]:.6g}"
    each = [f"{n:.4g}" for n in numbers[:_SHOWN]]
    return f"[{', '.join(each)}{f' and {len(numbers) - _SHOWN} more' if len(numbers) > _SHOWN else ''}]"


def _numbers(where: str, value: Any) -> tuple[float, ...]:
    given = value if isinstance(value, list) else [value]
    if not given or not all(isinstance(n, int | float) and not isinstance(n, bool) for n in given):
        raise UsageError(f"{where} must be a number, or a list of numbers")
    if not all(math.isfinite(n) and abs(n) <= np.finfo(np.float32).max for n in given):
        raise UsageError(f"{where} must be finite")
    return tuple(map(float, given))


def _whole(where: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= max(_MOST, _MOST_RATE):
        raise UsageError(f"{where} must be a whole number from 1 to {_MOST:,}")
    return value


def _sizes(where: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise UsageError(f"{where} must be a list of whole numbers")
    return tuple(_whole(where, item) for item in value)


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable() or not value:
        raise UsageError(f"{where} must be a string")
    return value


def _texts(where: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise UsageError(f"{where} must be a list of strings")
    return tuple(_text(where, item) for item in value)


_READERS = {
    "mean": _numbers,
    "scale": _numbers,
    "colour": _text,
    "size": _sizes,
    "rate": _whole,
    "window": _whole,
    "stride": _whole,
    "features": _texts,
    "label": _text,
    "group": _text,
}
