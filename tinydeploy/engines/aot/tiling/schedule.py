"""The tiling schedule: when a run of ops makes what, a few rows at a time, perhaps of some columns.

A stripe makes the rows that the later ops then need and that no stripe before has made, so stripes compute
nothing twice: of a tensor inside the run, rows that a later window still needs stay. Patches are what
MCUNetV2 (Lin et al., 2021, https://arxiv.org/abs/2110.15352) runs a network's first layers in: each is done
for itself, so what the windows of two patches share is computed in both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import prod

import numpy as np

from tinydeploy.engines.aot.ir import Overlap, Program
from tinydeploy.engines.aot.memory import arena_plan, input_overlap
from tinydeploy.engines.aot.memory.input_overlap import Steps
from tinydeploy.engines.aot.tiling.turns import Part, Rows, Turn
from tinydeploy.engines.aot.tiling.windows import COLUMNS, ROWS, Window, goes_by, sides, window_of
from tinydeploy.model.graph import Op

_NEVER = 1 << 40  # behind every byte
_MOST_TURNS = 4096  # of a run: what takes more is not cut


@dataclass(frozen=True, eq=False)
class Schedule:
    """What each op makes in each turn: a turn is a stripe of a patch, and all stripes of a patch come first.

    `rows[t]` are the rows of tensor t made and held in each stripe; `columns[t][p]` are the columns made in
    patch p. Tensors in `whole` are held as they are.
    """

    scheduler: Scheduler
    ops: tuple[Op, ...]
    rows: Mapping[int, Rows]
    columns: Mapping[int, Sequence[range]]
    whole: frozenset[int]

    @property
    def program(self) -> Program:
        """The program that is cut."""
        return self.scheduler.program

    @property
    def stripes(self) -> int:
        """How many there are in a patch."""
        return len(self.rows[self.ops[-1].outputs[0]].ends)

    @property
    def patches(self) -> int:
        """How many there are, side by side."""
        return len(self.columns[self.ops[-1].outputs[0]])

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Of the buffer of `tensor`: the most rows and columns that it has to hold."""
        shape = self.program.graph.tensors[tensor].shape
        if tensor in self.whole:
            return shape
        return (1, self.rows[tensor].most, max(map(len, self.columns[tensor])), shape[3])

    @property
    def carried(self) -> frozenset[int]:
        """The tensors whose bytes outlive a turn."""
        return self.whole | {t for t, rows in self.rows.items() if rows.stays}

    @property
    def least_bytes(self) -> int:
        """About what the run needs at least: in one patch, its whole inputs and outputs may share bytes."""
        tensors = self.program.graph.tensors
        size = {t: self.scheduler.bytes[t] for t in self.whole}
        made = sum(size[t] for t in self.whole & self.rows.keys())
        lasting = _lasting(sum(size.values()) - made, made, self.patches)
        for t, rows in self.rows.items():
            if t not in self.whole:
                size[t] = prod(self.shape(t)) * tensors[t].dtype.bytes
                if rows.stays:
                    lasting += size[t]
        carried = self.carried
        return lasting + max(
            self.scheduler.scratch(op) + sum(size[t] for t in self.scheduler.sides(op) if t not in carried)
            for op in self.ops
        )

    def turns(self, op: Op) -> Iterator[Turn]:
        """What `op` does, turn by turn."""
        *inputs, target = self.scheduler.sides(op)
        window = self.scheduler.window
        for number, (patch, stripe) in enumerate(product(range(self.patches), range(self.stripes))):
            made = self.rows[target].made[stripe], self.columns[target][patch]
            if not made[0]:
                continue
            rows = [window(op, t, ROWS).needed(made[0]) for t in inputs]
            columns = [window(op, t, COLUMNS).needed(made[1]) for t in inputs]
            parts = [
                self._part(t, r, c, stripe, patch)
                for t, (r, *_), (c, *_) in zip(inputs, rows, columns, strict=True)
            ]
            parts.append(self._part(target, *made, stripe, patch))
            padding = (*rows[0][1:], *columns[0][1:]) if inputs else (0, 0, 0, 0)
            yield Turn(number, tuple(parts), padding)

    def _part(self, tensor: int, rows: range, columns: range, stripe: int, patch: int) -> Part:
        full = self.program.graph.tensors[tensor]
        is_whole = tensor in self.whole
        above = 0 if is_whole else int(self.rows[tensor].held[stripe])
        held = range(full.shape[COLUMNS]) if is_whole else self.columns[tensor][patch]
        first = (rows.start - above) * len(held) + columns.start - held.start
        return Part(len(rows), len(columns), first, len(held))

    def again(self, tensor: int) -> int:
        """How many elements of `tensor` are computed once more, as two patches need them."""
        columns = self.columns[tensor]
        twice = sum(map(len, columns)) - (max(c.stop for c in columns) - min(c.start for c in columns))
        return int(self.rows[tensor].ends[-1]) * twice * self.program.graph.tensors[tensor].shape[3]

    def overlaps(self) -> Iterator[Overlap]:
        """How far each whole output may run into each whole input, if that one dies with the run."""
        graph = self.program.graph
        for source, output in product(self.whole - self.rows.keys(), self.whole & self.rows.keys()):
            pitches = {t: graph.tensors[t].bytes // graph.tensors[t].shape[ROWS] for t in (source, output)}
            first, end = [], []
            for stripe, op in product([*range(self.stripes)] * self.patches, self.ops):
                made = self.rows[op.outputs[0]].made[stripe]
                reads = bool(made) and source in op.inputs
                window = self.scheduler.window(op, source, ROWS).needed(made)[0] if reads else range(0)
                first.append(window.start * pitches[source] if reads else _NEVER)
                end.append(made.stop * pitches[output] if op.outputs[0] == output else 0)
            yield Overlap(source, output, input_overlap.of_copies(first, end))


def _lasting(sources: int, outputs: int, patches: int) -> int:
    """The bytes that whole tensors take throughout a run, at the least: in one patch, they may share some."""
    return max(sources, outputs) if patches == 1 else sources + outputs


class Scheduler:
    """The schedules of a program's runs. Those that end with the same op share what they have in common."""

    def __init__(self, program: Program) -> None:
        self.program = program
        graph = program.graph
        self.bytes = [tensor.bytes for tensor in graph.tensors]
        self._ops = tuple(op for op, _ in program.ops)
        self._windows: dict[tuple[int, int, int], Window] = {}
        self._sides = {op.index: sides(graph, op) for op in self._ops if op.outputs}
        self._scratch = {op.index: arena_plan.scratch_bytes(steps) for op, steps in program.ops}
        self._readers: dict[int, list[int]] = {}  # by tensor, the positions of the ops that read it
        for position, op in enumerate(self._ops):
            for tensor in dict.fromkeys(op.inputs):
                self._readers.setdefault(tensor, []).append(position)
        shared = {both for t, root in program.memory.items() if t != root for both in (t, root)}
        self._lasting = frozenset(shared | set(graph.outputs))
        self._by_columns = cache(lambda position: goes_by(COLUMNS, graph, self._ops[position]))
        self._rows = cache(lambda last, height: _RowsUpTo(self, last, height))
        self._columns = cache(lambda last, patches: _ColumnsUpTo(self, last, patches))

    def schedule(self, run: range, height: int, patches: int = 1, below: float = math.inf) -> Schedule | None:
        """The ops at positions `run`, in stripes of `height` rows of the last output; None if that fails.

        Each of the `patches` has its share of the output's columns. Ops have to go by rows, and by columns if
        there are several patches. A run whose whole tensors alone take `below` bytes or more is left out.
        """
        graph, roots, last = self.program.graph, self.program.memory, run[-1]
        stripes = -(-graph.tensors[self._ops[last].outputs[0]].shape[ROWS] // height)
        if not 2 <= stripes * patches <= _MOST_TURNS:
            return None
        if patches > 1 and not all(map(self._by_columns, run)):
            return None
        ops = self._ops[run.start : run.stop]
        targets = [op.outputs[0] for op in ops]
        sources = {t for op in ops for t in self.sides(op)}.difference(targets)
        if not {roots[t] for t in sources}.isdisjoint(roots[t] for t in targets):
            return None
        outputs = {t for t in targets if self.outlives(t, last)}
        if patches > min(graph.tensors[t].shape[COLUMNS] for t in outputs):
            return None
        if (
            _lasting(sum(self.bytes[t] for t in sources), sum(self.bytes[t] for t in outputs), patches)
            >= below
        ):
            return None
        rows = self._rows(last, height).down_to(run.start)
        if rows is None:
            return None
        columns = self._columns(last, patches).down_to(run.start)
        chosen = {t: rows[t] for t in targets}, {t: columns[t] for t in targets}
        return Schedule(self, ops, *chosen, frozenset(outputs | sources))

    def outlives(self, tensor: int, last: int) -> bool:
        """Whether a tensor made in a run that ends at position `last` is needed after it."""
        readers = self._readers.get(tensor, [])
        made_last = tensor == self._ops[last].outputs[0]
        return made_last or tensor in self._lasting or (bool(readers) and readers[-1] > last)

    def making(self, position: int, last: int) -> tuple[int, list[Op]]:
        """What the op at `position` makes, and who reads that in a run that ends at position `last`."""
        (target,) = self._ops[position].outputs
        return target, [self._ops[n] for n in self._readers.get(target, ()) if n <= last]

    def window(self, op: Op, tensor: int, axis: int) -> Window:
        """How `op` goes through its input `tensor` along `axis`."""
        key = op.index, tensor, axis
        if key not in self._windows:
            self._windows[key] = window_of(self.program.graph, op, tensor, axis)
        return self._windows[key]

    def sides(self, op: Op) -> tuple[int, ...]:
        """As `sides` of this module."""
        return self._sides[op.index]

    def scratch(self, op: Op) -> int:
        """The working memory of `op`, in bytes."""
        return self._scratch[op.index]


class _RowsUpTo:
    """The rows of all runs that end at position `last`, from there on back, as far as they were asked for."""

    def __init__(self, scheduler: Scheduler, last: int, height: int) -> None:
        self._scheduler = scheduler
        self._last = self._next = last
        self._height = height
        self._rows: dict[int, Rows] = {}

    def down_to(self, first: int) -> Mapping[int, Rows] | None:
        """Of all tensors made from position `first` on, and perhaps others; None if that fails."""
        while self._next >= first:
            target, readers = self._scheduler.making(self._next, self._last)
            if not readers and not self._scheduler.outlives(target, self._last):
                return None
            ends = self._ends(target, readers)
            held = np.concatenate([[0], ends[:-1]])
            for reader in readers:
                made = np.concatenate([[0], self._rows[reader.outputs[0]].ends])
                window = self._scheduler.window(reader, target, ROWS)
                lowest = np.maximum(made[:-1] * window.stride - window.before, 0)
                lowest[made[:-1] == made[-1]] = _NEVER
                held = np.minimum(held, lowest)
            self._rows[target] = Rows(ends, held)
            self._next -= 1
        return self._rows

    def _ends(self, target: int, readers: Sequence[Op]) -> Steps:
        """How many rows of `target` have been made after each stripe: those that all readers then need."""
        limit = self._scheduler.program.graph.tensors[target].shape[ROWS]
        if self._next == self._last:
            stripes = -(-limit // self._height)
            return np.minimum(np.arange(1, stripes + 1) * self._height, limit)
        stripes = len(next(iter(self._rows.values())).ends)
        if not readers:
            return limit * np.arange(1, stripes + 1) // stripes
        ends = np.zeros(stripes, np.int64)
        for reader in readers:
            made = self._rows[reader.outputs[0]].ends
            window = self._scheduler.window(reader, target, ROWS)
            needed = np.minimum((made - 1) * window.stride - window.before + window.reach, window.size)
            ends = np.maximum(ends, np.where(made > 0, needed, 0))
        if self._scheduler.outlives(target, self._last):
            ends[-1] = limit
        return ends


class _ColumnsUpTo:
    """The columns that each patch makes, in all runs that end at position `last`: what its later ops need.

    Tensors that are needed afterwards share out all their columns.
    """

    def __init__(self, scheduler: Scheduler, last: int, patches: int) -> None:
        self._scheduler = scheduler
        self._last = self._next = last
        self._patches = patches
        self._columns: dict[int, list[range]] = {}

    def down_to(self, first: int) -> Mapping[int, Sequence[range]]:
        """Of all tensors made from position `first` on, and perhaps others."""
        while self._next >= first:
            target, readers = self._scheduler.making(self._next, self._last)
            self._columns[target] = [self._of(target, readers, patch) for patch in range(self._patches)]
            self._next -= 1
        return self._columns

    def _of(self, target: int, readers: Sequence[Op], patch: int) -> range:
        needed = [
            self._scheduler.window(r, target, COLUMNS).needed(self._columns[r.outputs[0]][patch])[0]
            for r in readers
        ]
        if self._patches == 1 or self._scheduler.outlives(target, self._last):
            width = self._scheduler.program.graph.tensors[target].shape[COLUMNS]
            needed.append(range(width * patch // self._patches, width * (patch + 1) // self._patches))
        return range(min(w.start for w in needed), max(w.stop for w in needed))
