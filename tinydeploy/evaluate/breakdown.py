"""Accuracy by group, how far probabilities can be believed, and the class that each sample is taken for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.evaluate import accuracy, shown_samples
from tinydeploy.evaluate.drawing import drawing
from tinydeploy.model.affine import dequantize
from tinydeploy.model.graph import Graph
from tinydeploy.model.metric_choice import CLASSES, Judge
from tinydeploy.model.outputs import Kind
from tinydeploy.model.samples import Samples
from tinydeploy.results.closer_look import (
    Calibration,
    CloserLook,
    Flip,
    FloatSide,
    GroupFigure,
    ReliabilityBin,
)
from tinydeploy.results.measured import Accuracy

Array = npt.NDArray[Any]

BINS = 10  # of a reliability curve
_FLIPS = 12  # of them are shown


@dataclass(frozen=True, eq=False)
class FloatAnswers:
    """What a float model says of the samples: its file, graph, judge, an array [n, *shape] per output."""

    path: str
    sha256: str
    runs_on: str
    graph: Graph
    judge: Judge
    outputs: Sequence[Array]


def by_group(
    judge: Judge, graph: Graph, inputs: Sequence[Array], answers: Sequence[Array], groups: Array
) -> tuple[GroupFigure, ...]:
    """The judge's metric on each group's samples: `groups` is [n], the rest as accuracy() has it."""
    figures = []
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        found = accuracy.accuracy(
            judge.of(rows), graph, [x[rows] for x in inputs], [a[rows] for a in answers], None
        )
        value = found.value if isinstance(found, Accuracy) else None
        figures.append(GroupFigure(str(group), len(rows), value))
    return tuple(figures)


def calibration(judge: Judge, answers: Sequence[Array]) -> Calibration | None:
    """How far the largest probability tells how often it is right; None where no output is probabilities.

    The mean of |correct - confidence| over BINS stretches of equal width, weighted by their samples: Naeini,
    Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", 2015.
    """
    if judge.task is not CLASSES or judge.output.kind is not Kind.SOFTMAX or judge.places > 1:
        return None
    scores = _scores(judge, answers)
    confidence, right = scores.max(axis=1), scores.argmax(axis=1) == judge.truth.reshape(-1)
    which = np.clip((confidence * BINS).astype(int), 0, BINS - 1)
    curve, error = [], 0.0
    for number in range(BINS):
        own = which == number
        if not own.any():
            curve.append(ReliabilityBin(0, 0.0, 0.0))
            continue
        found = ReliabilityBin(int(own.sum()), float(confidence[own].mean()), float(right[own].mean()))
        error += found.samples / len(scores) * abs(found.correct - found.confidence)
        curve.append(found)
    return Calibration(error, tuple(curve))


def classes(judge: Judge, answers: Sequence[Array]) -> Array | None:
    """The class that each sample is taken for, [n]; None where samples have no single class."""
    if judge.task is not CLASSES or judge.places > 1:
        return None
    if judge.output.kind is Kind.INDEX:
        return answers[judge.output.position].reshape(-1).astype(np.int64)
    return np.asarray(_scores(judge, answers).argmax(axis=1))


def look(
    graph: Graph, samples: Samples, answers: Sequence[Array], floats: FloatAnswers | None
) -> CloserLook | None:
    """The device's `answers` by group, beside the float model's; None if there is nothing to look at."""
    judge = samples.judge
    if judge is None:
        return None
    curve = calibration(judge, answers)
    worst, unsure = shown_samples.shown(judge, graph, samples, answers)
    if samples.groups is None and floats is None and curve is None and not worst and not unsure:
        return None
    groups: tuple[GroupFigure, ...] = ()
    if samples.groups is not None:
        groups = by_group(judge, graph, samples.inputs, answers, samples.groups)
        if floats is not None:
            theirs = by_group(floats.judge, floats.graph, samples.given, floats.outputs, samples.groups)
            pairs = zip(groups, theirs, strict=True)
            groups = tuple(replace(one, float_value=other.value) for one, other in pairs)
    flips = _flips(judge, samples, answers, floats) if floats is not None else ((), 0, 0, 0)
    beside = _float_side(samples, floats)
    return CloserLook(groups, curve, beside, *flips[1:], flips[0], worst or None, unsure or None)


def _float_side(samples: Samples, floats: FloatAnswers | None) -> FloatSide | None:
    if floats is None:
        return None
    found = accuracy.accuracy(floats.judge, floats.graph, samples.given, floats.outputs, None)
    if not isinstance(found, Accuracy):
        return None
    return FloatSide(
        floats.path,
        floats.sha256,
        floats.runs_on,
        found.value,
        tuple(figure.recall for figure in found.per_class),
        calibration(floats.judge, floats.outputs),
    )


def _flips(
    judge: Judge, samples: Samples, answers: Sequence[Array], floats: FloatAnswers
) -> tuple[tuple[Flip, ...], int, int, int]:
    """The first samples that are taken for other classes, how many there are, and which side was right."""
    before, after = classes(floats.judge, floats.outputs), classes(judge, answers)
    if before is None or after is None:
        return (), 0, 0, 0
    truth, rows = judge.truth.reshape(-1), np.flatnonzero(before != after)
    right = int((before[rows] == truth[rows]).sum()), int((after[rows] == truth[rows]).sum())
    shown = []
    for row in rows[:_FLIPS]:
        wanted, theirs, ours = (judge.names[number] for number in (truth[row], before[row], after[row]))
        shown.append(Flip(int(row), wanted, theirs, ours, drawing(samples.given[0][row])))
    return tuple(shown), len(rows), *right


def _scores(judge: Judge, answers: Sequence[Array]) -> Array:
    """What the classes of each sample are given, [n, classes], in real units."""
    real = dequantize(answers[judge.output.position], judge.output.tensor)
    return judge.output.by_place(real).reshape(-1, judge.output.classes)
