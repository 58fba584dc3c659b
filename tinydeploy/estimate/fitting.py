"""What points say of a core's and its memories' timing: factors, and how well they predict.

The factors minimise the relative errors of the points together with how far they are from the model's: a
common scale is nearly free, the shape is held, and the line of flash stays as near its own figure as that
is known. So few points cannot bend it far, and with many they decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tinydeploy.estimate.core_models import CoreModel
from tinydeploy.estimate.counts import Counts
from tinydeploy.estimate.points import Point

_ERROR = 0.03  # relative error of a point that is nothing unusual
_SHAPE = 0.1  # by how much of itself one class may differ from the common scale
_SCALE = 0.2  # by how much that may differ from 1
_ENGINE = 0.02  # relative error of another engine's code than those of the points, beside their own
# The 0.9 quantile of Student's t by degrees of freedom, from 1 on: four of five lie within it.
_T = (3.078, 1.886, 1.638, 1.533, 1.476, 1.440, 1.415, 1.397, 1.383, 1.372, 1.363, 1.356, 1.350, 1.345, 1.341)
_T_MANY = 1.282
FLASH_LINE = "flash_lines"


@dataclass(frozen=True)
class Line:
    """Cycles that a newly fetched line of flash data costs, and by how much of itself that may be off."""

    cycles: float
    spread: float


@dataclass(frozen=True)
class Factors:
    """Cycles by class of Counts, that of FLASH_LINE among them.

    What they predict is within `spread` of itself four times of five.
    """

    cycles: Mapping[str, float]
    spread: float

    def predict(self, counts: Counts) -> float:
        """The cycles of what was executed."""
        return float(sum(each * getattr(counts, name) for name, each in self.cycles.items()))


def unfitted(model: CoreModel, line: Line, scale: float = 1.0) -> Factors:
    """The model's own, times a scale that was found elsewhere."""
    cycles = {name: scale * each for name, each in model.cycles.items()}
    return Factors({**cycles, FLASH_LINE: line.cycles}, model.spread)


def fit(model: CoreModel, line: Line, points: Sequence[Point]) -> Factors:
    """Factors for the points' board. The spread is what leaving out each of them in turn shows."""
    off = left_out(model, line, points)
    rms = float(np.sqrt(np.mean(np.square([*off, 0.0][: max(1, len(off))]))))
    freedom = max(1, len(points) - 1)
    t = _T[freedom - 1] if freedom <= len(_T) else _T_MANY
    return replace(_fitted(model, line, points), spread=t * float(np.hypot(rms, _ENGINE)))


def left_out(model: CoreModel, line: Line, points: Sequence[Point]) -> tuple[float, ...]:
    """For each point, by how much of itself it is mispredicted by factors that were fitted to the others."""
    return tuple(
        _fitted(model, line, [*points[:at], *points[at + 1 :]]).predict(point.counts) / point.cycles - 1
        for at, point in enumerate(points)
    )


def scale(model: CoreModel, factors: Factors) -> float:
    """By how much fitted factors differ from the model's, all classes together."""
    return float(np.mean([factors.cycles[name] / each for name, each in model.cycles.items()]))


def _fitted(model: CoreModel, line: Line, points: Sequence[Point]) -> Factors:
    """Least squares in the factors and the scale, which is the last unknown."""
    names = [*model.cycles, FLASH_LINE]
    prior = np.array([*model.cycles.values(), line.cycles])
    unknowns = len(names) + 1
    rows, sides = [], []
    for point in points:
        shares = np.array([getattr(point.counts, name) for name in names]) / point.cycles
        rows.append(np.append(shares, 0.0) / _ERROR)
        sides.append(1.0 / _ERROR)
    for at, each in enumerate(prior[:-1]):
        row = np.zeros(unknowns)
        row[at], row[-1] = 1 / (_SHAPE * each), -1 / _SHAPE
        rows.append(row)
        sides.append(0.0)
    for at, known, within in ((-2, line.cycles, line.spread * line.cycles), (-1, 1.0, _SCALE)):
        row = np.zeros(unknowns)
        row[at] = 1 / within
        rows.append(row)
        sides.append(known / within)
    found = np.linalg.lstsq(np.array(rows), np.array(sides), rcond=None)[0]
    return Factors(dict(zip(names, map(float, found[:-1]), strict=True)), model.spread)
