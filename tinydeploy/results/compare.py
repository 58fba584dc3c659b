"""The comparison of results: what keeps it from being made, every figure side by side, and what changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import PurePath

from tinydeploy.results import metric_table
from tinydeploy.results.measured import OpCost, Spread
from tinydeploy.results.result import Result
from tinydeploy.results.statistics import interval, mcnemar

_LONG = 24  # characters of a name that heads a column


@dataclass(frozen=True)
class Figure:
    """One figure of several results, each held against the first; None where a result has none.

    `unit` is as a Gate's. `higher` says that more is better.
    """

    name: str
    label: str
    unit: str
    values: tuple[float | None, ...]
    higher: bool = False

    def delta(self, index: int) -> float | None:
        """How much more it is than in the first."""
        first, other = self.values[0], self.values[index]
        return None if first is None or other is None else other - first

    def ratio(self, index: int) -> float | None:
        """What part it is of the first."""
        first, other = self.values[0], self.values[index]
        return None if not first or other is None else other / first

    def better(self, index: int) -> bool | None:
        """Whether it is better than in the first; None if it is the same, or not known."""
        delta = self.delta(index)
        return None if not delta else (delta > 0) == self.higher


@dataclass(frozen=True)
class OpChange:
    """One op of several results: its kernel, count, and constant and scratch bytes; None where it is not."""

    index: int
    op: str
    costs: tuple[OpCost | None, ...]

    @property
    def changed(self) -> bool:
        """Whether anything that is shown of it differs from the first."""
        return len({_shown(cost) for cost in self.costs}) > 1


@dataclass(frozen=True)
class Flips:
    """Samples that the first result has right and another wrong (`lost`), or the other way round (`won`).

    `p` is McNemar's: how likely such a split is if neither is better.
    """

    lost: tuple[int, ...]
    won: tuple[int, ...]
    p: float


@dataclass(frozen=True)
class Comparison:
    """Results side by side. `obstacles` are, for each but the first, what keeps it from being compared.

    `intervals` is where each result's share of right samples lies, at 95 %; `flips` is None without samples
    that are the same.
    """

    results: tuple[Result, ...]
    names: tuple[str, ...]
    obstacles: tuple[tuple[str, ...], ...]
    figures: tuple[Figure, ...]
    ops: tuple[OpChange, ...]
    intervals: tuple[tuple[float, float] | None, ...]
    flips: tuple[Flips | None, ...]

    @property
    def short(self) -> tuple[str, ...]:
        """The names without what all have in common."""
        return short_names(self.names)

    @property
    def obstructed(self) -> tuple[str, ...]:
        """Every obstacle, once."""
        return tuple(dict.fromkeys(reason for some in self.obstacles for reason in some))


def compare(results: Sequence[Result], names: Sequence[str]) -> Comparison:
    """All results against the first."""
    first, others = results[0], results[1:]
    return Comparison(
        tuple(results),
        tuple(names),
        tuple(obstacles(first, other) for other in others),
        figures(results),
        _ops(results),
        tuple(map(_interval, results)),
        tuple(flips(first, other) for other in others),
    )


def short_names(names: Sequence[str]) -> tuple[str, ...]:
    """Paths without the parts that all begin or end with; of long ones, also without such words.

    Names that would be nothing without keep the nearest word; those that are all the same stay as they are.
    """
    short = _without_common([PurePath(name).parts for name in names])
    found = tuple(str(PurePath(*parts)) for parts in short)
    if max(map(len, found)) > _LONG and all(len(parts) == 1 for parts in short):
        found = tuple("-".join(words) for words in _without_common([name.split("-") for name in found]))
    return found


def _without_common(named: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    if len({tuple(parts) for parts in named}) == 1:
        return [*named]
    start, end = _common(named), _common([parts[::-1] for parts in named])
    least = min(map(len, named))
    start = min(start, least - 1)
    end = min(end, least - 1 - start)
    return [parts[start : len(parts) - end] for parts in named]


def _common(named: Sequence[Sequence[str]]) -> int:
    """How many parts all begin with."""
    return sum(1 for _ in takewhile(lambda parts: len({*parts}) == 1, zip(*named, strict=False)))


def obstacles(first: Result, other: Result) -> tuple[str, ...]:
    """What makes the figures of two results say nothing of each other, a phrase each."""
    pairs = (
        ("board", first.board.id, other.board.id),
        ("target", first.target.kind, other.target.kind),
        ("unit", first.unit, other.unit),
        ("compiler", first.build.compiler, other.build.compiler),
        ("data", _samples(first), _samples(other)),
        ("number of runs", f"{first.counts.runs:,}", f"{other.counts.runs:,}"),
    )
    return tuple(
        f"the {what} differs: {_short(ours)} and {_short(theirs)}"
        for what, ours, theirs in pairs
        if ours != theirs
    )


def same_samples(first: Result, other: Result) -> bool:
    """Whether both ran the very same samples."""
    return (_samples(first), first.counts.runs) == (_samples(other), other.counts.runs)


def _samples(result: Result) -> str:
    """Which samples were run: by the hash of their file where there is one, wherever the file is."""
    data = result.provenance.data
    return data.partition(", sha256 ")[2] or data


def flips(first: Result, other: Result) -> Flips | None:
    """Which samples are right in one alone; None unless both ran the same, each with a class."""
    ours = first.accuracy.right if first.accuracy else None
    theirs = other.accuracy.right if other.accuracy else None
    if not ours or not theirs or len(ours) != len(theirs) or not same_samples(first, other):
        return None
    pairs = list(enumerate(zip(ours, theirs, strict=True)))
    lost = tuple(number for number, pair in pairs if pair == ("1", "0"))
    won = tuple(number for number, pair in pairs if pair == ("0", "1"))
    return Flips(lost, won, mcnemar(len(lost), len(won)))


def _median(unit: str) -> Callable[[Result], float | None]:
    def found(result: Result) -> float | None:
        spread: Spread | None = getattr(result, unit)
        return None if spread is None else spread.median

    return found


_FIGURES: tuple[tuple[str, str, str, Callable[[Result], float | None]], ...] = (
    ("instructions", "Instructions", "count", _median("instructions")),
    ("cycles", "Cycles", "count", _median("cycles")),
    ("latency", "Time", "µs", _median("time_us")),
    (
        "estimated_time",
        "Time, estimated",
        "ms",
        lambda result: result.estimate.ms if result.estimate else None,
    ),
    ("energy", "Energy", "µJ", lambda result: result.measured_energy.uj if result.measured_energy else None),
    (
        "estimated_energy",
        "Energy, estimated",
        "µJ",
        lambda result: result.energy.uj if result.energy else None,
    ),
    ("flash", "Flash", "bytes", lambda result: result.build.flash_bytes),
    ("model_flash", "Flash of the model", "bytes", lambda result: result.build.model_flash_bytes),
    ("ram", "RAM", "bytes", lambda result: result.build.ram_bytes),
    ("arena", "Tensor arena", "bytes", lambda result: result.arena.bytes),
    ("stack", "Stack", "bytes", lambda result: result.stack_bytes),
    ("macs", "MACs", "count", lambda result: result.model.macs),
)


COSTS = {name: of for name, _, _, of in _FIGURES}
"""What gives the figures of cost of a result, by their names; None of one that its target has not."""


def figures(results: Sequence[Result]) -> tuple[Figure, ...]:
    """Every figure that any of them has: of cost, of quality, of agreement with the reference."""
    found = [Figure(name, label, unit, tuple(map(of, results))) for name, label, unit, of in _FIGURES]
    metrics = [_metrics(result) for result in results]
    for metric in dict.fromkeys(name for some in metrics for name in some):
        known = metric_table.metric(metric) or metric_table.Metric(metric)
        values = tuple(some.get(metric) for some in metrics)
        name = "accuracy" if metric in ("top1", "accuracy") else metric
        found.append(Figure(name, known.words, metric_table.unit(metric), values, known.higher_is_better))
    identical = tuple(
        result.parity.identical / result.parity.outputs if result.parity and result.parity.outputs else None
        for result in results
    )
    found.append(Figure("identical", "Identical to the reference", "share", identical, higher=True))
    return tuple(figure for figure in found if set(figure.values) != {None})


def _metrics(result: Result) -> dict[str, float]:
    accuracy = result.accuracy
    return {accuracy.metric: accuracy.value, **accuracy.also} if accuracy else {}


def _interval(result: Result) -> tuple[float, float] | None:
    accuracy = result.accuracy
    if accuracy is None or accuracy.metric not in ("top1", "accuracy") or accuracy.places > 1:
        return None
    return interval(accuracy.value, accuracy.samples)


def _ops(results: Sequence[Result]) -> tuple[OpChange, ...]:
    """The ops by number and kind, in the order of the first result; what the first has not comes last."""
    columns = [{(cost.index, cost.op): cost for cost in result.per_op} for result in results]
    keys = dict.fromkeys(key for column in columns for key in column)
    return tuple(OpChange(*key, tuple(column.get(key) for column in columns)) for key in keys)


def _shown(cost: OpCost | None) -> object:
    if cost is None:
        return None
    layer = cost.layer
    return (cost.count, *((layer.kernel, layer.constant_bytes, layer.scratch_bytes) if layer else ()))


def _short(text: str) -> str:
    return text if len(text) <= 90 else f"{text[:40]}…{text[-48:]}"
