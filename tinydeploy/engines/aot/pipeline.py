"""The pipeline of the ahead-of-time engine: a graph becomes straight C++ calls of specialised kernels.

PASSES is the way through it, from top to bottom; emit.py writes what comes out as C++.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import ClassVar

from tinydeploy.boards.board import Board
from tinydeploy.boards.core import Core
from tinydeploy.engines.aot.emit import emit
from tinydeploy.engines.aot.ir import Alias, Program, Step
from tinydeploy.engines.aot.kernels.cores.kernel_sets import PORTABLE, kernels_of
from tinydeploy.engines.aot.kernels.kernel_selection import select
from tinydeploy.engines.aot.kernels.kernel_set import KernelSet
from tinydeploy.engines.aot.lowering.dispatch import lower_op
from tinydeploy.engines.aot.lowering.require import UnsupportedError
from tinydeploy.engines.aot.memory.arena_plan import arena_bytes
from tinydeploy.engines.aot.model_source import ModelCode, model_code
from tinydeploy.engines.aot.objective import GOALS, flash_left, flash_room, towards
from tinydeploy.engines.aot.rewrite import add_into_conv, concat_in_place, float_islands, graph_fusion
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

_ALL_FLASH = 1 << 31  # bytes: more than any part has
_MINDS_FLASH = ("speed", "ram")  # the goals that ask how much flash there is


@dataclass(frozen=True)
class Wanted:
    """What the passes strive for: kernels of `kernels`, the goal, and `room` bytes of flash for the model.

    `adding` lets convolutions do the additions behind them. `tries` are the ways to cut the model's programs
    for such kernels, which other goals may have tried before; None are new ones.
    """

    adding: bool = True
    kernels: KernelSet = PORTABLE
    goal: str = GOALS[0]
    room: int = 0
    tries: stripes.Tries | None = None


@dataclass(frozen=True, eq=False)
class Draft:
    """What a pass takes and gives: the ops of a graph, and by op why some cannot be; once lowered, a program.

    `portable` is the program whose kernels run anywhere.
    """

    graph: Graph
    ops: tuple[Op, ...]
    refused: Mapping[int, str] = field(default_factory=dict)
    lowered: Program | None = None
    portable: Program | None = None

    @property
    def program(self) -> Program:
        """The program, which there is after lowering."""
        assert self.lowered is not None
        return self.lowered


def _fold_float_islands(draft: Draft, wanted: Wanted) -> Draft:
    folded = float_islands.fold(draft.graph)
    return Draft(folded.graph, folded.ops, folded.refused)


def _fold_padding(draft: Draft, wanted: Wanted) -> Draft:
    return replace(draft, ops=graph_fusion.fold_padding(draft.graph, draft.ops))


def _fold_activations(draft: Draft, wanted: Wanted) -> Draft:
    return replace(draft, ops=graph_fusion.fold_activations(draft.graph, draft.ops))


def _fold_additions(draft: Draft, wanted: Wanted) -> Draft:
    return replace(draft, ops=add_into_conv.fold(draft.graph, draft.ops)) if wanted.adding else draft


def _compose_lookups(draft: Draft, wanted: Wanted) -> Draft:
    return replace(draft, ops=graph_fusion.compose_lookups(draft.graph, draft.ops))


def _lower(draft: Draft, wanted: Wanted) -> Draft:
    graph, refused = draft.graph, dict(draft.refused)
    memory = {tensor.index: tensor.index for tensor in graph.tensors}
    ops: list[tuple[Op, tuple[Step, ...]]] = []
    for op in draft.ops:
        try:
            if op.index in draft.refused:
                continue
            lowered = lower_op(graph, op)
        except UnsupportedError as error:
            refused[op.index] = str(error)
            continue
        if not isinstance(lowered, Alias):
            if lowered:
                ops.append((op, lowered))
        elif graph.tensors[lowered.input].data is None:
            memory[lowered.output] = memory[lowered.input]
        else:
            graph = _with_constant(graph, lowered)
    program = Program(graph, tuple(ops), memory)
    return Draft(graph, draft.ops, refused, program, program)


def _choose_kernels(draft: Draft, wanted: Wanted) -> Draft:
    return replace(draft, lowered=_selected(draft.program, wanted.kernels, wanted.goal == "size"))


def _join_in_place(draft: Draft, wanted: Wanted) -> Draft:
    return replace(draft, lowered=_in_place(draft.program))


def _tile(draft: Draft, wanted: Wanted) -> Draft:
    if wanted.goal not in _MEANS:
        return draft
    tries = wanted.tries or _new_tries(wanted.kernels)
    cut = stripes.least_arena(
        draft.program, tries, _MEANS[wanted.goal], lambda program: flash_left(program, wanted.room) > 0
    )
    return replace(draft, lowered=cut)


def _strive(draft: Draft, wanted: Wanted) -> Draft:
    portable = draft.portable
    assert portable is not None
    program = towards(wanted.goal, draft.program, portable, wanted.kernels, wanted.room)
    return replace(draft, lowered=program)


# Goals and tries share what they have in common: asked for the same, these give the same program.
_selected = lru_cache(maxsize=4)(select)
_in_place = lru_cache(maxsize=4)(concat_in_place.in_place)


@lru_cache(maxsize=1)
def _tries(graph: Graph, kernels: KernelSet) -> stripes.Tries:
    """The tries for all programs of `graph`."""
    return _new_tries(kernels)


def _new_tries(kernels: KernelSet) -> stripes.Tries:
    return stripes.Tries(lambda program: select(program, kernels))


Pass = Callable[[Draft, Wanted], Draft]

# What is the same for each board and goal.
PORTABLE_PASSES: tuple[tuple[str, Pass], ...] = (
    ("float islands become tables", _fold_float_islands),
    ("padding goes into convolutions", _fold_padding),
    ("activations go into the ops before", _fold_activations),
    ("additions go into convolutions", _fold_additions),
    ("chains of tables become one", _compose_lookups),
    ("lowering: ops become steps", _lower),
)
# What depends on the core's kernels, and on the goal.
TUNING_PASSES: tuple[tuple[str, Pass], ...] = (
    ("kernels of the core", _choose_kernels),
    ("concatenation in place", _join_in_place),
    ("tiling: stripes and patches", _tile),
    ("kernels for the goal", _strive),
)
PASSES = (*PORTABLE_PASSES, *TUNING_PASSES)


def run_passes(
    passes: tuple[tuple[str, Pass], ...],
    draft: Draft,
    wanted: Wanted,
    watch: Callable[[str, Draft], None] = lambda name, draft: None,
) -> Draft:
    """`draft` after all `passes`; `watch` sees it after each."""
    for name, run in passes:
        draft = run(draft, wanted)
        watch(name, draft)
    return draft


@lru_cache(maxsize=8)  # asked for by each goal and board, and to know what is refused
def _portable(graph: Graph, adding: bool) -> Draft:
    return run_passes(PORTABLE_PASSES, Draft(graph, graph.running), Wanted(adding))


def lower(graph: Graph, adding: bool = True) -> tuple[Program, tuple[Refusal, ...]]:
    """The program of `graph`, and every op that could not be lowered: it is whole only if there is none.

    `adding` lets convolutions do the additions behind them.
    """
    draft = _portable(graph, adding)
    return draft.program, tuple(Refusal(*refused) for refused in sorted(draft.refused.items()))


@dataclass(frozen=True)
class AotEngine:
    """Compiles int8 models; its outputs equal TFLite Micro's bit for bit. `optimize` is one of GOALS."""

    optimize: str = GOALS[0]
    name: ClassVar[str] = "aot"
    goals: ClassVar[tuple[str, ...]] = GOALS
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
        """The model in `MODEL`, and what makes it an engine. Raises ModelError if an op is refused."""
        return emit(self.program(graph, board), kernels_of(board.core), self.optimize)

    def program(self, graph: Graph, board: Board) -> Program:
        """What `generate` makes sources of. Raises ModelError if an op is refused."""
        return self._program(graph, *self.limits(board))

    def code(self, graph: Graph, core: Core, room: int = _ALL_FLASH) -> ModelCode:
        """What the model's sources are made of, for a core with so much flash. Raises as `generate`."""
        return model_code(self._program(graph, core, room), alone=self.optimize == "speed")

    def _program(self, graph: Graph, core: Core, room: int) -> Program:
        """The graph compiled for a core, with `room` bytes of flash."""
        kernels = kernels_of(core)
        # Code that all layers share would be there twice.
        adding = kernels.folds_additions and not (kernels.sharing and self.optimize == "size")
        refusals = lower(graph, adding)[1]
        if refusals:
            first = refusals[0]
            more = f" (and {len(refusals) - 1} more)" if len(refusals) > 1 else ""
            raise ModelError(
                f"the aot engine cannot run op {first.op}, {graph.ops[first.op].kind}: {first.reason}{more}"
            )
        # Stripes may do better if each op is one by itself.
        ways = (True, False) if adding and self.optimize == "ram" else (adding,)
        wanted = [Wanted(way, kernels, self.optimize, room, _tries(graph, kernels)) for way in ways]
        programs = [run_passes(TUNING_PASSES, _portable(graph, way.adding), way).program for way in wanted]
        return min(programs, key=arena_bytes) if len(programs) > 1 else programs[0]

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


ENGINE = AotEngine()


def _with_constant(graph: Graph, alias: Alias) -> Graph:
    """`graph` with the alias of a constant made a constant."""
    data = graph.tensors[alias.input].data
    assert data is not None
    output = graph.tensors[alias.output]
    constant = replace(output, data=data.reshape(output.shape).astype(output.dtype.numpy, copy=False))
    tensors = [*graph.tensors]
    tensors[output.index] = constant
    return replace(graph, tensors=tuple(tensors))
