"""Tiling by stripes of rows, perhaps in patches of columns, so that few tensors are ever whole.

A run ends with a whole tensor, which is made stripe by stripe as schedule.py says, and cutter.py does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product

from tinydeploy.engines.aot.ir import Program
from tinydeploy.engines.aot.lowering.window_geometry import ROWS
from tinydeploy.engines.aot.memory import arena_plan
from tinydeploy.engines.aot.tiling.cutter import Lowered, Suit, cut_run
from tinydeploy.engines.aot.tiling.schedule import Schedule, Scheduler
from tinydeploy.engines.aot.tiling.windows import goes_by

_HEIGHTS = (1, 2, 4, 8)  # of a stripe, in rows of the run's last tensor
_MOST_OPS = 64  # of a run
_MOST_CUTS = 16  # one after the other
# Turns of ops, and steps, in all runs that are tried for a program: MobileNetV2 takes 107,000.
_MOST_WORK = 150_000
_STEP_WORK = 20  # of a step, beside a turn
_WORTHWHILE = 64  # the part of the arena that each further patch has to save


@dataclass(frozen=True)
class Means:
    """What may be done for a smaller arena.

    A further kernel has to save `kernel_bytes`. A run is done in at most `patches`.
    """

    kernel_bytes: int
    patches: int = 1


def least_arena(
    program: Program, tries: Tries, means: Sequence[Means], fits: Callable[[Program], bool] = lambda _: True
) -> Program:
    """`program` with the runs in stripes that make its arena smallest; `tries` may have served before.

    One run after the other is cut, around the op that needs most, as long as that shrinks the arena. Of
    several `means`, those are taken whose arena comes out smallest; patches only if they are worth while and
    their many kernels still fit into flash. Of runs that come to the same, it is one of few turns, kernels
    and ops. What is tried is bounded, far beyond what models for microcontrollers need.
    """
    best = program
    budget = _Budget(_MOST_WORK)
    for way in means:
        cut = _cut_greedily(program, tries, way, budget)
        saved = arena_plan.arena_bytes(best) - arena_plan.arena_bytes(cut)
        if way.patches > 1 and not (saved >= arena_plan.arena_bytes(best) // _WORTHWHILE and fits(cut)):
            continue
        if saved > 0:
            best = cut
    return best


@dataclass(frozen=True, eq=False)
class _Way:
    """A way to cut a program, which is done only if what it needs at `least` gives reason to."""

    least: int
    scheduler: Scheduler
    run: range
    height: int
    patches: int

    @cached_property
    def schedule(self) -> Schedule:
        """What it makes when."""
        schedule = self.scheduler.schedule(self.run, self.height, self.patches)
        assert schedule is not None
        return schedule

    @property
    def turns(self) -> int:
        """How many all its ops take."""
        return self.schedule.stripes * self.patches * len(self.run)


@dataclass
class _Budget:
    """What may still be tried: what is known counts too, so that it does not matter what was asked before."""

    work: int

    def spend(self, work: int) -> bool:
        """Whether there was as much."""
        self.work -= work
        return self.work >= 0


class Tries:
    """The ways to cut the programs of one graph, and what comes of them: each is tried once.

    `suit` chooses the core's kernels.
    """

    def __init__(self, suit: Suit) -> None:
        lowered: Lowered = {}
        self.scheduler = cache(Scheduler)
        self.way = cache(_Way)
        self.ways = cache(self._ways)
        self.cut = cache(lambda way: cut_run(way.scheduler.program, way.schedule, suit, lowered))
        self.needed = cache(lambda way: max(arena_plan.needed(self.cut(way)).values()))

    def _ways(self, program: Program, crowded: int, peak: int, patches: int) -> list[_Way]:
        """Those around op `crowded` that may need less than `peak`, by what they need at least."""
        scheduler = self.scheduler(program)
        ways = [
            self.way(least, scheduler, run, height, number)
            for run, height in product(_runs(program, crowded), _HEIGHTS)
            for number, least in enumerate(scheduler.least_bytes(run, height, patches), 1)
            if least is not None and least < peak
        ]
        return sorted(ways, key=lambda way: way.least)


def _cut_greedily(best: Program, tries: Tries, means: Means, budget: _Budget) -> Program:
    for _ in range(_MOST_CUTS):
        needed = arena_plan.needed(best)
        peak = max(needed.values(), default=0)
        crowded = max((time for time, size in needed.items() if size == peak), default=-1)
        cuts: list[tuple[int, int, int, int, Program]] = []
        for way in tries.ways(best, crowded, peak, means.patches):
            if way.least + means.kernel_bytes >= min([peak, *(cost for cost, *_ in cuts)]):
                break
            if not budget.spend(way.turns):
                break
            cut = tries.cut(way)
            positions = slice(way.run.start, way.run.stop)
            budget.spend(_STEP_WORK * sum(len(steps) for _, steps in cut.ops[positions]))
            kernels = max(1, _kernels(cut) - _kernels(best))
            cost = tries.needed(way)
            cost += kernels * means.kernel_bytes + (way.patches - 1) * cost // _WORTHWHILE
            if cost < peak:
                cuts.append((cost, way.schedule.stripes * way.patches, kernels, len(way.run), cut))
        if not cuts:
            return best
        *_, cut = min(cuts, key=lambda candidate: candidate[:4])
        if arena_plan.arena_bytes(cut) >= arena_plan.arena_bytes(best):
            return best
        best = cut
    return best


def _kernels(program: Program) -> int:
    """How many different kernels `program` has, at most: one for each set of parameters of an op."""
    return sum(len({step.instance for step in steps}) for _, steps in program.ops)


def stripe(
    program: Program, first: int, last: int, height: int, suit: Suit, patches: int = 1
) -> Program | None:
    """`program` with its ops at positions `first` to `last` in stripes of `height` rows, None if that fails.

    These ops have to go by rows, as `goes_by` tells.
    """
    plan = Scheduler(program).schedule(range(first, last + 1), height, patches)
    return cut_run(program, plan, suit, {}) if plan else None


def _runs(program: Program, crowded: int) -> Iterator[range]:
    """The positions of ops that lie in a row around the op of index `crowded` and can be done by rows."""
    fits = [
        goes_by(ROWS, program.graph, op) and not any(s.first <= op.index <= s.last for s in program.stripes)
        for op, _ in program.ops
    ]
    place = next((n for n, (op, _) in enumerate(program.ops) if op.index >= crowded), len(fits))
    for first in range(max(0, place - _MOST_OPS + 1), place + 1):
        for last in range(max(place, first + 1), min(len(fits), first + _MOST_OPS)):
            if not all(fits[first : last + 1]):
                break
            yield range(first, last + 1)
