"""Samples worth a look: those that the model gets most wrong, and those that it is least sure of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.evaluate import accuracy
from tinydeploy.evaluate.drawing import drawing
from tinydeploy.model.graph import Graph
from tinydeploy.model.labels import UnfitError
from tinydeploy.model.metric_choice import ANOMALY, CLASSES, FLAGS, SCORE, VALUES, YES_OR_NO, Judge, Task
from tinydeploy.model.outputs import Kind
from tinydeploy.model.samples import Samples
from tinydeploy.results.closer_look import ShownSample

Array = npt.NDArray[Any]

SHOWN = 6  # samples of each sort
_LISTED = 3  # values, or labels, of an answer


@dataclass(frozen=True, eq=False)
class _Ranks:
    """How far off each sample's answer is ([n]; 0 or less where it is right), and how sure it is.

    `margin` [n] is how much less certain it might be before the answer were another, None where nothing says
    that. `said` and `truth` put an answer in words.
    """

    off: Array
    margin: Array | None
    said: Callable[[int], str]
    truth: Callable[[int], str]


def shown(
    judge: Judge, graph: Graph, samples: Samples, answers: Sequence[Array]
) -> tuple[tuple[ShownSample, ...], tuple[ShownSample, ...]]:
    """At most SHOWN samples whose answers are worst, and of the others the least certain, in that order."""
    given = accuracy.copied(judge, graph, samples.inputs)
    try:
        ranks = _RANKED[judge.task](judge, accuracy.real(judge, answers), given)
    except UnfitError:
        return (), ()
    worst = [int(row) for row in np.argsort(-ranks.off, kind="stable")[:SHOWN] if ranks.off[row] > 0]
    unsure: list[int] = []
    if ranks.margin is not None:
        others = (int(row) for row in np.argsort(ranks.margin, kind="stable") if int(row) not in worst)
        unsure = [row for row, _ in zip(others, range(SHOWN), strict=False)]

    def drawn(row: int) -> ShownSample:
        return ShownSample(row, ranks.truth(row), ranks.said(row), drawing(samples.given[0][row]))

    return tuple(map(drawn, worst)), tuple(map(drawn, unsure))


def _classes(judge: Judge, real: Array, given: Array | None) -> _Ranks:
    truth = judge.truth
    if judge.output.kind is Kind.INDEX:
        taken = real.reshape(truth.shape).astype(np.int64)
        ahead = behind = np.zeros(truth.shape)
    else:
        scores = judge.output.by_place(real).reshape(*truth.shape, judge.output.classes)
        taken = scores.argmax(axis=-1)
        ordered = np.sort(scores, axis=-1)
        ahead = ordered[..., -1] - ordered[..., -2]
        behind = ordered[..., -1] - np.take_along_axis(scores, truth[..., None], axis=-1)[..., 0]
    wrong = taken != truth
    if judge.places > 1:
        share = wrong.mean(axis=1)
        return _Ranks(share, None, lambda row: f"{100 * (1 - share[row]):.1f} % of it right", lambda row: "")

    def said(row: int) -> str:
        sure = f" ({100 * ordered[row, 0, -1]:.0f} %)" if judge.output.kind is Kind.SOFTMAX else ""
        return f"{judge.names[taken[row, 0]]}{sure}"

    return _Ranks(
        (wrong * (1e-9 + behind))[:, 0],
        None if judge.output.kind is Kind.INDEX else ahead[:, 0],
        said,
        lambda row: judge.names[truth[row, 0]],
    )


def _one_score(judge: Judge, real: Array, given: Array | None) -> _Ranks:
    """Labels of 0 and 1 against scores [n]; without a threshold, against how they rank."""
    truth = judge.truth.reshape(-1)
    scores, threshold = accuracy.one_score(judge, real, given)
    if threshold is None:
        rank = np.argsort(np.argsort(scores, kind="stable"), kind="stable") / max(len(scores) - 1, 1)
        off = np.where(truth == 1, 0.5 - rank, rank - 0.5)
        return _Ranks(off, None, lambda row: f"{scores[row]:.3g}", lambda row: judge.names[truth[row]])
    yes, margin = scores >= threshold, np.abs(scores - threshold)
    return _Ranks(
        np.where(yes != (truth == 1), 1e-9 + margin, 0),
        margin,
        lambda row: f"{judge.names[int(yes[row])]} ({scores[row]:.3g})",
        lambda row: judge.names[truth[row]],
    )


def _flags(judge: Judge, real: Array, given: Array | None) -> _Ranks:
    count = judge.output.labels
    truth = judge.truth.reshape(len(real), -1, count)
    scores = judge.output.by_place(real).reshape(truth.shape)
    threshold = accuracy.flag_threshold(judge)
    taken = scores >= threshold

    def words(flags: Array) -> str:
        labels = [judge.names[label] for label in np.flatnonzero(flags.any(axis=0))]
        return accuracy.listed(labels, _LISTED) or "none"

    return _Ranks(
        (taken != truth).sum(axis=(1, 2)),
        np.abs(scores - threshold).min(axis=(1, 2)),
        lambda row: words(taken[row]),
        lambda row: words(truth[row] != 0),
    )


def _values(judge: Judge, real: Array, given: Array | None) -> _Ranks:
    values, truth = real.reshape(len(real), -1), judge.truth.reshape(len(real), -1)

    def words(row: Array) -> str:
        return accuracy.listed([f"{value:.3g}" for value in row], _LISTED)

    return _Ranks(
        np.abs(values - truth).mean(axis=1),
        None,
        lambda row: words(values[row]),
        lambda row: words(truth[row]),
    )


_RANKED: dict[Task, Callable[[Judge, Array, Array | None], _Ranks]] = {
    CLASSES: _classes,
    YES_OR_NO: _one_score,
    SCORE: _one_score,
    ANOMALY: _one_score,
    FLAGS: _flags,
    VALUES: _values,
}
