"""Accuracy: how good a model's answers are, by the figures of a Judge, for the device and the host."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.evaluate import metrics
from tinydeploy.evaluate.metrics import Tally
from tinydeploy.model.affine import dequantize
from tinydeploy.model.graph import Graph
from tinydeploy.model.labels import UnfitError
from tinydeploy.model.metric_choice import ANOMALY, CLASSES, FLAGS, SCORE, VALUES, YES_OR_NO, Judge, Task
from tinydeploy.model.outputs import Kind
from tinydeploy.results import metric_table
from tinydeploy.results.measured import Accuracy, ClassFigure, JudgedOutput

Array = npt.NDArray[Any]
Figures = dict[str, float | None]

PROBABILITY = 0.5  # from there on a LOGISTIC says yes; that of a logit of 0
_NAMED = 6  # so many classes are named in a warning


@dataclass(frozen=True, eq=False)
class _Found:
    """What one side's answers come to: figures by metric, and `chance`, what a constant answer would reach.

    `problem` says why a figure that is None is undefined.
    """

    figures: Figures
    chance: Figures
    problem: str
    per_class: tuple[ClassFigure, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    doubts: tuple[str, ...] = ()
    threshold: float | None = None
    right: str | None = None


def accuracy(
    judge: Judge,
    graph: Graph,
    inputs: Sequence[Array],
    answers: Sequence[Array],
    reference: Sequence[Array] | None,
) -> Accuracy | str:
    """The figures of the device's `answers`, beside the host's; or why there are none.

    `inputs`, `answers` and `reference` hold an array [n, *shape] per model input and output.
    """
    given = copied(judge, graph, inputs)
    score = _SCORERS[judge.task]
    try:
        found = score(judge, real(judge, answers), given)
        theirs = score(judge, real(judge, reference), given) if reference else None
    except UnfitError as error:
        return f"{judge.output.name}: {error.reason}"
    value = found.figures[judge.metric]
    if value is None:
        return f"{metric_table.words(judge.metric)} of {judge.output.name} is undefined: {found.problem}"
    also = {name: also for name, also in found.figures.items() if name != judge.metric and also is not None}
    return Accuracy(
        metric=judge.metric,
        value=value,
        samples=len(judge.truth),
        reference=theirs.figures[judge.metric] if theirs else None,
        per_class=found.per_class,
        confusion=found.confusion,
        also=also,
        output=JudgedOutput(judge.output.position, judge.output.tensor.name, judge.output.kind.value),
        chosen=judge.chosen,
        labels=judge.told,
        threshold=found.threshold,
        chance=found.chance.get(judge.metric),
        places=judge.places,
        doubts=(*found.doubts, *_no_better_than_chance(judge.metric, found)),
        right=found.right,
    )


def copied(judge: Judge, graph: Graph, inputs: Sequence[Array]) -> Array | None:
    """The input [n, *shape] that an output judged for anomalies rebuilds, in real units; else None."""
    if judge.task is not ANOMALY or judge.output.copies is None:
        return None
    return dequantize(inputs[judge.output.copies], graph.tensors[graph.inputs[judge.output.copies]])


def real(judge: Judge, answers: Sequence[Array]) -> Array:
    """The judged output [n, *shape] in real units; class numbers as they are. Raises UnfitError."""
    values = answers[judge.output.position]
    if judge.output.kind is not Kind.INDEX:
        values = dequantize(values, judge.output.tensor)
    if not np.isfinite(values).all():
        raise UnfitError("its values are not all finite")
    return values


def _no_better_than_chance(metric: str, found: _Found) -> tuple[str, ...]:
    """A warning if the metric, or one beside it that has a chance to compare with, is at it or below."""
    for name in (metric, *found.chance):
        value, chance = found.figures.get(name), found.chance.get(name)
        if value is not None and chance is not None:
            if value > chance:
                return ()
            constant = f"the {_shown(name, chance)} of a model that always answers the same"
            return (f"{metric_table.words(name)} is {_shown(name, value)}, no better than {constant}",)
    return ()


def _shown(name: str, value: float) -> str:
    found = metric_table.metric(name)
    return f"{value:.1%}" if found and found.share else f"{value:.3g}"


def _classes(judge: Judge, real: Array, given: Array | None) -> _Found:
    classes, truth = judge.output.classes, judge.truth.reshape(-1)
    if judge.output.kind is Kind.INDEX:
        taken = real.reshape(-1).astype(np.int64)
        if taken.min() < 0 or taken.max() >= classes:
            raise UnfitError(f"it names the classes {taken.min()} to {taken.max()} of {classes}")
        return _counted(judge, truth, taken, classes, {"top1": _share(truth == taken)})
    scores = judge.output.by_place(real).reshape(-1, classes)
    place = metrics.place(scores, truth)
    figures: Figures = {"top1": _share(place == 0)}
    wanted = metric_table.top_k(judge.metric) or 1
    k = wanted if wanted > 1 else 5 if classes > 5 else 2
    if k < classes:
        figures[f"top{k}"] = _share(place < k)
    if classes == 2:
        ahead = (
            scores[:, 1]
            if judge.output.kind is Kind.SOFTMAX
            else scores[:, 1].astype(np.float64) - scores[:, 0]
        )
        figures["auc"] = metrics.auc(truth == 1, ahead)
    return _counted(judge, truth, scores.argmax(axis=1), classes, figures)


def _share(right: Array) -> float:
    return float(right.mean())


def _counted(judge: Judge, truth: Array, taken: Array, classes: int, figures: Figures) -> _Found:
    """What follows from how many of each class were taken for which."""
    tally = metrics.tally(truth, taken, classes)
    figures = figures | {"balanced_accuracy": metrics.mean(tally.recall), "macro_f1": metrics.mean(tally.f1)}
    if judge.places > 1:
        figures["mean_iou"] = metrics.mean(tally.iou)
    present, chance = int((tally.samples > 0).sum()), Figures()
    if present > 1:
        commonest = float(tally.samples.max() / len(truth))
        chance = {"top1": commonest, "accuracy": commonest, "balanced_accuracy": 1 / present, "auc": 0.5}
    confusion = tuple(tuple(map(int, row)) for row in metrics.confusion(truth, taken, classes))
    return _Found(
        figures,
        chance,
        _one_class(judge, tally),
        _per_class(judge.names, tally),
        confusion,
        _missing(judge, tally),
        right="".join("01"[hit] for hit in (truth == taken).tolist()) if judge.places == 1 else None,
    )


def _per_class(names: Sequence[str], tally: Tally) -> tuple[ClassFigure, ...]:
    rows = zip(names, tally.samples, tally.correct, tally.precision, tally.recall, tally.f1, strict=True)
    return tuple(
        ClassFigure(name, int(samples), int(correct), precision, recall, f1)
        for name, samples, correct, precision, recall, f1 in rows
    )


def _one_class(judge: Judge, tally: Tally) -> str:
    return f"every sample is of the class '{judge.names[int(tally.samples.argmax())]}'"


def _missing(judge: Judge, tally: Tally) -> tuple[str, ...]:
    absent = [name for name, samples in zip(judge.names, tally.samples, strict=True) if not samples]
    if len(absent) == len(judge.names) - 1:
        return (f"{_one_class(judge, tally)}: that says nothing about the others",)
    return (
        (f"{len(absent)} of {len(judge.names)} classes have no samples: {listed(absent)}",) if absent else ()
    )


def listed(words: Sequence[str], most: int = _NAMED) -> str:
    """The first `most` words, and whether there are more."""
    return ", ".join(words[:most]) + (" …" if len(words) > most else "")


def one_score(judge: Judge, real: Array, given: Array | None) -> tuple[Array, float | None]:
    """The score of each sample [n] where labels are 0 and 1, and from where on it says yes, if anything does.

    It is the output itself, or how far off an anomaly is from what was `given`.
    """
    if judge.task is ANOMALY:
        assert given is not None
        return metrics.squared_error(real, given), judge.threshold
    if judge.task is YES_OR_NO and judge.threshold is None:
        return real.reshape(-1), PROBABILITY
    return real.reshape(-1), judge.threshold


def _two_sided(judge: Judge, real: Array, given: Array | None) -> _Found:
    """Labels of 0 and 1 against scores, which say yes from a threshold on; without one, their ranking."""
    truth = judge.truth.reshape(-1)
    scores, threshold = one_score(judge, real, given)
    area = metrics.auc(truth == 1, scores)
    if threshold is None:
        tally = metrics.tally(truth, truth, 2)
        return _Found({"auc": area}, {"auc": 0.5}, _one_class(judge, tally), doubts=_missing(judge, tally))
    taken = (scores >= threshold).astype(np.int64)
    found = _counted(judge, truth, taken, 2, {"accuracy": _share(truth == taken), "auc": area})
    yes = found.per_class[1]
    own: Figures = {"precision": yes.precision, "recall": yes.recall, "f1": yes.f1}
    problem = found.problem if area is None else f"no sample is taken for '{yes.label}'"
    figures = {name: figure for name, figure in (found.figures | own).items() if name != "macro_f1"}
    return replace(found, figures=figures, threshold=threshold, problem=problem)


def flag_threshold(judge: Judge) -> float:
    """From where on each of an output's labels is set."""
    if judge.threshold is not None:
        return judge.threshold
    return 0.0 if judge.output.kind is Kind.RAW else PROBABILITY


