"""The cutter: the ops of a run, as a schedule says, lowered turn by turn.

Each op is lowered as if what it reads and makes in a turn were all there is, with the padding that belongs to
it. Rows that the next stripe still needs move to the front of their buffer before new ones follow. A part
that does not go from edge to edge of its buffer is copied from or to a tile of its own. Most turns are alike,
and share their kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from tinydeploy.engines.aot.ir import Alias, Program, Read, Slice, Step, Stripes, Write
from tinydeploy.engines.aot.kernels.movement_kernels import COPY_ROWS, KEEP_ROWS, CopyRows, KeepRows
from tinydeploy.engines.aot.lowering.dispatch import lower_op
from tinydeploy.engines.aot.own_ops import Padding, WindowOp
from tinydeploy.engines.aot.tiling.schedule import Schedule
from tinydeploy.engines.aot.tiling.turns import Part, Turn
from tinydeploy.engines.aot.tiling.windows import WINDOWS, sides
from tinydeploy.model.graph import Graph, Op, Tensor

Suit = Callable[[Program], Program]
# What ops become in a turn, by op, parts and padding: the tensors that it was lowered for, and the steps.
Lowered = dict[tuple[object, ...], tuple[tuple[int, ...], tuple[Step, ...]]]


def cut_run(program: Program, plan: Schedule, suit: Suit, lowered: Lowered) -> Program:
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
        said = (value for value in vars(op).values() if not isinstance(value, Mapping))
        what = type(op), *said, *op.options.items()
        key = what, turn.padding, *((part.rows, part.columns) for part in turn.parts)
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
        params = CopyRows(
            part.rows,
            part.columns * depth,
            input_step=source_pitch * depth,
            output_step=target_pitch * depth,
        )
        # A slice moves from turn to turn: what holds in one does not in all.
        return Step(COPY_ROWS, params, (Read(source), Write(target)))


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
    return replace(WindowOp.of(op), inputs=inputs, outputs=outputs, padding=Padding(*padding))


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
            stripes = range(numbers[0], numbers[-1] + 1)
            yield Step(KEEP_ROWS, KeepRows(kept, dropped), (Write(tensor),), stripes=stripes)
