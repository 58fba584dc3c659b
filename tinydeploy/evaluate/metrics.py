"""The formulas of the metrics, on numpy arrays alone; metric_table.py says what each is called.

Undefined figures are None: a recall without samples, an area under a curve with one class. Where scikit-learn
has a function of the same meaning, the figures are its with the default arguments (`balanced_accuracy_score`,
`roc_auc_score`, `f1_score`, `r2_score` …).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Counts = npt.NDArray[np.int64]
CONFUSION_CLASSES = 1024  # a matrix of more classes has more cells than anybody looks at


@dataclass(frozen=True, eq=False)
class Tally:
    """Per class, each [classes]: its samples, how many were taken for it, and how many of those rightly."""

    samples: Counts
    taken: Counts
    correct: Counts

    @property
    def precision(self) -> tuple[float | None, ...]:
        """The correct / taken of each class; None of one that nothing was taken for."""
        return _ratios(self.correct, self.taken)

    @property
    def recall(self) -> tuple[float | None, ...]:
        """The correct / samples of each class; None of one without samples."""
        return _ratios(self.correct, self.samples)

    @property
    def f1(self) -> tuple[float | None, ...]:
        """2 correct / (taken + samples) of each class, the harmonic mean of the two; None without either."""
        return _ratios(2 * self.correct, self.taken + self.samples)

    @property
    def iou(self) -> tuple[float | None, ...]:
        """The correct / (taken + samples - correct) of each class: Jaccard's index."""
        return _ratios(self.correct, self.taken + self.samples - self.correct)


def tally(truth: Array, taken: Array, classes: int) -> Tally:
    """Counts for class numbers `truth` and `taken`, both [n] and from 0 to `classes` - 1."""
    counts = [np.bincount(numbers, minlength=classes) for numbers in (truth, taken, truth[truth == taken])]
    return Tally(*(count.astype(np.int64) for count in counts))


def confusion(truth: Array, taken: Array, classes: int) -> Counts:
    """[i, j] counts samples of class i that were taken for class j; empty above CONFUSION_CLASSES classes."""
    if classes > CONFUSION_CLASSES:
        return np.zeros((0, 0), np.int64)
    pairs = np.bincount(truth.astype(np.int64) * classes + taken, minlength=classes * classes)
    return pairs.reshape(classes, classes).astype(np.int64)


def mean(figures: Sequence[float | None]) -> float | None:
    """The mean of those that are defined; None if none is."""
    defined = [figure for figure in figures if figure is not None]
    return float(np.mean(defined)) if defined else None


def place(scores: Array, truth: Array) -> Counts:
    """How many scores of a row come before its true class's: higher, or equal with a lower number. [n].

    `scores` is [n, classes]. Top-k accuracy is the share of places below k; place 0 is argmax.
    """
    rows = np.arange(len(truth))
    own = scores[rows, truth][:, np.newaxis]
    earlier = np.arange(scores.shape[1]) < truth[:, np.newaxis]
    return np.asarray(((scores > own) | ((scores == own) & earlier)).sum(axis=1), np.int64)


def auc(truth: Array, scores: Array) -> float | None:
    """The area under the ROC curve: the chance that a positive scores above a negative, a tie counting half.

    `truth` is [n] of bool, `scores` [n]. By ranks, ties sharing their mean rank (Mann and Whitney 1947;
    Hanley and McNeil 1982), in whole numbers, so exactly. None without both kinds.
    """
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return None
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    twice_rank = 2 * last - sizes + 1  # of each group of ties
    twice_sum = int(twice_rank[group.reshape(-1)][truth].sum())
    return (twice_sum - positives * (positives + 1)) / (2 * positives * negatives)


def subset_accuracy(truth: Array, taken: Array) -> float:
    """The share of rows [n, labels] of which every label is right."""
    return float((truth == taken).all(axis=1).mean())


def hamming_accuracy(truth: Array, taken: Array) -> float:
    """The share of single labels that are right: one minus the Hamming loss."""
    return float((truth == taken).mean())


def squared_error(values: Array, wanted: Array) -> npt.NDArray[np.float64]:
    """The mean squared error of each row: [n, …] against [n, …] gives [n]."""
    error = values.reshape(len(values), -1).astype(np.float64) - wanted.reshape(len(wanted), -1)
    return np.asarray((error**2).mean(axis=1))


def mae(values: Array, wanted: Array) -> float:
    """The mean absolute error over all elements."""
    return float(np.abs(values.astype(np.float64) - wanted).mean())


def rmse(values: Array, wanted: Array) -> float:
    """The root of the mean squared error over all elements."""
    return float(np.sqrt(((values.astype(np.float64) - wanted) ** 2).mean()))


def r2(values: Array, wanted: Array) -> float | None:
    """The coefficient of determination: 1 - residual / total sum of squares, averaged over the outputs.

    Both are [n, outputs]. Outputs whose wanted values are all the same have none; None if all are so.
    """
    exact = wanted.astype(np.float64)
    residual = ((values.astype(np.float64) - exact) ** 2).sum(axis=0)
    total = ((exact - exact.mean(axis=0)) ** 2).sum(axis=0)
    varying = (exact != exact[:1]).any(axis=0) & (total > 0)
    return float((1 - residual[varying] / total[varying]).mean()) if varying.any() else None


def _ratios(parts: Counts, wholes: Counts) -> tuple[float | None, ...]:
    return tuple(float(part / whole) if whole else None for part, whole in zip(parts, wholes, strict=True))
