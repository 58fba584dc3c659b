"""What a run found out: frozen dataclasses whose JSON is result.json, checked by result.schema.json.

Sizes are bytes, counts are raw, durations are seconds. An emulator fills `instructions` and a board
`cycles` and `time_us`; a figure that was not measured is None and its key is left out of the JSON.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinydeploy.errors import ToolError

if TYPE_CHECKING:
    import numpy.typing as npt
    import pandas as pd

SCHEMA = "tinydeploy.result/1"
_NOT_IN_JSON = {"json": False}


@dataclass(frozen=True)
class OpInfo:
    """One op of the model: its builtin name, output shape and multiply-accumulates."""

    index: int
    op: str
    output_shape: tuple[int, ...]
    macs: int


@dataclass(frozen=True)
class ModelInfo:
    """The model file."""

    path: str
    sha256: str
    file_bytes: int
    macs: int
    ops: tuple[OpInfo, ...]
    note: str = ""  # what was changed of the file's model
    signature: str = ""  # the name of the function that was run, if the file has several


@dataclass(frozen=True)
class BoardInfo:
    """The board whose budgets count."""

    id: str
    name: str
    core: str
    clock_hz: int
    notes: str = ""


@dataclass(frozen=True)
class TargetInfo:
    """What really ran the firmware: `kind` ("qemu"), its version string, and the link used."""

    kind: str
    version: str
    link: str
    note: str = ""


@dataclass(frozen=True)
class Symbol:
    """A symbol of the firmware and its size; `region` is "flash" or "ram" (initialised data is in both)."""

    name: str
    bytes: int
    region: str


@dataclass(frozen=True)
class BuildInfo:
    """The firmware build. flash = model_flash + runtime_flash; ram includes arena and stack.

    `engine_flash_bytes` is the model's constants and code, kernels included, without the measuring shell;
    None for an engine whose code is in a library.
    """

    compiler: str
    flags: tuple[str, ...]
    platformio: str
    flash_bytes: int
    ram_bytes: int
    flash_budget: int
    ram_budget: int
    model_flash_bytes: int
    runtime_flash_bytes: int
    largest_symbols: tuple[Symbol, ...]
    engine_flash_bytes: int | None = None


@dataclass(frozen=True)
class LibraryInfo:
    """The library that the engine runs on, and for each kind of op whose kernels the firmware really holds.

    `kernels` maps CONV_2D and so on to "CMSIS-NN", "ESP-NN" or "reference"; it is read from the ELF, and so
    are the compiler's `flags`, but for the definitions.
    """

    name: str
    version: str
    kernels: Mapping[str, str]
    flags: tuple[str, ...] = ()


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
    """Quality on labelled samples: `value` of the `metric`, a name of metrics.METRICS or topK.

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


@dataclass(frozen=True)
class Provenance:
    """Where and when: versions by tool name, the host, ISO 8601 UTC start, seconds."""

    versions: Mapping[str, str]
    host: str
    started: str
    duration_s: float
    phases_s: Mapping[str, float] = field(default_factory=dict)
    data: str = ""  # the samples' file and sha256, or the random seed


@dataclass(frozen=True, repr=False)
class Result:
    """One run of one model on one board with one engine. `time_us` is `cycles` at the board's clock.

    `optimize` is what the engine strove for, if it knows goals. `unjudged` says why labelled samples have no
    accuracy. `predictions` are not in the JSON.
    """

    model: ModelInfo
    board: BoardInfo
    engine: str
    target: TargetInfo
    build: BuildInfo
    arena: ArenaInfo
    stack_bytes: int
    stack_budget: int
    instructions: Spread | None
    per_op: tuple[OpCost, ...]
    accuracy: Accuracy | None
    parity: Parity | None
    warnings: tuple[str, ...]
    provenance: Provenance
    cycles: Spread | None = None
    time_us: Spread | None = None
    schema: str = SCHEMA
    library: LibraryInfo | None = None  # for an engine that stands on one
    optimize: str | None = None
    unjudged: str | None = None
    second_opinion: Parity | None = None  # the host reference's agreement with LiteRT
    # What the device answered: per model output an array [samples, *shape], in the model's own type.
    predictions: tuple[npt.NDArray[Any], ...] = field(
        default=(), repr=False, compare=False, metadata=_NOT_IN_JSON
    )

    @property
    def unit(self) -> str:
        """What was counted: "instructions" or "cycles"."""
        return "instructions" if self.cycles is None else "cycles"

    @property
    def counts(self) -> Spread:
        """The instructions or the cycles of an inference, whichever were counted."""
        found = self.instructions if self.cycles is None else self.cycles
        assert found is not None, "a result has one of the two"
        return found

    def __repr__(self) -> str:
        """In one line what was run, and the figures that are asked for first."""
        known = [f"accuracy {self.accuracy.metric} {self.accuracy.value:.4g}"] if self.accuracy else []
        figures = [
            f"{self.counts.median:,.0f} {self.unit}",
            f"flash {self.build.flash_bytes:,} B",
            f"RAM {self.build.ram_bytes:,} B",
            f"arena {self.arena.bytes:,} B",
            *known,
        ]
        return (
            f"<Result {Path(self.model.path).name} on {self.board.id}, {self.engine}: {', '.join(figures)}>"
        )

    def _repr_html_(self) -> str:
        """The headline figures, for a notebook."""
        from tinydeploy.report import html

        return html.render_inline(self)

    def to_frame(self) -> pd.DataFrame:
        """The ops as a pandas DataFrame, a row for each that was counted. Raises ToolError without pandas."""
        try:
            import pandas as pd
        except ImportError as error:
            raise ToolError(
                "to_frame() needs pandas, which is not installed", "pip install pandas"
            ) from error
        shapes = {op.index: op.output_shape for op in self.model.ops}
        rows = [
            {"index": cost.index, "op": cost.op, "output_shape": shapes.get(cost.index), **plain(cost)}
            for cost in self.per_op
        ]
        frame = pd.DataFrame(rows, columns=None if rows else ["index", "op", "output_shape"])
        return frame.set_index("index")

    def to_json(self) -> dict[str, Any]:
        """The content of result.json: plain types, keys of unmeasured figures left out."""
        content: dict[str, Any] = json.loads(json.dumps(plain(self)))
        return content


def plain(value: Any) -> Any:
    """Dataclasses as dictionaries, without what is None; tuples as lists."""
    if dataclasses.is_dataclass(value):
        shown = [item for item in dataclasses.fields(value) if item.metadata != _NOT_IN_JSON]
        pairs = ((item.name, getattr(value, item.name)) for item in shown)
        return {name: plain(item) for name, item in pairs if item is not None}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return value


def schema() -> dict[str, Any]:
    """The JSON Schema of result.json."""
    loaded: dict[str, Any] = json.loads(
        (Path(__file__).with_name("result.schema.json")).read_text(encoding="utf-8")
    )
    return loaded
