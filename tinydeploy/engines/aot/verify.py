"""What has to hold after each pass. Tests ask; a VerificationError says what does not, and where.

Every tensor is written once before it is read, by one op; shapes and types stay the model's; a step declares
no overlap that its kernel does not allow; and in the planned arena nothing that is still needed is
overwritten.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.ir import Program, Read, Scratch, State, Step, Stripes, Write
from tinydeploy.engines.aot.kernels.movement_kernels import COPY_ROWS, CopyRows
from tinydeploy.engines.aot.memory.arena_plan import Arena, plan_arena
from tinydeploy.engines.aot.own_ops import WindowOp
from tinydeploy.model.graph import Graph, Op, Tensor

_NOBODY, _SCRATCH = -1, -2  # owners of bytes that hold no tensor


class VerificationError(Exception):
    """What a pass has broken."""


def _hold(condition: bool, broken: str) -> None:
    if not condition:
        raise VerificationError(broken)


def verify_ops(model: Graph, graph: Graph, ops: Iterable[Op]) -> None:
    """The `ops` that are left of `model`, of tensors of `graph`: the model's, and perhaps others."""
    _verify_shapes(model, graph, frozenset())
    made = _given(graph)
    written: set[int] = set()
    for op in ops:
        for tensor in op.inputs:
            _hold(tensor < 0 or tensor in made, f"op {op.index} reads tensor {tensor} before it is written")
        for tensor in op.outputs:  # a VAR_HANDLE's is a variable, and it may not be the only one
            _hold(
                tensor not in written or graph.tensors[tensor].is_variable,
                f"op {op.index} writes tensor {tensor} once more",
            )
        if isinstance(op, WindowOp) and op.addition is not None:
            kept, output = (graph.tensors[t].shape for t in (op.addition.made, op.outputs[0]))
            _hold(kept == output, f"op {op.index} adds to {kept}, and makes {output}")
        written |= {*op.outputs}
        made |= {*op.outputs}
    for tensor in graph.outputs:
        _hold(tensor in made, f"the model's output {tensor} is not written")


def verify_program(model: Graph, program: Program, arena: Arena | None = None) -> None:
    """`program`, made of `model`, in `arena` or, if that is None, in the one that is planned for it."""
    graph = program.graph
    held = {t for run in program.stripes for op, _ in _ops_of(program, run) for t in op.outputs}
    _verify_shapes(model, graph, held)
    for tensor, root in program.memory.items():
        _hold(program.memory[root] == root, f"tensor {tensor} lies in {root}, which lies in another")
        end = program.offsets.get(tensor, 0) + graph.tensors[tensor].bytes
        _hold(end <= graph.tensors[root].bytes, f"tensor {tensor} reaches beyond {root}, in which it lies")
    made = {program.memory[t] for t in _given(graph) if t in program.memory}
    for op, steps in program.ops:
        for step in steps:
            _verify_step(program, op, step)
            for a in step.args:
                if isinstance(a, Read):
                    root = program.place(a.tensor)[0]
                    _hold(root in made, f"op {op.index} reads tensor {a.tensor} before it is written")
            made |= {program.place(a.tensor)[0] for a in step.args if isinstance(a, Write)}
    _verify_writers(program)
    _Bytes(program, plan_arena(program) if arena is None else arena).verify()


def _given(graph: Graph) -> set[int]:
    """The tensors that no op has to write: inputs, constants, variables."""
    constant = {t.index for t in graph.tensors if t.data is not None or t.is_variable}
    return (
        {*graph.inputs} | constant | {t for op in graph.ops if op.index in graph.folded for t in op.outputs}
    )


def _verify_shapes(model: Graph, graph: Graph, held: Iterable[int]) -> None:
    """`held` are tensors of which only some rows are ever there."""
    for before, after in zip(model.tensors, graph.tensors, strict=False):
        _hold(before.dtype is after.dtype, f"tensor {before.index} is no longer of {before.dtype.value}")
        if before.index not in held:
            _hold(before.shape == after.shape, f"tensor {before.index} of {before.shape} is of {after.shape}")
    same = model.inputs == graph.inputs and model.outputs == graph.outputs
    _hold(same, "the model's inputs or outputs are others")


