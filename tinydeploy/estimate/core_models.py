"""Core models, from data files: what an instruction of each class takes on a core, as its makers say."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

from tinydeploy.estimate.counts import Counts

_FOLDER = Path(__file__).parent / "cores"


@dataclass(frozen=True)
class CoreModel:
    """Cycles by class of Counts, to be added up; memories are not included.

    `spread` is the relative half-width of the interval in which four boards of five are expected, if
    nothing is fitted. `source` says where it is from. `per_mac` and `per_output` are
    the aot engine's instructions by and large, for a multiply-accumulate and for an element of an output.
    """

    core: str
    cycles: Mapping[str, float]
    spread: float
    source: str
    per_mac: float
    per_output: float


@cache
def core_model(core: str) -> CoreModel | None:
    """The model of the core with this id; None if there is none."""
    path = _FOLDER / f"{core}.toml"
    if not path.is_file():
        return None
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    unknown = set(raw["cycles"]) - {field.name for field in fields(Counts)}
    assert not unknown, f"{path.name} names no class: {unknown}"
    source = " ".join(raw["source"].split())
    return CoreModel(core, raw["cycles"], raw["spread"], source, **raw["expected"])
