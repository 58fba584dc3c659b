"""What each term of a kernel takes on a core, in instructions, as it was fitted to what an emulator counts.

`scripts/price_calibration.py` measures random nets of tests/support/price_nets.py op by op, fits the terms
to the counts, and writes a file here for each core. A file says how many ops it is from, and by how much each
kernel's ops were off that the fit had not seen.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

from tinydeploy.engines.aot.ir import Program, Step
from tinydeploy.estimate.pricing.terms import terms

SCHEMA = "tinydeploy.prices/1"
STRIPE = "stripes: step"
"""The term of a step that runs once a stripe."""
UNSEEN = 0.1
"""How far off a kernel is taken to be, of which too few ops were left out of the fit to tell."""

_LIKE = {"rv32imac": "rv32imc", "xtensa-lx6": "xtensa-lx106", "xtensa-lx7": "xtensa-lx106"}
"""Cores of the same instructions, or that no emulator here has, by the core whose prices they get."""


@dataclass(frozen=True)
class Prices:
    """The prices of a core's terms, and by kernel how far off they are: one standard deviation, as a part."""

    core: str
    ops: int
    terms: Mapping[str, float]
    off: Mapping[str, float]

    def step(self, step: Step) -> float | None:
        """The instructions of all calls of a step; None if its kernel, or the form of it, has no price."""
        counted = counts(step)
        if counted is None or f"{_form(counted)}: call" not in self.terms:
            return None
        return max(1.0, sum(self.terms.get(term, 0.0) * count for term, count in counted.items()))


@dataclass(frozen=True)
class Priced:
    """The instructions of a program as its terms say, and one standard deviation of them.

    `unknown` are the kernels that have no price.
    """

    instructions: int
    off: float
    unknown: tuple[str, ...]


def of_core(core: str) -> Prices | None:
    """The prices that are known for a core, or for the one that it is like; None without any."""
    return _read(_LIKE.get(core, core))


def is_borrowed(core: str) -> bool:
    """Whether a core's prices are another's."""
    return core in _LIKE


def counts(step: Step) -> dict[str, float] | None:
    """How often a step does what in an inference, stripes and all; None for a kernel without terms."""
    one = terms(step)
    if one is None:
        return None
    if step.stripes is None:
        return dict(one)
    times = len(step.stripes)
    return {term: times * count for term, count in one.items()} | {STRIPE: float(times)}


def priced(program: Program, prices: Prices | None) -> Priced:
    """All steps of the program, one inference; without prices all its kernels are unknown."""
    total, variance, unknown = 0.0, 0.0, []
    for _, steps in program.ops:
        for step in steps:
            found = prices.step(step) if prices else None
            if found is None or prices is None:
                unknown.append(step.kernel.name)
                continue
            total += found
            variance += (found * prices.off.get(step.kernel.name, UNSEEN)) ** 2
    return Priced(round(total), variance**0.5, tuple(dict.fromkeys(unknown)))


def _form(counted: Mapping[str, float]) -> str:
    """The kernel's name in its terms."""
    return next(term for term in counted if term.endswith(": call")).removesuffix(": call")


@functools.cache
def _read(core: str) -> Prices | None:
    file = resources.files(__package__).joinpath(f"{core}.json")
    if not file.is_file():
        return None
    told = json.loads(file.read_text(encoding="utf-8"))
    return Prices(told["core"], told["ops"], told["terms"], told["off"])
