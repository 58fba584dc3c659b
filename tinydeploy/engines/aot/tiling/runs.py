"""Runs of ops that may be done a few rows at a time: what each tensor then has of them, and the least bytes.

Runs grow from their last op back to the first: all that end with the same op share what is known of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from functools import cache
from operator import add

import numpy as np

from tinydeploy.engines.aot.ir import Program
from tinydeploy.engines.aot.lowering.window_geometry import COLUMNS, ROWS
from tinydeploy.engines.aot.memory import arena_plan
from tinydeploy.engines.aot.memory.input_overlap import Steps
from tinydeploy.engines.aot.tiling.turns import Rows
from tinydeploy.engines.aot.tiling.windows import Window, goes_by, sides, window_of
from tinydeploy.model.graph import Op

NEVER = 1 << 40  # behind every byte
_MOST_TURNS = 4096  # of a run: what takes more is not cut


class Runs:
    """The runs of a program. Those that end with the same op share what they have in common."""

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
        self._shared = frozenset(shared)
        self._by_columns = cache(lambda position: goes_by(COLUMNS, graph, self._ops[position]))
        self._rows = cache(lambda last, height: _RowsUpTo(self, last, height))
        self._columns = cache(lambda last, patches: _ColumnsUpTo(self, last, patches))
        self._least = cache(lambda last, height, patches: _LeastUpTo(self, last, height, patches))

    def least_bytes(self, run: range, height: int, patches: int) -> Sequence[int | None]:
        """About what a run needs at least, done as schedule.py says: in one patch, in two, up to `patches`.

        None where that fails.
        """
        return self._least(run[-1], height, patches).down_to(run.start)

    def rows(self, last: int, height: int) -> _RowsUpTo:
        """Of the runs that end at position `last`, in stripes of `height` rows."""
        return self._rows(last, height)

    def columns(self, last: int, patches: int) -> _ColumnsUpTo:
        """Of the runs that end at position `last`, in so many patches."""
        return self._columns(last, patches)

    def by_columns(self, position: int) -> bool:
        """Whether the op at `position` goes by columns."""
        return self._by_columns(position)

    def mixes(self, sources: Set[int], targets: Set[int]) -> bool:
        """Whether one of `sources` lies in the same memory as one of `targets`."""
        roots = self.program.memory
        return not {roots[t] for t in self._shared & sources}.isdisjoint(
            roots[t] for t in self._shared & targets
        )

    def op(self, position: int) -> Op:
        """The op there."""
        return self._ops[position]

    def readers(self, position: int, last: int) -> list[int]:
        """The positions of the ops that read what the op at `position` makes, up to position `last`."""
        (target,) = self._ops[position].outputs
        return [reader for reader in self._readers.get(target, ()) if reader <= last]

    def outlives(self, tensor: int, last: int) -> bool:
        """Whether a tensor made in a run that ends at position `last` is needed after it."""
        readers = self._readers.get(tensor, [])
        made_last = tensor == self._ops[last].outputs[0]
        return made_last or tensor in self._lasting or (bool(readers) and readers[-1] > last)

    def making(self, position: int, last: int) -> tuple[int, list[Op]]:
        """What the op at `position` makes, and who reads that in a run that ends at position `last`."""
        (target,) = self._ops[position].outputs
        return target, [self._ops[n] for n in self.readers(position, last)]

    def window(self, op: Op, tensor: int, axis: int) -> Window:
        """How `op` goes through its input `tensor` along `axis`."""
        key = op.index, tensor, axis
        if key not in self._windows:
            self._windows[key] = window_of(self.program.graph, op, tensor, axis)
        return self._windows[key]

    def sides(self, op: Op) -> tuple[int, ...]:
        """As windows.py says."""
        return self._sides[op.index]

    def scratch(self, op: Op) -> int:
        """The working memory of `op`, in bytes."""
        return self._scratch[op.index]


class _RowsUpTo:
    """The rows of all runs that end at position `last`, from there on back, as far as they were asked for."""

    def __init__(self, runs: Runs, last: int, height: int) -> None:
        self._runs = runs
        self._last = self._next = last
        self._height = height
        self._rows: dict[int, Rows] = {}

    def down_to(self, first: int) -> Mapping[int, Rows] | None:
        """Of all tensors made from position `first` on, and perhaps others; None if that fails."""
        while self._next >= first:
            target, readers = self._runs.making(self._next, self._last)
            if not readers and not self._runs.outlives(target, self._last):
                return None
            ends = self._ends(target, readers)
            held = np.concatenate([[0], ends[:-1]])
            for reader in readers:
                made = np.concatenate([[0], self._rows[reader.outputs[0]].ends])
                window = self._runs.window(reader, target, ROWS)
                lowest = np.maximum(made[:-1] * window.stride - window.before, 0)
                lowest[made[:-1] == made[-1]] = NEVER
                held = np.minimum(held, lowest)
            self._rows[target] = Rows(ends, held)
            self._next -= 1
        return self._rows

    def _ends(self, target: int, readers: Sequence[Op]) -> Steps:
        """How many rows of `target` have been made after each stripe: those that all readers then need."""
        limit = self._runs.program.graph.tensors[target].shape[ROWS]
        if self._next == self._last:
            stripes = -(-limit // self._height)
            return np.minimum(np.arange(1, stripes + 1) * self._height, limit)
        stripes = len(next(iter(self._rows.values())).ends)
        if not readers:
            return limit * np.arange(1, stripes + 1) // stripes
        ends = np.zeros(stripes, np.int64)
        for reader in readers:
            made = self._rows[reader.outputs[0]].ends
            window = self._runs.window(reader, target, ROWS)
            needed = np.minimum((made - 1) * window.stride - window.before + window.reach, window.size)
            ends = np.maximum(ends, np.where(made > 0, needed, 0))
        if self._runs.outlives(target, self._last):
            ends[-1] = limit
        return ends


class _ColumnsUpTo:
    """The columns that each patch makes, in all runs that end at position `last`: what its later ops need.

    Tensors that are needed afterwards share out all their columns.
    """

    def __init__(self, runs: Runs, last: int, patches: int) -> None:
        self._runs = runs
        self._last = self._next = last
        self._patches = patches
        self._columns: dict[int, list[range]] = {}
        self._widest: dict[int, int] = {}

    def widest(self, tensor: int, position: int) -> int:
        """The most columns of a patch of `tensor`, which the op at `position` makes."""
        if tensor not in self._widest:
            self._widest[tensor] = max(map(len, self.down_to(position)[tensor]))
        return self._widest[tensor]

    def down_to(self, first: int) -> Mapping[int, Sequence[range]]:
        """Of all tensors made from position `first` on, and perhaps others."""
        while self._next >= first:
            target, readers = self._runs.making(self._next, self._last)
            self._columns[target] = [self._of(target, readers, patch) for patch in range(self._patches)]
            self._next -= 1
        return self._columns

    def _of(self, target: int, readers: Sequence[Op], patch: int) -> range:
        needed = [
            self._runs.window(r, target, COLUMNS).needed(self._columns[r.outputs[0]][patch])[0]
            for r in readers
        ]
        if self._patches == 1 or self._runs.outlives(target, self._last):
            width = self._runs.program.graph.tensors[target].shape[COLUMNS]
            needed.append(range(width * patch // self._patches, width * (patch + 1) // self._patches))
        return range(min(w.start for w in needed), max(w.stop for w in needed))


class _LeastUpTo:
    """What all runs that end at position `last` need at least, from there on back, by the number of patches.

    For each op that is added, only what it changes is counted. In one patch, whole inputs and outputs may
    share bytes.
    """

    def __init__(self, runs: Runs, last: int, height: int, patches: int) -> None:
        self._runs, self._last = runs, last
        self._tensors = runs.program.graph.tensors
        stripes = -(-self._tensors[runs.op(last).outputs[0]].shape[ROWS] // height)
        # What fails for a run fails for all longer ones.
        self._fails = [not 2 <= stripes * n <= _MOST_TURNS for n in range(1, patches + 1)]
        self._rows = runs.rows(last, height)
        self._columns = [runs.columns(last, n) for n in range(1, patches + 1)]
        self._found: list[tuple[int | None, ...]] = []  # by how many ops there are before the last
        self._sources: set[int] = set()  # tensors that the run reads
        self._targets: set[int] = set()  # and those that it makes
        self._read = self._made = 0  # bytes of whole inputs and outputs
        self._kept = [0] * patches  # bytes that stay from stripe to stripe, beside those
        self._passing: dict[int, list[int]] = {}  # bytes that each op needs beside all these, by position
        self._most = [0] * patches  # of these

    def down_to(self, first: int) -> tuple[int | None, ...]:
        """Of the run from position `first` on; None where it cannot be done so."""
        while len(self._found) <= self._last - first:
            position = self._last - len(self._found)
            if not self._runs.by_columns(position):
                self._fails[1:] = [True] * (len(self._fails) - 1)
            if all(self._fails) or self._rows.down_to(position) is None:
                self._fails = [True] * len(self._fails)
                self._found.append((None,) * len(self._fails))
            else:
                self._found.append(self._with(position))
        return self._found[self._last - first]

    def _with(self, position: int) -> tuple[int | None, ...]:
        """The bytes with the op at `position`, which is before those that were added."""
        runs, op = self._runs, self._runs.op(position)
        *inputs, target = runs.sides(op)
        patches = range(len(self._fails))
        self._passing[position] = [runs.scratch(op)] * len(patches)
        if target in self._sources:
            self._sources.remove(target)
            self._read -= runs.bytes[target]
        self._targets.add(target)
        new = set(inputs) - self._sources
        self._sources |= new
        self._read += sum(runs.bytes[t] for t in new)
        changed = [position]
        if runs.outlives(target, self._last):
            self._made += runs.bytes[target]
            width = self._tensors[target].shape[COLUMNS]
            self._fails = [fails or n >= width for n, fails in enumerate(self._fails)]
        else:
            changed += self._hold(position, target)
        for user in changed:
            self._most = list(map(max, self._most, self._passing[user]))
        if runs.mixes(self._sources, self._targets):
            return (None,) * len(patches)
        both = self._read + self._made
        return tuple(
            None
            if self._fails[n]
            else (both if n else max(self._read, self._made)) + self._kept[n] + self._most[n]
            for n in patches
        )

    def _hold(self, position: int, target: int) -> list[int]:
        """Adds the buffer of what the op at `position` makes; the positions of ops that need more for it."""
        rows = self._rows.down_to(position)
        assert rows is not None
        tensor = self._tensors[target]
        pixels = rows[target].most * tensor.shape[3] * tensor.dtype.bytes
        sizes = [
            0 if fails else pixels * columns.widest(target, position)
            for fails, columns in zip(self._fails, self._columns, strict=True)
        ]
        if rows[target].stays:
            self._kept = list(map(add, self._kept, sizes))
            return []
        readers = self._runs.readers(position, self._last)
        for user in (position, *readers):
            self._passing[user] = list(map(add, self._passing[user], sizes))
        return readers