def _verify_step(program: Program, op: Op, step: Step) -> None:
    """Its parameters and arguments are its kernel's, and so are its overlaps."""
    kernel, name = step.kernel, f"op {op.index}: {step.kernel.name}"
    _hold(isinstance(step.params, kernel.params), f"{name} has the parameters of another kernel")
    most = len(kernel.arguments)
    least = most - sum(argument.startswith("[") for argument in kernel.arguments)
    _hold(least <= len(step.args) <= most, f"{name} has {len(step.args)} arguments")
    allowed = kernel.step(program.graph, step.params, *step.args).overlaps
    for overlap in step.overlaps:
        legal = any(
            (known.input, known.output) == (overlap.input, overlap.output)
            and known.distance <= overlap.distance
            for known in allowed
        )
        _hold(legal, f"{name} does not let {overlap.output} run so far into {overlap.input}")


def _verify_writers(program: Program) -> None:
    """No byte of a tensor is written by two ops, but for the stripes of one."""
    writers: dict[int, np.ndarray[tuple[int], np.dtype[np.int64]]] = {}
    for op, steps in program.ops:
        writes = [(step, a.tensor) for step in steps for a in step.args if isinstance(a, Write)]
        for step, tensor in writes:
            piece = program.slices.get(tensor)
            whole = tensor if piece is None else piece.tensor
            root, begin = program.place(whole)
            of = writers.setdefault(root, np.full(program.graph.tensors[root].bytes, _NOBODY))
            bytes_ = begin + _written(program.graph.tensors[whole], step if piece is None else None)
            there = bool(np.isin(of[bytes_], (_NOBODY, op.index)).all())
            _hold(there, f"op {op.index} writes {whole} once more")
            of[bytes_] = op.index


def _written(tensor: Tensor, step: Step | None) -> npt.NDArray[np.int64]:
    """The bytes of `tensor` that a step writes: the rows that it copies there, or all."""
    if step is None or step.kernel is not COPY_ROWS:
        return np.arange(tensor.bytes)
    copy, size = step.of(CopyRows), tensor.dtype.bytes
    rows = copy.output_offset + copy.output_step * np.arange(copy.rows)[:, np.newaxis]
    elements = rows + np.arange(copy.row_elements)
    return (size * elements[..., np.newaxis] + np.arange(size)).reshape(-1)


def _ops_of(program: Program, run: Stripes) -> Iterator[tuple[Op, tuple[Step, ...]]]:
    return (pair for pair in program.ops if run.first <= pair[0].index <= run.last)


