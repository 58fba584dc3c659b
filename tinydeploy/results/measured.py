"""What was measured: the parts of a Result that a run finds out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from tinydeploy.results import metric_table
from tinydeploy.results.estimated import OpEstimate
from tinydeploy.results.setting import Layer, NotNegative, Rule

Share = Annotated[float, Rule({"minimum": 0, "maximum": 1})]
AtLeastOne = Annotated[int, Rule({"minimum": 1})]
OpIndex = Annotated[int, Rule({"minimum": -1})]  # -1: before the first op
MetricName = Annotated[
    str, Rule({"anyOf": [{"enum": list(metric_table.METRICS)}, {"pattern": "^top[1-9][0-9]*$"}]})
]
Unit = Literal["instructions", "cycles", "microseconds"]


@dataclass(frozen=True)
class ArenaBuffer:
    """A buffer of the planned arena and the ops during which it is live; see engines.Placement."""

    label: str
    offset: int
    bytes: int
    first_op: OpIndex
    last_op: OpIndex


@dataclass(frozen=True)
class Outcome:
    """One probe: the arena's size, whether a whole inference in it was right, and in a few words what was.

    `silent` says that no answer came before a deadline, which alone proves nothing.
    """

    bytes: int
    passed: bool
    detail: str
    silent: bool = False


@dataclass(frozen=True)
class ArenaInfo:
    """The tensor arena. `passes_at` and `fails_at` are its proof, `probes` how many were made: `outcomes`."""

    bytes: int
    method: Literal["planned", "searched"]
    passes_at: int | None
    fails_at: int | None
    probes: int
    touched_bytes: int | None = None  # high-water mark in the painted arena
    lower_bound: int | None = None
    buffers: tuple[ArenaBuffer, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    in_psram: bool | None = None  # outside the RAM that a firmware's sizes are of


@dataclass(frozen=True)
class Spread:
    """Percentiles over the runs, of a count (whole numbers) or of a time. p50 is `median`."""

    median: NotNegative
    p95: NotNegative
    p99: NotNegative
    min: NotNegative
    max: NotNegative
    runs: AtLeastOne


@dataclass(frozen=True)
class MeasuredEnergy:
    """Microjoules of an inference by a meter: the mean of several, and the least and the most of one."""

    uj: NotNegative
    low: NotNegative
    high: NotNegative
    method: str


@dataclass(frozen=True)
class Count:
    """How many of a unit an inference, or one op of it, takes."""

    unit: Unit
    spread: Spread

    RULE: ClassVar[Mapping[str, Any]] = {
        "$comment": "What is counted is whole; a time is what a clock makes of it.",
        "if": {"properties": {"unit": {"enum": ["instructions", "cycles"]}}},
        "then": {"properties": {"spread": {"additionalProperties": {"type": "integer"}}}},
    }


def spread_of(counted: Sequence[Count], unit: Unit) -> Spread | None:
    """The spread of what was counted in `unit`; None if nothing was."""
    return next((count.spread for count in counted if count.unit == unit), None)


@dataclass(frozen=True)
class OpCost:
    """What one op takes: counts over the profiled inferences, in the units of the whole one.

    `stack_bytes` is what its code takes of the stack, as the firmware's frames and calls say.
    Of an engine that chooses kernels, `layer` is how the op is done.
    """

    index: int
    op: str
    macs: int
    counted: tuple[Count, ...]
    stack_bytes: int | None = None
    layer: Layer | None = None
    estimate: OpEstimate | None = None
    executed: Mapping[str, int] | None = None  # as the whole result's

    @property
    def instructions(self) -> float | None:
        """The median of its instructions, if an emulator counted them."""
        return self._median("instructions")

    @property
    def cycles(self) -> float | None:
        """The median of its cycles, if a board counted them."""
        return self._median("cycles")

    @property
    def time_us(self) -> float | None:
        """The median of its time in microseconds, if a board measured it."""
        return self._median("microseconds")

    @property
    def count(self) -> int:
        """The median of its instructions or cycles, whichever were counted."""
        return int(self.instructions or self.cycles or 0)

    def _median(self, unit: Unit) -> float | None:
        spread = spread_of(self.counted, unit)
        return None if spread is None else spread.median


@dataclass(frozen=True)
class ClassFigure:
    """One class or label: how many samples it has, how many of them were right, and what follows from that.

    `precision`, `recall` and `f1` are None where they are undefined; see metrics.Tally.
    """

    label: str
    samples: int
    correct: int
    precision: Share | None = None
    recall: Share | None = None
    f1: Share | None = None


@dataclass(frozen=True)
class JudgedOutput:
    """The model output that the labels were held against: its number, its tensor's name, and what it is."""

    index: int
    name: str
    kind: str


@dataclass(frozen=True)
class Accuracy:
    """Quality on labelled samples: `value` of the `metric`, a name of metric_table.METRICS or topK.

    `reference` is the host's. `confusion[i][j]` counts samples of class i that were taken for class j;
    `places` are how many each sample has (the pixels of a segmentation; else 1). `also` holds further metrics
    by name. `chosen` says why this metric of this output, `labels` how the labels were read, `chance` what a
    constant answer reaches. `doubts` are the reasons for which the value says little. Of samples with a class
    each, `right` has "1" for each that was taken for its own, else "0". `float_value` is the metric of the
    float model that this one was made from, if it is known.
    """

    metric: MetricName
    value: float
    samples: int
    reference: float | None
    per_class: tuple[ClassFigure, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    also: Mapping[MetricName, float] = field(default_factory=dict)
    output: JudgedOutput | None = None
    chosen: str = ""
    labels: str = ""
    threshold: float | None = None
    chance: float | None = None
    places: AtLeastOne = 1
    doubts: tuple[str, ...] = ()
    right: Annotated[str, Rule({"pattern": "^[01]*$"})] | None = None
    float_value: float | None = None


@dataclass(frozen=True)
class Gate:
    """A limit, and how the result stands to it: the limit's `name`, `figure` and `limit` in its `unit`.

    `held` is None where the target has no such figure, and False where something else is missing for it:
    `reason` says what. `against` is what the limit comes from.
    """

    name: str
    figure: float | None
    limit: float
    held: bool | None
    unit: str
    reason: str = ""
    against: str = "budget"

    @property
    def is_most(self) -> bool:
        """Whether the limit is the most that may be, not the least."""
        return self.name.startswith("max_")

    @property
    def share(self) -> float | None:
        """How near the figure is to the limit: 1 at it, above if it is missed; None without either."""
        part, whole = (self.figure, self.limit) if self.is_most else (self.limit, self.figure)
        if part is None or whole is None or part < 0:
            return None
        return part / whole if whole > 0 else 0.0 if part == 0 else None


@dataclass(frozen=True)
class Parity:
    """Agreement with the host reference, element by element: identical + off_by_one + worse == outputs."""

    reference: str
    outputs: int
    identical: int
    off_by_one: int
    worse: int
    top1_agreement: Share | None
    samples: int
