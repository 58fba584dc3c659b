"""A closer look at a model's answers: by group, beside the float model, and how far they can be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from tinydeploy.results.measured import Share
from tinydeploy.results.setting import Rule


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
class Drawing:
    """A sample to look at: a picture, the curves of a series, or features, which are bars.

    `levels` are bytes in Base64, row by row, `width` a row (pixels, steps or features) and `channels` each: 0
    is `low`, and 255 `high`, in the data's own units.
    """

    kind: Literal["picture", "series", "features"]
    width: Annotated[int, Rule({"minimum": 1})]
    channels: Annotated[int, Rule({"minimum": 1})]
    low: float
    high: float
    levels: Annotated[str, Rule({"contentEncoding": "base64"})]


@dataclass(frozen=True)
class Flip:
    """A sample that the float model and the device take for different classes.

    `sample` is its number among those that were run.
    """

    sample: int
    truth: str
    float_class: str
    device_class: str
    drawing: Drawing | None = None


@dataclass(frozen=True)
class ShownSample:
    """A sample by its number, what is true of it ("" if words do not say it), and what the device said."""

    sample: int
    truth: str
    said: str
    drawing: Drawing | None = None


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
    """`flips` are the first of `flip_count`: of `right_before` the float model alone is right.

    `worst` are samples whose answers are furthest off, `unsure` of the others those that might most easily
    have been another.
    """

    groups: tuple[GroupFigure, ...]
    calibration: Calibration | None
    floats: FloatSide | None
    flip_count: int
    right_before: int
    right_after: int
    flips: tuple[Flip, ...]
    worst: tuple[ShownSample, ...] | None = None
    unsure: tuple[ShownSample, ...] | None = None