class _Bytes:
    """Who owns each byte of the arena, op by op: what is read has to be there still."""

    def __init__(self, program: Program, arena: Arena) -> None:
        self._program = program
        self._arena = arena
        self._owner = np.full(max(arena.plan.bytes, 1), _NOBODY)

    def verify(self) -> None:
        program, graph = self._program, self._program.graph
        for tensor in (*graph.inputs, *self._arena.initialised):
            self._claim(self._range(tensor), program.place(tensor)[0])
        for run, pairs in groupby(program.ops, lambda pair: self._run(pair[0])):
            group = list(pairs)
            late: list[tuple[range, int]] = []
            for _ in range(1 if run is None else 2):  # each turn finds what the one before has left
                for op, steps in group:
                    self._op(op, steps, run, late)
            for bytes_, root in late:
                self._claim(bytes_, root)
        for tensor in graph.outputs:
            if tensor in program.memory and tensor in self._arena.tensors:
                self._need(tensor, "the model's output")

    def _run(self, op: Op) -> Stripes | None:
        return next((r for r in self._program.stripes if r.first <= op.index <= r.last), None)

    def _range(self, tensor: int) -> range:
        """The bytes of a tensor; of a slice, those of all the tensor that it is a part of."""
        piece = self._program.slices.get(tensor)
        whole = tensor if piece is None else piece.tensor
        root, begin = self._program.place(whole)
        start = self._arena.tensors[root] + begin
        return range(start, start + self._program.graph.tensors[whole].bytes)

    def _claim(self, bytes_: range, owner: int) -> None:
        self._owner[bytes_.start : bytes_.stop] = owner

    def _need(self, tensor: int, who: str) -> None:
        bytes_, root = self._range(tensor), self._program.place(tensor)[0]
        there = bool((self._owner[bytes_.start : bytes_.stop] == root).all())
        _hold(there, f"{who} needs tensor {tensor}, some of whose bytes are another's by then")

    def _op(self, op: Op, steps: Sequence[Step], run: Stripes | None, late: list[tuple[range, int]]) -> None:
        place, who = self._program.place, f"op {op.index}"
        made: set[int] = set()
        scratch = [
            (start, start + a.bytes)
            for step in steps
            for a in step.args
            if isinstance(a, Scratch)
            for start in [self._arena.scratch[op.index, a.name]]
        ]
        for step in steps:
            for argument in step.args:
                if isinstance(argument, Read | State) and place(argument.tensor)[0] not in made:
                    self._need(argument.tensor, who)
                if isinstance(argument, Read | Write | State):
                    bytes_ = self._range(argument.tensor)
                    apart = all(e <= bytes_.start or bytes_.stop <= s for s, e in scratch)
                    _hold(apart, f"{who} has working memory in tensor {argument.tensor}")
            made |= {place(a.tensor)[0] for a in step.args if isinstance(a, Write)}
        for start, end in scratch:
            self._claim(range(start, end), _SCRATCH)
        starts = sorted({step.stripes.start for step in steps if step.stripes is not None}) or [0]
        for at in starts:
            self._together([s for s in steps if s.stripes is None or at in s.stripes], run, who)
        for step in steps:
            for a in step.args:
                if isinstance(a, Write):
                    claim = self._range(a.tensor), place(a.tensor)[0]
                    if run is not None and claim[1] in self._whole(run):
                        late.append(claim)
                    else:
                        self._claim(*claim)

    def _whole(self, run: Stripes) -> set[int]:
        """The outputs of a run that may lie over its inputs, which are read until its end."""
        return {self._program.place(overlap.output)[0] for overlap in run.overlaps}

    def _together(self, steps: Sequence[Step], run: Stripes | None, who: str) -> None:
        """No step writes to bytes of an input, but as it or the run allows, or once nobody reads them."""
        place = self._program.place
        for number, step in enumerate(steps):
            for write in (a for a in step.args if isinstance(a, Write)):
                output, target = self._range(write.tensor), place(write.tensor)[0]
                for later, reader in enumerate(steps[number:], start=number):
                    for a in reader.args:
                        if not isinstance(a, Read) or place(a.tensor)[0] == target:
                            continue
                        source = self._range(a.tensor)
                        meet = source.start < output.stop and output.start < source.stop
                        legal = later == number and self._allows(step, a.tensor, write.tensor)
                        legal = legal or (run is not None and self._run_allows(run, a.tensor, write.tensor))
                        _hold(legal or not meet, f"{who} writes {write.tensor} over {a.tensor}")

    def _allows(self, step: Step, source: int, output: int) -> bool:
        """Whether the step lets the output start where it lies below the input."""
        return any(
            (known.input, known.output) == (source, output)
            and self._start(source) - self._start(output) >= known.distance
            for known in step.overlaps
        )

    def _run_allows(self, run: Stripes, source: int, output: int) -> bool:
        roots = self._program.place(source)[0], self._program.place(output)[0]
        return any(
            roots == (self._program.place(known.input)[0], self._program.place(known.output)[0])
            and self._start(known.input) - self._start(known.output) >= known.distance
            for known in run.overlaps
        )

    def _start(self, tensor: int) -> int:
        root, begin = self._program.place(tensor)
        return self._arena.tensors[root] + begin