def _flags(judge: Judge, real: Array, given: Array | None) -> _Found:
    count = judge.output.labels
    threshold = flag_threshold(judge)
    truth, scores = judge.truth.reshape(-1, count), judge.output.by_place(real).reshape(-1, count)
    taken = scores >= threshold
    tally = Tally(*(flag.sum(axis=0, dtype=np.int64) for flag in (truth, taken, truth & taken)))
    often = truth.mean(axis=0)
    figures: Figures = {
        "macro_f1": metrics.mean(tally.f1),
        "subset_accuracy": metrics.subset_accuracy(truth, taken),
        "hamming_accuracy": metrics.hamming_accuracy(truth, taken),
        "auc": metrics.mean([metrics.auc(truth[:, label], scores[:, label]) for label in range(count)]),
    }
    absent = [name for name, samples in zip(judge.names, tally.samples, strict=True) if not samples]
    return _Found(
        figures,
        {"hamming_accuracy": float(np.maximum(often, 1 - often).mean()), "auc": 0.5},
        "no label is set, nor found"
        if not truth.any()
        else "no label is set in some samples and not in others",
        _per_class(judge.names, tally),
        doubts=(f"{len(absent)} of {count} labels are never set in y: {listed(absent)}",) if absent else (),
        threshold=threshold,
    )


def _values(judge: Judge, real: Array, given: Array | None) -> _Found:
    values = real.reshape(len(real), -1)
    explained = metrics.r2(values, judge.truth)
    doubts: tuple[str, ...] = ()
    if explained is not None and explained <= 0:
        doubts = (f"R² is {explained:.3g}: a model that always answers the mean of y is no worse",)
    figures = {
        "mae": metrics.mae(values, judge.truth),
        "rmse": metrics.rmse(values, judge.truth),
        "r2": explained,
    }
    return _Found(figures, {}, "the wanted values of each output are all the same", doubts=doubts)


_SCORERS: dict[Task, Callable[[Judge, Array, Array | None], _Found]] = {
    CLASSES: _classes,
    YES_OR_NO: _two_sided,
    SCORE: _two_sided,
    ANOMALY: _two_sided,
    FLAGS: _flags,
    VALUES: _values,
}
