"""Runs of ops that are done a few rows at a time, perhaps in patches, so that few tensors are ever whole.

A run ends with a whole tensor, which is made stripe by stripe as schedule.py says. Each op is lowered as if
what it reads and makes in a turn were all there is, with the padding that belongs to it. Rows that the next
stripe still needs move to the front of their buffer before new ones follow. A part that does not go from edge
to edge of its buffer is copied from or to a tile of its own. Most turns are alike, and share their kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import groupby, product

from tinydeploy.engines.aot import memory
from tinydeploy.engines.aot.lower import Program, lower_op
from tinydeploy.engines.aot.program import Alias, Read, Slice, Step, Stripes, Write
from tinydeploy.engines.aot.schedule import ROWS, WINDOWS, Part, Schedule, Scheduler, Turn, goes_by, sides
from tinydeploy.graph import Graph, Op, Tensor

_HEIGHTS = (1, 2, 4, 8)  # of a stripe, in rows of the run's last tensor
_MOST_OPS = 64  # of a run
_MOST_CUTS = 16  # one after the other
_MOST_WORK = (
    150_000  # turns of ops, and steps, in all runs that are tried for a program: MobileNetV2 takes 107,000
)
_STEP_WORK = 20  # of a step, beside a turn
_WORTHWHILE = 64  # the part of the arena that each further patch has to save

Suit = Callable[[Program], Program]
# What ops become in a turn, by op, parts and padding: the tensors that it was lowered for, and the steps.
Lowered = dict[tuple[object, ...], tuple[tuple[int, ...], tuple[Step, ...]]]


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
        saved = memory.arena_bytes(best) - memory.arena_bytes(cut)
        if way.patches > 1 and not (saved >= memory.arena_bytes(best) // _WORTHWHILE and fits(cut)):
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
        self.cut = cache(lambda way: _cut(way.scheduler.program, way.schedule, suit, lowered))
        self.needed = cache(lambda way: max(memory.needed(self.cut(way)).values()))

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
        needed = memory.needed(best)
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
        if memory.arena_bytes(cut) >= memory.arena_bytes(best):
            return best
        best = cut
    return best


def _kernels(program: Program) -> int:
    """How many different kernels `program` has, at most: one for each set of parameters of an op."""
    return sum(len({(step.kernel, *step.params.items()) for step in steps}) for _, steps in program.ops)


def stripe(
    program: Program, first: int, last: int, height: int, suit: Suit, patches: int = 1
) -> Program | None:
    """`program` with its ops at positions `first` to `last` in stripes of `height` rows, None if that fails.

    These ops have to go by rows, as `goes_by` tells.
    """
    plan = Scheduler(program).schedule(range(first, last + 1), height, patches)
    return _cut(program, plan, suit, {}) if plan else None


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


def _cut(program: Program, plan: Schedule, suit: Suit, lowered: Lowered) -> Program:
    """`program` with the ops of `plan` in turns."""
    whole = program.graph
    tensors = list(whole.tensors)
    for t in plan.rows:
        tensors[t] = replace(tensors[t], shape=plan.shape(t))
    cutter = _Cutter(replace(program, graph=replace(whole, tensors=tuple(tensors))), suit, lowered)
    cut = {
        op.index: (*_keeping(whole, plan, op.outputs[0]), *cutter.steps(op, sides(whole, op), plan.turns(op)))
        for op in plan.ops
    }
    turns = Stripes(
        first=min(cut),
        last=max(cut),
        count=plan.stripes * plan.patches,
        patches=plan.patches,
        carried=plan.carried,
        overlaps=tuple(plan.overlaps()),
        saved={
            op.index: whole.tensors[op.outputs[0]].bytes - tensors[op.outputs[0]].bytes for op in plan.ops
        },
        again={op.index: plan.again(op.outputs[0]) for op in plan.ops},
    )
    return replace(
        cutter.program(),
        ops=tuple((op, cut.get(op.index, steps)) for op, steps in program.ops),
        stripes=(*program.stripes, turns),
    )


class _Cutter:
    """Lowers ops turn by turn. `tensors`, `memory` and `slices` grow by those that their steps name."""

    def __init__(self, program: Program, suit: Suit, lowered: Lowered) -> None:
        self._program = program
        self._suit = suit
        self._lowered = lowered
        self.tensors = [*program.graph.tensors]
        self.memory = {**program.memory}
        self.slices = {**program.slices}

    def program(self) -> Program:
        """The program with all that was added by now, and with the ops that it had."""
        graph = replace(self._program.graph, tensors=tuple(self.tensors))
        return replace(self._program, graph=graph, memory=self.memory, slices=self.slices)

    def steps(self, op: Op, tensors: Sequence[int], turns: Iterator[Turn]) -> Iterator[Step]:
        """What `op` does with `tensors`: the inputs that are no constants, and the output."""
        groups = list(_alike(turns))
        tiles = [
            self._tile(tensor, [turn.parts[n] for _, turn, _ in groups]) for n, tensor in enumerate(tensors)
        ]
        for stripes, turn, moves in groups:
            sliced: dict[int, int] = {}
            before, after = [], []
            for tensor, tile, part, move in zip(tensors, tiles, turn.parts, moves, strict=True):
                sliced[tensor] = piece = self._slice(tensor, part, part.first, move)
                if part.is_torn:
                    sliced[tensor] = self._slice(tile, part, 0, 0)
                    if tensor == op.outputs[0]:
                        after.append(self._copied(part, sliced[tensor], piece, part.columns, part.pitch))
                    else:
                        before.append(self._copied(part, piece, sliced[tensor], part.pitch, part.columns))
            made = self._made(op, sliced, turn)
            yield from (replace(step, stripes=stripes) for step in (*before, *made, *after))

    def _made(self, op: Op, sliced: Mapping[int, int], turn: Turn) -> tuple[Step, ...]:
        """What `op` becomes for slices of its tensors in a turn: lowered once for all turns alike."""
        what = op.inputs, op.outputs, *op.options.items()
        key = op.index, what, turn.padding, *((part.rows, part.columns) for part in turn.parts)
        if key not in self._lowered:
            clone = _with_parts(op, sliced, turn.padding)
            program = self.program()
            lowered = lower_op(program.graph, clone)
            assert not isinstance(lowered, Alias)
            ((_, suited),) = self._suit(replace(program, ops=((clone, lowered),))).ops
            self._lowered[key] = tuple(sliced.values()), suited
        known, steps = self._lowered[key]
        return tuple(_renamed(step, dict(zip(known, sliced.values(), strict=True))) for step in steps)

    def _tile(self, tensor: int, parts: Sequence[Part]) -> int:
        """A new tensor that holds each of the torn `parts`; `tensor` itself if there is none."""
        torn = [part for part in parts if part.is_torn]
        if not torn:
            return tensor
        full = self.tensors[tensor]
        size = max(part.rows for part in torn), max(part.columns for part in torn)
        index = self._add(replace(full, name=f"{full.name} (tile)", shape=(1, *size, full.shape[3])))
        self.memory[index] = index
        return index

    def _slice(self, tensor: int, part: Part, first: int, move: int) -> int:
        """A new tensor: `part` of another, from pixel `first` on, and in each turn `move` pixels further."""
        full = self.tensors[tensor]
        index = self._add(replace(full, shape=(1, part.rows, part.columns, full.shape[3])))
        pixel = full.shape[3] * full.dtype.bytes
        self.slices[index] = Slice(tensor, first * pixel, move * pixel)
        return index

    def _add(self, tensor: Tensor) -> int:
        self.tensors.append(replace(tensor, index=len(self.tensors)))
        return len(self.tensors) - 1

    def _copied(self, part: Part, source: int, target: int, source_pitch: int, target_pitch: int) -> Step:
        """The step that copies `part` from one slice to another, whose rows are so many pixels apart."""
        depth = self.tensors[source].shape[3]
        params = {
            "kRows": part.rows,
            "kRowElements": part.columns * depth,
            "kInputOffset": 0,
            "kInputStep": source_pitch * depth,
            "kOutputOffset": 0,
            "kOutputStep": target_pitch * depth,
        }
        return Step("copy_rows", "shape.h", params, (Read(source), Write(target)))


def _renamed(step: Step, names: Mapping[int, int]) -> Step:
    """`step` with other tensors: `names` has the new one of each."""
    args = tuple(replace(a, tensor=names[a.tensor]) if isinstance(a, Read | Write) else a for a in step.args)
    overlaps = tuple(
        replace(overlap, input=names[overlap.input], output=names[overlap.output])
        for overlap in step.overlaps
    )
    return replace(step, args=args, overlaps=overlaps)


def _with_parts(op: Op, sliced: Mapping[int, int], padding: Sequence[int]) -> Op:
    """`op` of slices, with `padding` above, below, left and right."""
    inputs, outputs = (tuple(sliced.get(t, t) for t in side) for side in (op.inputs, op.outputs))
    if op.kind not in WINDOWS:
        return replace(op, inputs=inputs, outputs=outputs)
    explicit = dict(zip(("pad_top", "pad_bottom", "pad_left", "pad_right"), padding, strict=True))
    options = {**op.options, **explicit, "padding": "EXPLICIT"}
    return replace(op, inputs=inputs, outputs=outputs, options=options)


def _alike(turns: Iterator[Turn]) -> Iterator[tuple[range, Turn, tuple[int, ...]]]:
    """Turns that one kernel can do: which, the first, and how many pixels each part moves in every turn."""
    first = last = next(turns, None)
    moves: tuple[int, ...] | None = None
    for turn in turns:
        assert first is not None and last is not None
        by = tuple(after.first - before.first for before, after in zip(last.parts, turn.parts, strict=True))
        same = last.shape == turn.shape and last.number + 1 == turn.number
        if same and moves in (None, by):
            last, moves = turn, by
        else:
            yield range(first.number, last.number + 1), first, moves or (0,) * len(first.parts)
            first, last, moves = turn, turn, None
    if first is not None and last is not None:
        yield range(first.number, last.number + 1), first, moves or (0,) * len(first.parts)


def _keeping(graph: Graph, plan: Schedule, tensor: int) -> Iterator[Step]:
    """The steps that move what stays of `tensor` to the front of its buffer."""
    if tensor in plan.whole:
        return
    depth = graph.tensors[tensor].shape[3]
    turns = [
        (rows * len(columns) * depth, dropped * len(columns) * depth)
        for columns in plan.columns[tensor]
        for rows, dropped in plan.rows[tensor].kept()
    ]
    for (kept, dropped), group in groupby(range(len(turns)), lambda number: turns[number]):
        if kept and dropped:
            numbers = list(group)
            params = {"kElements": kept, "kFrom": dropped}
            stripes = range(numbers[0], numbers[-1] + 1)
            yield Step("keep_rows", "shape.h", params, (Write(tensor),), stripes=stripes)
