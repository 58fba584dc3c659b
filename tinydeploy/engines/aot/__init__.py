"""The ahead-of-time engine: a graph becomes straight C++ calls of kernels specialised to each layer.

The way through it: lower (graph to steps) → kernels (the steps that suit the core) → goals (the steps that
suit what is striven for) → memory and planner (the arena) → emit (C++).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tinydeploy.boards import Board, Core
from tinydeploy.engines import EngineSources, Refusal
from tinydeploy.engines.aot import joins, stripes
from tinydeploy.engines.aot.emit import emit
from tinydeploy.engines.aot.goals import GOALS, flash_left, flash_room, towards
from tinydeploy.engines.aot.kernels import for_core
from tinydeploy.engines.aot.lower import Program, lower
from tinydeploy.engines.aot.memory import arena_bytes
from tinydeploy.errors import ModelError, UsageError
from tinydeploy.graph import Graph

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
        program = self._suited(portable, core, room)
        if adding and self.optimize == "ram":  # stripes may do better if each op is one by itself
            apart, _ = lower(graph, adding=False)
            program = min(program, self._suited(apart, core, room), key=arena_bytes)
        return emit(program, core, self.optimize)

    def limits(self, board: Board) -> tuple[Core, int]:
        """All that `generate` asks of a board: the sources of boards of equal limits are the same.

        That is the core, and how many bytes of flash there are for the model, 0 where the goal does not ask.
        """
        return board.core, flash_room(board) if self.optimize in _MINDS_FLASH else 0

    def library(self, graph: Graph, board: Board) -> None:
        """None: the sources need no library."""

    def _suited(self, portable: Program, core: Core, room: int) -> Program:
        """`portable`, whose kernels run anywhere, as the core and the goal want it."""

        def suit(program: Program) -> Program:
            return for_core(program, core, small=self.optimize == "size")

        chosen = joins.in_place(suit(portable))
        means = _MEANS.get(self.optimize, ())
        chosen = stripes.least_arena(chosen, suit, means, lambda cut: flash_left(cut, room) > 0)
        return towards(self.optimize, chosen, portable, core, room)
