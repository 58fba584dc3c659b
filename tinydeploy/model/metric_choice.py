"""The choice of a metric: which one a model's output and the labels can have.

The metric follows from what the output is (`tasks`), not from the type of the labels; labels decide only
where one output can be several things.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.errors import DataError, UsageError
from tinydeploy.model import labels, outputs
from tinydeploy.model.graph import Graph
from tinydeploy.model.labels import Labels, UnfitError
from tinydeploy.model.outputs import Kind, Output
from tinydeploy.results import metric_table

Array = npt.NDArray[Any]

_TWO_SIDED = ("accuracy", "precision", "recall", "f1", "balanced_accuracy")


@dataclass(frozen=True)
class Task:
    """A way of judging: the metrics that it has, the default first."""

    words: str
    metrics: tuple[str, ...]


CLASSES = Task("classes", ("top1", "balanced_accuracy", "macro_f1", "auc", "mean_iou"))  # and topK
YES_OR_NO = Task("yes or no", ("accuracy", "auc", *_TWO_SIDED[1:]))
SCORE = Task("a score", ("auc", *_TWO_SIDED))
ANOMALY = Task("anomaly", ("auc", *_TWO_SIDED))
FLAGS = Task("labels of their own", ("macro_f1", "subset_accuracy", "hamming_accuracy", "auc"))
VALUES = Task("values", ("mae", "rmse", "r2"))
AT_A_THRESHOLD = (YES_OR_NO, SCORE, ANOMALY, FLAGS)


def tasks(output: Output) -> tuple[Task, ...]:
    """What the output can be judged as, the likeliest first: the first that the labels fit is taken.

    An output of an input's shape may be a reconstruction. Values may be logits of classes. A number by
    itself, with labels of 0 and 1, may be a logit or not: its area under the ROC curve is the same.
    """
    first = {
        Kind.SOFTMAX: (CLASSES, VALUES),
        Kind.LOGITS: (CLASSES, VALUES),
        Kind.INDEX: (CLASSES,),
        Kind.LOGISTIC: (YES_OR_NO, VALUES) if output.labels == 1 else (FLAGS, VALUES),
        Kind.RAW: (SCORE, VALUES) if output.labels == 1 else (CLASSES, VALUES),
    }[output.kind]
    return first if output.copies is None else (ANOMALY, *first)


def on_demand(output: Output) -> tuple[Task, ...]:
    """What `--metric` can ask for besides: the largest of several LOGISTICs, say, as the class."""
    several = {Kind.LOGISTIC: (CLASSES,), Kind.RAW: (FLAGS,)} if output.labels > 1 else {}
    return several.get(output.kind, ())


@dataclass(frozen=True)
class Wishes:
    """What a user asks for: a metric by name, an output by number or tensor name, the classes' names.

    From `threshold` on, in real units, an output or an anomaly score says yes. None leaves the choice.
    """

    metric: str | None = None
    output: str | None = None
    threshold: float | None = None
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: Mapping[str, Any], names: Sequence[str] = ()) -> Wishes:
        """From options by their names; the classes are `names` unless the options have labels."""
        output = options.get("output")
        return cls(
            options.get("metric"),
            None if output is None else str(output),
            options.get("threshold"),
            tuple(options.get("labels") or names),
        )


NO_WISHES = Wishes()


@dataclass(frozen=True, eq=False)
class Judge:
    """What the answers to labelled samples are held against, and how. `truth` is as `task` reads labels."""

    output: Output
    task: Task
    metric: str
    truth: Array
    names: tuple[str, ...]
    told: str
    chosen: str
    threshold: float | None = None

    @property
    def strata(self) -> Array | None:
        """The class of each sample, [n]; None where samples have no single class."""
        single = self.truth.dtype == np.int64 and self.truth.shape[1] == 1
        return self.truth[:, 0] if single else None

    @property
    def places(self) -> int:
        """How many places of each sample are judged, such as pixels; 1 if it is judged as a whole."""
        return self.truth.shape[1] if self.task is not VALUES else 1

    def of(self, rows: Array) -> Judge:
        """The same for some of the samples."""
        return replace(self, truth=self.truth[rows])


def choose(graph: Graph, y: Array, wishes: Wishes) -> Judge | str:
    """How answers are judged by the labels `y` of all samples, or why they cannot be.

    The output is the one that was asked for, else the first; if the labels do not fit that one but exactly
    one other, then that. Raises DataError for labels that fit no output, and UsageError for a metric that no
    output has.
    """
    everything = outputs.outputs(graph)
    first = outputs.named(graph, wishes.output) if wishes.output is not None else everything[0]
    _check(wishes, first, everything)
    why = "--output" if wishes.output is not None else "the first output" if len(everything) > 1 else ""
    lacking = misfit = UnfitError(f"it has no {wishes.metric}")
    others: list[Judge] = []
    for ways in (tasks, on_demand) if wishes.metric is not None else (tasks,):
        try:
            return _judge(first, ways(first), y, wishes, why)
        except UnfitError as error:
            misfit = error if misfit is lacking and error.reason != lacking.reason else misfit
        others = list(_others(everything, first, ways, y, wishes))
        if len(others) == 1 and wishes.output is None:
            return others[0]
        if others and wishes.output is None:
            break
    hint = misfit.hint
    if others:
        hint = f"y fits {' and '.join(judge.output.name for judge in others)}: choose with --output"
    whole = y.size > len(y)  # such labels are of one output's shape, and of no other's
    if wishes.metric is not None or (not others and (misfit.wrong or whole)):
        raise DataError(f"{misfit.reason} (judged by {first.name})", hint)
    return f"{first.name} is {_described(first)}, and {misfit.reason}" + (f" ({hint})" if hint else "")


def _others(
    everything: Sequence[Output],
    first: Output,
    ways: Callable[[Output], tuple[Task, ...]],
    y: Array,
    wishes: Wishes,
) -> Iterator[Judge]:
    """The judges of all other outputs that the labels fit."""
    for output in everything:
        if output.position != first.position:
            try:
                yield _judge(output, ways(output), y, wishes, "the only output that y fits")
            except (UnfitError, UsageError):
                continue


def _check(wishes: Wishes, output: Output, everything: Sequence[Output]) -> None:
    if wishes.metric is not None:
        if metric_table.metric(wishes.metric) is None:
            raise UsageError(
                f"unknown metric '{wishes.metric}'", f"known: {', '.join(metric_table.METRICS)}, topK"
            )
        asked = [output] if wishes.output is not None else everything
        if not any(
            _has(task, wishes.metric, one) for one in asked for task in (*tasks(one), *on_demand(one))
        ):
            can = [
                name
                for name in metric_table.METRICS
                if any(_has(task, name, output) for task in (*tasks(output), *on_demand(output)))
            ]
            raise UsageError(
                f"{output.name} is {_described(output)}, which has no {wishes.metric}",
                f"it can have {', '.join(can)}",
            )


def _has(task: Task, metric: str, output: Output) -> bool:
    if metric == "mean_iou":
        return task is CLASSES and output.places > 1
    if metric == "auc" and task is CLASSES:
        return output.classes == 2 and output.kind is not Kind.INDEX
    if (k := metric_table.top_k(metric)) is not None:
        return task is CLASSES and (k == 1 or (output.kind is not Kind.INDEX and k < output.classes))
    return metric in task.metrics


def _described(output: Output) -> str:
    shape = "×".join(map(str, output.grid))
    where = f" at each of {shape} places" if output.places > 1 else ""
    what = {
        Kind.SOFTMAX: f"a SOFTMAX of {output.classes} classes",
        Kind.LOGITS: f"logits of {output.classes} classes",
        Kind.INDEX: f"the number of one of {output.classes} classes",
        Kind.LOGISTIC: "one LOGISTIC" if output.labels == 1 else f"{output.labels} LOGISTICs",
        Kind.RAW: "a number" if output.labels == 1 else f"{output.labels} values",
    }[output.kind]
    return what + where


def _judge(output: Output, possible: tuple[Task, ...], y: Array, wishes: Wishes, why: str) -> Judge:
    """Raises UnfitError if the labels fit none of the possible tasks."""
    if wishes.metric is not None:
        possible = tuple(task for task in possible if _has(task, wishes.metric, output))
    misfit = UnfitError(f"it has no {wishes.metric}")
    for number, task in enumerate(possible):
        try:
            read = _READERS[task](output, y, wishes)
        except UnfitError as error:
            # The likeliest reading tells the reason; that it is no reconstruction is rarely one.
            if number == 0 or (possible[number - 1] is ANOMALY and not misfit.wrong):
                misfit = error
            continue
        metric = wishes.metric or task.metrics[0]
        _check_threshold(output, task, metric, wishes.threshold)
        return Judge(
            output,
            task,
            metric,
            read.values,
            _names(output, task, wishes.names or read.names),
            f"y: {read.told}",
            _chosen(output, task, wishes, why),
            wishes.threshold,
        )
    raise misfit


def _chosen(output: Output, task: Task, wishes: Wishes, why: str) -> str:
    what = _described(output)
    if task is ANOMALY:
        what = f"a reconstruction of input {output.copies}, by the mean squared error of each sample"
    by = ", ".join(filter(None, (why, "--metric" if wishes.metric else "")))
    return f"{output.name}, {what}" + (
        f"; chosen by {by}" if by.startswith("--") else f"; {by}" if by else ""
    )


def _check_threshold(output: Output, task: Task, metric: str, threshold: float | None) -> None:
    if threshold is None:
        if task in (SCORE, ANOMALY) and metric != "auc":
            raise UsageError(
                f"{metric} of {output.name} needs a threshold", "give --threshold, in real units"
            )
        return
    if task not in AT_A_THRESHOLD:
        raise UsageError(
            f"{output.name} is judged by {task.words}, which have no threshold", "leave --threshold out"
        )
    if output.kind is Kind.LOGISTIC and task is not ANOMALY and not 0 <= threshold <= 1:
        raise UsageError(f"a threshold of {threshold:g} for a LOGISTIC", "its outputs lie between 0 and 1")


def _names(output: Output, task: Task, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names of what is counted; numbers if they have none. Raises UsageError for a wrong count."""
    if task is VALUES:
        return ()
    count = {CLASSES: output.classes, FLAGS: output.labels}.get(task, 2)
    if names and len(names) != count:
        raise UsageError(
            f"`labels` has {len(names)} names, and {output.name} tells {count} apart",
            "give one name for each",
        )
    if len({*names}) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"`labels` has '{twice}' twice")
    return names or tuple(map(str, range(count)))


