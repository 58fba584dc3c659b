"""The contract of an engine: what turns a graph into C++ sources behind one firmware interface.

The C++ side of the contract is firmware_templates/runtime/engine.h.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tinydeploy.boards.board import Board
from tinydeploy.model.graph import Graph
from tinydeploy.results.setting import Layer

MODEL = "model"
"""The folder among the sources in which a model is as a library has it: `src/` and `include/`."""


@dataclass(frozen=True)
class Placement:
    """One buffer's place in the arena: bytes [offset, offset + bytes) are its own from op `first` to `last`.

    In its last op it may lose them, from the lowest one on, to a buffer that this op is the first to write,
    and likewise in ops that run in stripes together.
    `tensors` are the graph's tensors that share the buffer (a reshape shares its input's); empty for
    scratch. `first` is -1 for a model input, `last` is len(ops) for a model output.
    """

    label: str
    tensors: tuple[int, ...]
    offset: int
    bytes: int
    first: int
    last: int


@dataclass(frozen=True)
class ArenaPlan:
    """The planned arena. `lower_bound` is the most that any one op needs alone: no plan can be smaller."""

    bytes: int
    lower_bound: int
    placements: tuple[Placement, ...]


@dataclass(frozen=True)
class Refusal:
    """Why an engine cannot run an op, in a few words: `op` is its index, or -1 for the model as a whole."""

    op: int
    reason: str


@dataclass(frozen=True)
class EngineSources:
    """The sources that are made of a model, and what the host must know about them.

    `model` maps a path in the folder of sources to its text, `kernels` likewise those that the model calls.
    `profiled_ops[i]` is the graph's op that the
    firmware's i-th hook call closes (ops that cost nothing have none). `arena` is None if the size
    has to be searched on the target. `layers` has the choices of an engine that makes some, `optimize`
    what it strove for, `instances` how often the code has each kernel, and `constant_bytes` is the size of
    all constants in flash.
    """

    engine: str
    model: Mapping[str, str]
    profiled_ops: tuple[int, ...]
    arena: ArenaPlan | None
    layers: tuple[Layer, ...] = ()
    optimize: str | None = None
    instances: Mapping[str, int] = field(default_factory=dict)
    constant_bytes: int = 0
    kernels: Mapping[str, str] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, str]:
        """The model's and the kernels'."""
        return {**self.model, **self.kernels}


@dataclass(frozen=True)
class Library:
    """What an engine's sources are built with: PlatformIO's dependencies, and the flags that all must share.

    It wants a C and a C++ standard library. `version` says all that is known of where it comes from.
    `kernels` tells by kind of op how to know fast kernels in a firmware: {"CONV_2D": {"CMSIS-NN":
    "arm_convolve_"}} says that a function of that prefix is linked only where CMSIS-NN runs CONV_2D.
    `files` are sources that it adds to the model's, `sources` the filter by which PlatformIO chooses what is
    compiled of it for this model (empty: all). `warnings` are what every result got with it has to say.
    """

    name: str
    version: str
    dependencies: tuple[str, ...]
    flags: tuple[str, ...]
    kernels: Mapping[str, Mapping[str, str]]
    warnings: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()


class Engine(Protocol):
    """An engine: `aot` compiles the graph ahead of time; `tflm` wraps TFLite Micro."""

    @property
    def name(self) -> str:
        """What users call it."""

    def refusals(self, graph: Graph) -> tuple[Refusal, ...]:
        """Every op that this engine cannot run, and why; empty if it can run the graph."""

    def whole_tensors(self, graph: Graph) -> frozenset[int]:
        """The tensors that have to be in RAM as a whole, whatever the board."""

    def generate(self, graph: Graph, board: Board) -> EngineSources:
        """The sources for this graph on this board. Raises ModelError if `refusals` is not empty."""

    def library(self, graph: Graph, board: Board) -> Library | None:
        """What the sources have to be built with on this board; None if they stand on their own.

        Raises ToolError if it cannot be had, ModelError if it lacks what the graph needs.
        """


class RegisteredEngine(Engine, Protocol):
    """An engine that is known by its name, as it is by default."""

    @property
    def goals(self) -> tuple[str, ...]:
        """What it can strive for, the default first; none if it has no choice."""

    @property
    def evidence(self) -> str:
        """How it is known that it can run what it does not refuse; "" if its refusals are all there is."""

    def configured(self, optimize: str | None, library: str | None) -> Engine:
        """The engine with this goal and on this library; None leaves its default."""
