"""The tiling schedule: when a run of ops makes what, a few rows at a time, perhaps of some columns.

A stripe makes the rows that the later ops then need and that no stripe before has made, so stripes compute
nothing twice: of a tensor inside the run, rows that a later window still needs stay. Patches are what
MCUNetV2 (Lin et al., 2021, https://arxiv.org/abs/2110.15352) runs a network's first layers in: each is done
for itself, so what the windows of two patches share is computed in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from tinydeploy.engines.aot.ir import Overlap, Program
from tinydeploy.engines.aot.lowering.window_geometry import COLUMNS, ROWS
from tinydeploy.engines.aot.memory import input_overlap
from tinydeploy.engines.aot.tiling.runs import NEVER, Runs
from tinydeploy.engines.aot.tiling.turns import Part, Rows, Turn
from tinydeploy.model.graph import Op


@dataclass(frozen=True, eq=False)
class Schedule:
    """What each op makes in each turn: a turn is a stripe of a patch, and all stripes of a patch come first.

    `rows[t]` are the rows of tensor t made and held in each stripe; `columns[t][p]` are the columns made in
    patch p. Tensors in `whole` are held as they are.
    """

    runs: Runs
    ops: tuple[Op, ...]
    rows: Mapping[int, Rows]
    columns: Mapping[int, Sequence[range]]
    whole: frozenset[int]

    @property
    def program(self) -> Program:
        """The program that is cut."""
        return self.runs.program

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

    def turns(self, op: Op) -> Iterator[Turn]:
        """What `op` does, turn by turn."""
        *inputs, target = self.runs.sides(op)
        window = self.runs.window
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
                window = self.runs.window(op, source, ROWS).needed(made)[0] if reads else range(0)
                first.append(window.start * pitches[source] if reads else NEVER)
                end.append(made.stop * pitches[output] if op.outputs[0] == output else 0)
            yield Overlap(source, output, input_overlap.of_copies(first, end))


class Scheduler(Runs):
    """The schedules of a program's runs."""

    def schedule(self, run: range, height: int, patches: int = 1) -> Schedule | None:
        """The ops at positions `run`, in stripes of `height` rows of the last output; None if that fails.

        Each of the `patches` has its share of the output's columns. Ops have to go by rows, and by columns if
        there are several patches.
        """
        if self.least_bytes(run, height, patches)[-1] is None:
            return None
        last, ops = run[-1], self._ops[run.start : run.stop]
        targets = [op.outputs[0] for op in ops]
        whole = {t for op in ops for t in self.sides(op)}.difference(targets)
        whole |= {t for t in targets if self.outlives(t, last)}
        rows = self.rows(last, height).down_to(run.start)
        assert rows is not None
        columns = self.columns(last, patches).down_to(run.start)
        return Schedule(
            self, ops, {t: rows[t] for t in targets}, {t: columns[t] for t in targets}, frozenset(whole)
        )
