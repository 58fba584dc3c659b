"""The table of limits: what a budget may hold a result to, in which unit, and how a limit is written."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tinydeploy.results.metric_table import METRICS

_NUMBER = re.compile(r"([+-]?(?:\d[\d_]*)?\.?\d+(?:[eE][+-]?\d+)?)\s*(\S*)")


@dataclass(frozen=True, eq=False)
class Unit:
    """A unit: its name, what is measured in it, and what may follow a number, by how many of it that is.

    `whole` numbers alone are `counted`; a `share` is at most 1.
    """

    name: str
    kind: str
    suffixes: Mapping[str, float]
    example: str
    whole: bool = False
    share: bool = False


_KIB = {f"{prefix}{end}": 1024.0**n for n, prefix in enumerate("kmg", 1) for end in ("", "b", "ib")}
BYTES = Unit("bytes", "size", {"b": 1, "byte": 1, "bytes": 1} | _KIB, "64K or 1.5 MiB", whole=True)
COUNT = Unit("count", "count", {"k": 1e3, "m": 1e6, "g": 1e9}, "1000000 or 1.5M", whole=True)
SHARE = Unit("share", "share", {"%": 0.01}, "0.95 or 95%", share=True)
MILLISECONDS = Unit("ms", "time", {"us": 1e-3, "µs": 1e-3, "ms": 1, "s": 1e3}, "12.5 or 12.5 ms")
MICROJOULES = Unit("µJ", "energy", {"nj": 1e-3, "uj": 1, "µj": 1, "mj": 1e3, "j": 1e6}, "80 or 80 uJ")
PLAIN = Unit("", "number", {}, "0.95")
DROP = Unit("", "number", {"%": 0.01}, "0.01 or 1%")


@dataclass(frozen=True)
class Limit:
    """One limit by its name. It is the most of a figure, or else (`most` False) the least.

    `target` says that not every target has such a figure, so that without one there is nothing to judge.
    """

    name: str
    help: str
    unit: Unit
    most: bool = True
    target: bool = False


def parse(limit: Limit, raw: object) -> float:
    """What is written of a limit, in its unit: a number, with a suffix or without. Raises ValueError."""
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise ValueError(f"must be a number, such as {limit.unit.example}")
    found = _NUMBER.fullmatch(str(raw).strip())
    scale = limit.unit.suffixes.get(found[2].lower()) if found and found[2] else 1.0
    try:
        value = float(found[1]) * scale if found and scale is not None else math.nan
    except (ValueError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"is {str(raw)[:40]!r}, which is no {limit.unit.kind}: write {limit.unit.example}")
    if limit.unit.whole:
        if not math.isclose(value, round(value), abs_tol=1e-6):
            raise ValueError(f"is {raw}, which is no whole number of {limit.unit.name}")
        value = round(value)
    if limit.unit.share and value > 1:
        raise ValueError(f"is {raw}, which is more than all: write {limit.unit.example}")
    if value < 0 and limit.unit is not PLAIN:
        raise ValueError(f"is {raw}, which is below zero")
    return value


def parser(limit: Limit) -> Callable[[object], float]:
    """`parse` of this limit."""
    return lambda raw: parse(limit, raw)


def _metric_limit(name: str) -> Limit:
    metric = METRICS[name]
    word = metric.words[0].lower() + metric.words[1:] if metric.words[1].islower() else metric.words
    unit, most = SHARE if metric.share else PLAIN, not metric.higher_is_better
    return Limit(
        f"{'max' if most else 'min'}_{name}", f"The {'most' if most else 'least'} {word}.", unit, most
    )


_LIMITS = (
    Limit("max_flash", "The most flash that the firmware may take.", BYTES),
    Limit("max_ram", "The most RAM, with arena and stack.", BYTES),
    Limit("max_arena", "The largest tensor arena.", BYTES),
    Limit("max_stack", "The deepest stack.", BYTES),
    Limit("max_instructions", "The most instructions per inference.", COUNT, target=True),
    Limit("max_cycles", "The most cycles per inference.", COUNT, target=True),
    Limit("max_latency_ms", "The longest inference, in milliseconds.", MILLISECONDS, target=True),
    Limit(
        "max_estimated_ms", "The longest inference by the estimate of its time.", MILLISECONDS, target=True
    ),
    Limit("max_estimated_uj", "The most energy per inference by its estimate.", MICROJOULES, target=True),
    Limit("max_energy_uj", "The most energy per inference, in microjoules.", MICROJOULES, target=True),
    *(_metric_limit(name) for name in METRICS if name != "top1"),  # of a classifier, accuracy is that
    Limit("max_accuracy_drop", "How far accuracy may lie below the float model's, or the reference's.", DROP),
    Limit("max_class_drop", "How far any class or group may lie below the float model's (--float).", SHARE),
    Limit("max_group_drop", "How far the worst class's recall may lie below that of all samples.", SHARE),
    Limit("min_identical", "The least share of outputs that are the reference's.", SHARE, most=False),
)
LIMITS = {limit.name: limit for limit in _LIMITS}
