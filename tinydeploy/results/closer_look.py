"""A closer look at a model's answers: by group, beside the float model, and how far they can be believed."""

from __future__ import annotations

from dataclasses import dataclass

from tinydeploy.results.measured import Share


@dataclass(frozen=True)
class GroupFigure:
    """The metric on one group's samples: the device's, and the float model's. None where it is undefined."""

    group: str
    samples: int
    value: float | None
    float_value: float | None = None


@dataclass(frozen=True)
class ReliabilityBin:
    """Samples whose largest probability lies in one stretch: how many, its mean, and how many were right."""

    samples: int
    confidence: Share
    correct: Share


@dataclass(frozen=True)
class Calibration:
    """Expected calibration error, and the reliability curve that it sums up; see breakdown.calibration."""

    error: Share
    curve: tuple[ReliabilityBin, ...]


@dataclass(frozen=True)
class Flip:
    """A sample that the float model and the device take for different classes.

    `sample` is its number among those that were run. `pixels` are those of its picture from 0 to 255, row by
    row, `width` a row and `channels` a pixel; none if it is no picture.
    """

    sample: int
    truth: str
    float_class: str
    device_class: str
    width: int = 0
    channels: int = 1
    pixels: tuple[int, ...] = ()


@dataclass(frozen=True)
class FloatSide:
    """The float model on the same samples: its file, what runs it, the metric, recall by class."""

    path: str
    sha256: str
    runs_on: str
    value: float
    recalls: tuple[float | None, ...]
    calibration: Calibration | None = None


@dataclass(frozen=True)
class CloserLook:
    """`flips` are the first of `flip_count`: of `right_before` the float model alone is right."""

    groups: tuple[GroupFigure, ...]
    calibration: Calibration | None
    floats: FloatSide | None
    flip_count: int
    right_before: int
    right_after: int
    flips: tuple[Flip, ...]
