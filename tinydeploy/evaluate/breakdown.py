"""Accuracy by group, how far probabilities can be believed, and the class that each sample is taken for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.evaluate import accuracy
from tinydeploy.model.affine import dequantize
from tinydeploy.model.graph import Graph
from tinydeploy.model.metric_choice import CLASSES, Judge
from tinydeploy.model.outputs import Kind
from tinydeploy.results.measured import Accuracy

Array = npt.NDArray[Any]

BINS = 10  # of a reliability curve


@dataclass(frozen=True)
class GroupFigure:
    """The metric on one group's samples: None where it is undefined there."""

    group: str
    samples: int
    value: float | None


@dataclass(frozen=True)
class ReliabilityBin:
    """Samples whose largest probability lies in one stretch: how many, its mean, and how many were right."""

    samples: int
    confidence: float
    correct: float


@dataclass(frozen=True)
class Calibration:
    """Expected calibration error, and the reliability curve that it sums up.

    Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", 2015:
    the mean of |correct - confidence| over BINS stretches of equal width, weighted by their samples.
    """

    error: float
    curve: tuple[ReliabilityBin, ...]


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
    """How far the largest probability tells how often it is right; None where no output is probabilities."""
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


def _scores(judge: Judge, answers: Sequence[Array]) -> Array:
    """What the classes of each sample are given, [n, classes], in real units."""
    real = dequantize(answers[judge.output.position], judge.output.tensor)
    return judge.output.by_place(real).reshape(-1, judge.output.classes)
