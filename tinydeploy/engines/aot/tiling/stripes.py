"""Tiling by stripes of rows, perhaps in patches of columns, so that few tensors are ever whole.

A run ends with a whole tensor, which is made stripe by stripe as schedule.py says. Each op is lowered as if
what it reads and makes in a turn were all there is, with the padding that belongs to it. Rows that the next
stripe still needs move to the front of their buffer before new ones follow. A part that does not go from edge
to edge of its buffer is copied from or to a tile of its own. Most turns are alike, and share their kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby, pairwise, product

from tinydeploy.engines.aot.ir import Alias, Program, Read, Slice, Step, Stripes, Write
from tinydeploy.engines.aot.lowering.dispatch import lower_op
from tinydeploy.engines.aot.memory import arena_plan
from tinydeploy.engines.aot.tiling.schedule import Schedule, Scheduler
from tinydeploy.engines.aot.tiling.turns import Part, Turn
from tinydeploy.engines.aot.tiling.windows import ROWS, WINDOWS, goes_by, sides
from tinydeploy.model.graph import Graph, Op, Tensor

_HEIGHTS = (1, 2, 4, 8)  # of a stripe, in rows of the run's last tensor
_MOST_OPS = 64  # of a run
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
    program: Program, suit: Suit, means: Sequence[Means], fits: Callable[[Program], bool] = lambda _: True
) -> Program:
    """`program` with the runs in stripes that make its arena smallest; `suit` chooses the core's kernels.

    One run after the other is cut, around the op that needs most, as long as that shrinks the arena. Of
    several `means`, those are taken whose arena comes out smallest; patches only if they are worth while and
    their many kernels still fit into flash. Of runs that come to the same, it is one of few turns, kernels
    and ops.
    """
    tries = _Tries(suit, max((way.patches for way in means), default=1))
    best = program
    for way in means:
        cut = _cut_greedily(program, tries, way)
        saved = arena_plan.arena_bytes(best) - arena_plan.arena_bytes(cut)
        if way.patches > 1 and not (saved >= arena_plan.arena_bytes(best) // _WORTHWHILE and fits(cut)):
            continue
        if saved > 0:
            best = cut
    return best


class _Tries:
    """The ways to cut a program, and what comes of them: each is tried once, for all means."""

    def __init__(self, suit: Suit, patches: int) -> None:
        self._patches = patches
        lowered: Lowered = {}
        self.plans = cache(self._plans)
        self.cut = cache(lambda plan: _cut(plan.program, plan, suit, lowered))
        self.needed = cache(lambda plan: max(arena_plan.needed(self.cut(plan)).values()))

    def _plans(self, program: Program, crowded: int, peak: int) -> list[tuple[int, Schedule]]:
        """Those of runs around op `crowded` that may need less than `peak`, by what they need at least."""
        scheduler = Scheduler(program)
        ways = product(_runs(program, crowded), _HEIGHTS, range(1, self._patches + 1))
        plans = filter(None, (scheduler.schedule(*way, below=peak) for way in ways))
        return sorted(((plan.least_bytes, plan) for plan in plans), key=lambda pair: pair[0])


def _cut_greedily(best: Program, tries: _Tries, means: Means) -> Program:
    while True:
        needed = arena_plan.needed(best)
        peak = max(needed.values(), default=0)
        crowded = max((time for time, size in needed.items() if size == peak), default=-1)
        cuts: list[tuple[int, int, int, int, Program]] = []
        for least, plan in tries.plans(best, crowded, peak):
            if least + means.kernel_bytes >= min([peak, *(cost for cost, *_ in cuts)]):
                break
            if plan.patches > means.patches:
                continue
            cut = tries.cut(plan)
            kernels = max(1, _kernels(cut) - _kernels(best))
            cost = tries.needed(plan)
            cost += kernels * means.kernel_bytes + (plan.patches - 1) * cost // _WORTHWHILE
            if cost < peak:
                cuts.append((cost, plan.stripes * plan.patches, kernels, len(plan.ops), cut))
        if not cuts:
            return best
        *_, cut = min(cuts, key=lambda candidate: candidate[:4])
        if arena_plan.arena_bytes(cut) >= arena_plan.arena_bytes(best):
            return best
        best = cut


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
        cutter.program,
        ops=tuple((op, cut.get(op.index, steps)) for op, steps in program.ops),
        stripes=(*program.stripes, turns),
    )


class _Cutter:
    """Lowers ops turn by turn. `program` grows by the slices and tiles that their steps name."""

    def __init__(self, program: Program, suit: Suit, lowered: Lowered) -> None:
        self.program = program
        self._suit = suit
        self._lowered = lowered

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
        key = op.index, turn.padding, *((part.rows, part.columns) for part in turn.parts)
        if key not in self._lowered:
            clone = _with_parts(op, sliced, turn.padding)
            lowered = lower_op(self.program.graph, clone)
            assert not isinstance(lowered, Alias)
            ((_, suited),) = self._suit(replace(self.program, ops=((clone, lowered),))).ops
            self._lowered[key] = tuple(sliced.values()), suited
        known, steps = self._lowered[key]
        return tuple(_renamed(step, dict(zip(known, sliced.values(), strict=True))) for step in steps)

    def _tile(self, tensor: int, parts: Sequence[Part]) -> int:
        """A new tensor that holds each of the torn `parts`; `tensor` itself if there is none."""
        torn = [part for part in parts if part.is_torn]
        if not torn:
            return tensor
        full = self.program.graph.tensors[tensor]
        size = max(part.rows for part in torn), max(part.columns for part in torn)
        index = self._add(replace(full, name=f"{full.name} (tile)", shape=(1, *size, full.shape[3])))
        self.program = replace(self.program, memory={**self.program.memory, index: index})
        return index

    def _slice(self, tensor: int, part: Part, first: int, move: int) -> int:
        """A new tensor: `part` of another, from pixel `first` on, and in each turn `move` pixels further."""
        full = self.program.graph.tensors[tensor]
        index = self._add(replace(full, shape=(1, part.rows, part.columns, full.shape[3])))
        pixel = full.shape[3] * full.dtype.bytes
        slices = {**self.program.slices, index: Slice(tensor, first * pixel, move * pixel)}
        self.program = replace(self.program, slices=slices)
        return index

    def _add(self, tensor: Tensor) -> int:
        graph = self.program.graph
        added = replace(tensor, index=len(graph.tensors))
        self.program = replace(self.program, graph=replace(graph, tensors=(*graph.tensors, added)))
        return added.index

    def _copied(self, part: Part, source: int, target: int, source_pitch: int, target_pitch: int) -> Step:
        """The step that copies `part` from one slice to another, whose rows are so many pixels apart."""
        depth = self.program.graph.tensors[source].shape[3]
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
    groups: list[list[Turn]] = []
    for turn in turns:
        last = groups[-1] if groups else []
        same = bool(last) and last[-1].shape == turn.shape and last[-1].number + 1 == turn.number
        if same and len(set(_moves([*last[-2:], turn]))) == 1:
            last.append(turn)
        else:
            groups.append([turn])
    for group in groups:
        moves = _moves([*group, group[0]])[0]
        yield range(group[0].number, group[-1].number + 1), group[0], moves


def _moves(turns: Sequence[Turn]) -> list[tuple[int, ...]]:
    """How far every part moves from each turn to the next."""
    return [
        tuple(after.first - before.first for before, after in zip(a.parts, b.parts, strict=True))
        for a, b in pairwise(turns)
    ]


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
