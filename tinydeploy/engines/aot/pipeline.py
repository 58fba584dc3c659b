"""The pipeline of the ahead-of-time engine: a graph becomes straight C++ calls of specialised kernels.

The way through it: rewrite (float islands, graph fusion) and lowering (ops to steps) → kernels (those that
suit the core) → concatenation in place → tiling → objective (what is striven for) → memory (the arena) →
emit (C++).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

from tinydeploy.boards.board import Board
from tinydeploy.boards.core import CORES, Core
from tinydeploy.engines.aot.emit import emit
from tinydeploy.engines.aot.ir import Alias, Program, Step
from tinydeploy.engines.aot.kernels.kernel_selection import for_core, kind
from tinydeploy.engines.aot.lowering.dispatch import lower_op
from tinydeploy.engines.aot.lowering.require import UnsupportedError
from tinydeploy.engines.aot.memory.arena_plan import arena_bytes
from tinydeploy.engines.aot.objective import GOALS, flash_left, flash_room, towards
from tinydeploy.engines.aot.rewrite import concat_in_place, float_islands, graph_fusion
from tinydeploy.engines.aot.tiling import stripes
from tinydeploy.engines.engine import EngineSources, Refusal
from tinydeploy.errors import ModelError, UsageError
from tinydeploy.model.graph import Graph, Op

__all__ = ["GOALS", "AotEngine"]

# Each kernel that stripes add takes some 400 bytes of flash. Patches compute something twice.
_MEANS = {
    "balanced": (stripes.Means(kernel_bytes=2000),),
    "ram": (stripes.Means(0), stripes.Means(400), stripes.Means(0, patches=4), stripes.Means(400, patches=4)),
}

_MINDS_FLASH = ("speed", "ram")  # the goals that ask how much flash there is


@dataclass(frozen=True)
class AotEngine:
    """Compiles int8 models; its outputs equal TFLite Micro's bit for bit. `optimize` is one of GOALS."""

    optimize: str = GOALS[0]
    name: ClassVar[str] = "aot"
    goals: ClassVar[tuple[str, ...]] = GOALS
    runs_floats: ClassVar[bool] = False
    evidence: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if self.optimize not in GOALS:
            raise UsageError(f"cannot optimize for '{self.optimize}'", f"it is one of {', '.join(GOALS)}")

    def refusals(self, graph: Graph) -> tuple[Refusal, ...]:
        """Every op that has no kernel, or none for its types and options."""
        return lower(graph)[1]

    def whole_tensors(self, graph: Graph) -> frozenset[int]:
        """Those at the edges: what is between them may be made a few rows at a time."""
        return frozenset((*graph.inputs, *graph.outputs))

    def generate(self, graph: Graph, board: Board) -> EngineSources:
        """src/model.cpp, src/model_data.{h,cpp} and src/kernels/. Raises ModelError if an op is refused."""
        core, room = self.limits(board)
        # MVE adds in ten instructions for four outputs. Code that all layers share would be there twice.
        adding = not (core.mve or (core.dsp and self.optimize == "size"))
        portable, refusals = lower(graph, adding)
        if refusals:
            first = refusals[0]
            more = f" (and {len(refusals) - 1} more)" if len(refusals) > 1 else ""
            raise ModelError(
                f"the aot engine cannot run op {first.op}, {graph.ops[first.op].kind}: {first.reason}{more}"
            )
        program = self._suited(graph, portable, core, room)
        if adding and self.optimize == "ram":  # stripes may do better if each op is one by itself
            apart, _ = lower(graph, adding=False)
            program = min(program, self._suited(graph, apart, core, room), key=arena_bytes)
        return emit(program, core, self.optimize)

    def limits(self, board: Board) -> tuple[Core, int]:
        """All that `generate` asks of a board: the sources of boards of equal limits are the same.

        That is the core, and how many bytes of flash there are for the model, 0 where the goal does not ask.
        """
        return board.core, flash_room(board) if self.optimize in _MINDS_FLASH else 0

    def library(self, graph: Graph, board: Board) -> None:
        """None: the sources need no library."""

    def configured(self, optimize: str | None, library: str | None) -> AotEngine:
        """See RegisteredEngine; there is no library to choose."""
        return AotEngine(optimize) if optimize else self

    def _suited(self, graph: Graph, portable: Program, core: Core, room: int) -> Program:
        """`portable` of `graph`, whose kernels run anywhere, as the core and the goal want it."""
        alike = next(other for other in CORES.values() if kind(other) == kind(core))
        chosen = _chosen(portable, alike, small=self.optimize == "size")
        if self.optimize in _MEANS:
            means, tries = _MEANS[self.optimize], _tries(graph, alike)
            chosen = stripes.least_arena(chosen, tries, means, lambda cut: flash_left(cut, room) > 0)
        return towards(self.optimize, chosen, portable, core, room)


@lru_cache(maxsize=4)  # asked for by several goals
def _chosen(portable: Program, core: Core, small: bool) -> Program:
    """`portable` with the core's kernels, and without copies that its joins can do without."""
    return concat_in_place.in_place(for_core(portable, core, small))


@lru_cache(maxsize=1)  # what the goals try has much in common
def _tries(graph: Graph, core: Core) -> stripes.Tries:
    """The tries for all programs of `graph`."""
    return stripes.Tries(lambda program: for_core(program, core))


ENGINE = AotEngine()


@lru_cache(maxsize=8)  # asked for by each goal and board, and to know what is refused
def lower(graph: Graph, adding: bool = True) -> tuple[Program, tuple[Refusal, ...]]:
    """The program of `graph`, and every op that could not be lowered: it is whole only if there is none.

    `adding` lets convolutions do the additions behind them.
    """
    folded = float_islands.fold(graph)
    graph = folded.graph
    memory = {tensor.index: tensor.index for tensor in graph.tensors}
    ops: list[tuple[Op, tuple[Step, ...]]] = []
    refusals = [Refusal(*refused) for refused in folded.refused.items()]
    for op in graph_fusion.simplify(graph, folded.ops, adding):
        try:
            if op.index in folded.refused:
                continue
            lowered = lower_op(graph, op)
        except UnsupportedError as error:
            refusals.append(Refusal(op.index, str(error)))
            continue
        if not isinstance(lowered, Alias):
            if lowered:
                ops.append((op, lowered))
        elif graph.tensors[lowered.input].data is None:
            memory[lowered.output] = memory[lowered.input]
        else:
            graph = _with_constant(graph, lowered)
    return Program(graph, tuple(ops), memory), tuple(sorted(refusals, key=lambda refusal: refusal.op))


def _with_constant(graph: Graph, alias: Alias) -> Graph:
    """`graph` with the alias of a constant made a constant."""
    data = graph.tensors[alias.input].data
    assert data is not None
    output = graph.tensors[alias.output]
    constant = replace(output, data=data.reshape(output.shape).astype(output.dtype.numpy, copy=False))
    tensors = [*graph.tensors]
    tensors[output.index] = constant
    return replace(graph, tensors=tuple(tensors))