# How each task reads labels


def _read_classes(output: Output, y: Array, wishes: Wishes) -> Labels:
    if output.classes < 2:
        raise UnfitError("that is a single class")
    return labels.class_numbers(y, output.classes, output.grid, wishes.names)


def _read_yes_or_no(output: Output, y: Array, wishes: Wishes) -> Labels:
    return labels.two_classes(y, output.grid, wishes.names)


def _read_score(output: Output, y: Array, wishes: Wishes) -> Labels:
    read = labels.two_classes(y, output.grid, wishes.names)
    if y.dtype.kind in "iuf" and len(np.unique(read.values)) < 2 and wishes.metric is None:
        raise UnfitError("all of them are the same")  # values just as well
    return read


def _read_anomaly(output: Output, y: Array, wishes: Wishes) -> Labels:
    if y.dtype.kind in "SU" and not wishes.names:
        raise UnfitError(
            "y holds names",
            'labels = ["normal", "anomaly"] in tinydeploy.toml says which is which',
            wrong=True,
        )
    try:
        return labels.two_classes(y, (), wishes.names, "an anomaly")
    except UnfitError as error:
        raise UnfitError(error.reason, error.hint) from None  # it may be something else


def _read_flags(output: Output, y: Array, wishes: Wishes) -> Labels:
    return labels.flags(y, output.labels, output.grid)


def _read_values(output: Output, y: Array, wishes: Wishes) -> Labels:
    limits = (0.0, 1.0) if output.kind in (Kind.SOFTMAX, Kind.LOGISTIC) else None
    return labels.wanted_values(y, output.tensor.shape, limits)


_READERS: dict[Task, Callable[[Output, Array, Wishes], Labels]] = {
    CLASSES: _read_classes,
    YES_OR_NO: _read_yes_or_no,
    SCORE: _read_score,
    ANOMALY: _read_anomaly,
    FLAGS: _read_flags,
    VALUES: _read_values,
}
