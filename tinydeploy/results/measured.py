"""What was measured: the parts of a Result that a run finds out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ArenaBuffer:
    """A buffer of the planned arena and the ops during which it is live; see engines.Placement."""

    label: str
    offset: int
    bytes: int
    first_op: int
    last_op: int


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
    method: str  # "planned" or "searched"
    passes_at: int | None
    fails_at: int | None
    probes: int
    touched_bytes: int | None = None  # high-water mark in the painted arena
    lower_bound: int | None = None
    buffers: tuple[ArenaBuffer, ...] = ()
    outcomes: tuple[Outcome, ...] = ()


@dataclass(frozen=True)
class Spread:
    """Percentiles over the runs, of a count (whole numbers) or of a time. p50 is `median`."""

    median: float
    p95: float
    p99: float
    min: float
    max: float
    runs: int


@dataclass(frozen=True)
class OpCost:
    """Median instructions of one op, or its cycles and their time.

    `stack_bytes` is what its code takes of the stack, as the firmware's frames and calls say.
    Of an engine that chooses kernels also which, its constants in flash and its working memory in the arena;
    the turns in which it is done, in `patches` of `stripes`; and the outputs that it computes twice for that.
    """

    index: int
    op: str
    instructions: int | None
    macs: int
    cycles: int | None = None
    time_us: float | None = None
    stack_bytes: int | None = None
    kernel: str | None = None
    constant_bytes: int | None = None
    scratch_bytes: int | None = None
    stripes: int | None = None
    patches: int | None = None
    repeated_outputs: int | None = None

    @property
    def count(self) -> int:
        """Instructions or cycles, whichever were counted."""
        return (self.cycles if self.instructions is None else self.instructions) or 0


@dataclass(frozen=True)
class ClassFigure:
    """One class or label: how many samples it has, how many of them were right, and what follows from that.

    `precision`, `recall` and `f1` are None where they are undefined; see metrics.Tally.
    """

    label: str
    samples: int
    correct: int
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None


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
    constant answer reaches. `doubts` are the reasons for which the value says little.
    """

    metric: str
    value: float
    samples: int
    reference: float | None
    per_class: tuple[ClassFigure, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    also: Mapping[str, float] = field(default_factory=dict)
    output: JudgedOutput | None = None
    chosen: str = ""
    labels: str = ""
    threshold: float | None = None
    chance: float | None = None
    places: int = 1
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parity:
    """Agreement with the host reference, element by element: identical + off_by_one + worse == outputs."""

    reference: str
    outputs: int
    identical: int
    off_by_one: int
    worse: int
    top1_agreement: float | None
    samples: int
