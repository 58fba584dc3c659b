"""What was run, where, and how it was built: the parts of a Result that are not measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal


@dataclass(frozen=True, eq=False)
class Rule:
    """What else the JSON Schema says of a type, in its keywords."""

    keywords: Mapping[str, Any]


NotNegative = Annotated[float, Rule({"minimum": 0})]
Sha256 = Annotated[str, Rule({"pattern": "^[0-9a-f]{64}$"})]
Hertz = Annotated[int, Rule({"minimum": 1})]
Instant = Annotated[str, Rule({"pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$"})]


@dataclass(frozen=True)
class OpInfo:
    """One op of the model: its builtin name, output shape, multiply-accumulates, and its output's name."""

    index: int
    op: str
    output_shape: tuple[int, ...]
    macs: int
    output: str | None = None


@dataclass(frozen=True)
class TensorInfo:
    """A tensor at the model's edge: shape, type, and its quantisation if it has one for the whole tensor."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    zero_point: Annotated[int, Rule({"minimum": -32768})] | None


@dataclass(frozen=True)
class Edit:
    """One thing that was changed of the file's model: its `kind` for programs, and in words for people."""

    kind: str
    words: str


@dataclass(frozen=True)
class ModelInfo:
    """The model file, and what was changed of its model before it was run.

    `signature` is the name of the function that was run, if the file has several.
    """

    path: str
    sha256: Sha256
    file_bytes: int
    macs: int
    ops: tuple[OpInfo, ...]
    edits: tuple[Edit, ...] = ()
    signature: str = ""
    inputs: tuple[TensorInfo, ...] | None = None
    outputs: tuple[TensorInfo, ...] | None = None


@dataclass(frozen=True)
class Layer:
    """How an op is done: by which kernels, with how many bytes of constants in flash and of working memory.

    In `stripes` turns it makes some rows each, together with its neighbours. `saved_bytes` of its output are
    then never held, as only the rows are that are needed next. Several `patches` side by side are each done
    so; they overlap, and `repeated_outputs` of its elements are computed once more.
    `instructions` is what the engine's cost model expects; None if it has no model of a kernel.
    """

    op: int
    kernel: str
    constant_bytes: int
    scratch_bytes: int = 0
    instructions: int | None = None
    stripes: int = 1
    saved_bytes: int = 0
    patches: int = 1
    repeated_outputs: int = 0


@dataclass(frozen=True)
class BoardInfo:
    """The board whose budgets count."""

    id: str
    name: str
    core: str
    clock_hz: Hertz
    notes: str = ""


@dataclass(frozen=True)
class BoardFit:
    """Another board, and whether the same model done for the same goal would fit: see evaluate.fit.

    `room` is the part that is left of its scarcer memory, below 0 by how much it falls short.
    """

    board: str
    verdict: Literal["fits", "tight", "no"]
    room: float | None = None


@dataclass(frozen=True)
class TargetInfo:
    """What really ran the firmware: `kind` ("qemu"), its version string, and the link used."""

    kind: str
    version: str
    link: str
    note: str = ""


@dataclass(frozen=True)
class Symbol:
    """A symbol of the firmware and its size; initialised data are in both regions."""

    name: str
    bytes: int
    region: Literal["flash", "ram"]


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
class Provenance:
    """Where and when: versions by tool name, the host, ISO 8601 UTC start, seconds."""

    versions: Mapping[str, str]
    host: str
    started: Instant
    duration_s: NotNegative
    phases_s: Mapping[str, NotNegative] = field(default_factory=dict)
    data: str = ""  # the samples' file and sha256, or the random seed
    command: str | None = None  # that makes the same again
    commit: str | None = None  # of the model's folder, by git; "+" after it if files there were changed
    made: str | None = None  # how the model was made, and what its licence is, as its card says
    licence: str | None = None
