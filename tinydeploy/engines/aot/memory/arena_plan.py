"""The arena's plan: which bytes a program needs, how long each is alive, and where they are put."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tinydeploy.engines.aot.ir import Program, Read, Scratch, Step, Write
from tinydeploy.engines.aot.memory import allocator
from tinydeploy.engines.aot.memory.allocator import Buffer
from tinydeploy.engines.engine import ArenaPlan, Placement
from tinydeploy.model.graph import DType, Tensor


@dataclass(frozen=True)
class Arena:
    """The plan, and the offsets that it gives to tensors (by index) and to scratch (by op and name).

    `initialised` are the tensors that live across inferences: variables, and constants that are outputs. They
    are in the arena's first `state_bytes`, where nothing else is.
    """

    plan: ArenaPlan
    tensors: Mapping[int, int]
    scratch: Mapping[tuple[int, str], int]
    initialised: tuple[int, ...]
    state_bytes: int

    @property
    def scratch_bytes(self) -> int:
        """The bytes that an inference works in, behind the state's."""
        return self.plan.bytes - self.state_bytes


@dataclass(frozen=True)
class _Problem:
    """What has to be placed: the buffer of each tensor, by index, or of each scratch, by op and name."""

    buffers: Mapping[int | tuple[int, str], Buffer]
    overlaps: allocator.Overlaps  # between positions in `buffers`
    initialised: tuple[int, ...]

    def offsets(self, some: Collection[int | tuple[int, str]]) -> dict[int | tuple[int, str], int]:
        """Where `some` of the buffers go, which share no bytes with the others."""
        old, new = list(self.buffers), {key: n for n, key in enumerate(some)}
        pairs = {
            (new[old[i]], new[old[j]]): d
            for (i, j), d in self.overlaps.items()
            if old[i] in new and old[j] in new
        }
        placed = allocator.plan(tuple(self.buffers[key] for key in some), pairs)
        return dict(zip(some, placed, strict=True))

    def end(self, offsets: Mapping[int | tuple[int, str], int]) -> int:
        """The bytes that buffers at these offsets take."""
        ends = (offset + self.buffers[key].bytes for key, offset in offsets.items())
        return allocator.align(max(ends, default=0))


def needed(program: Program) -> dict[int, int]:
    """The bytes that each op needs alone; an op that needs no more than the one before may be missing."""
    problem = _problem(program)
    return allocator.needed(tuple(problem.buffers.values()), problem.overlaps)


def scratch_bytes(steps: Sequence[Step]) -> int:
    """The working memory that an op of these steps needs."""
    found: dict[str, int] = {}
    for scratch in (argument for step in steps for argument in step.args if isinstance(argument, Scratch)):
        found[scratch.name] = max(scratch.bytes, found.get(scratch.name, 0))
    return sum(found.values())


def arena_bytes(program: Program) -> int:
    """The size of the planned arena."""
    return plan_arena(program).plan.bytes


@lru_cache(maxsize=16)  # stripes.py compares each program with several others
def plan_arena(program: Program) -> Arena:
    """Plans the memory of `program`. Time runs in ops: before the first is -1, after the last is len(ops)."""
    graph, problem = program.graph, _problem(program)
    state = problem.offsets(problem.initialised)
    scratch = problem.offsets([key for key in problem.buffers if key not in state])
    state_bytes = problem.end(state)
    offsets = state | {key: state_bytes + offset for key, offset in scratch.items()}
    shared: dict[int, list[int]] = {root: [] for root in offsets if isinstance(root, int)}
    for tensor, root in program.memory.items():
        if root in shared:
            shared[root].append(tensor)
    placements = tuple(
        Placement(
            label=graph.tensors[key].name if isinstance(key, int) else f"{key[1]} of op {key[0]}",
            tensors=tuple(shared[key]) if isinstance(key, int) else (),
            offset=offsets[key],
            bytes=buffer.bytes,
            first=buffer.first,
            last=buffer.last,
        )
        for key, buffer in problem.buffers.items()
    )
    plan = ArenaPlan(
        bytes=problem.end(offsets),
        lower_bound=allocator.lower_bound(tuple(problem.buffers.values()), problem.overlaps),
        placements=placements,
    )
    return Arena(
        plan=plan,
        tensors={
            tensor: offsets[root] + program.offsets.get(tensor, 0)
            for root, tensors in shared.items()
            for tensor in tensors
        },
        scratch={key: offset for key, offset in offsets.items() if not isinstance(key, int)},
        initialised=problem.initialised,
        state_bytes=state_bytes,
    )


@lru_cache(maxsize=16)
def _problem(program: Program) -> _Problem:
    graph = program.graph
    end = len(graph.ops)
    outputs = {*graph.outputs}
    initialised = tuple(
        tensor.index
        for tensor in graph.tensors
        if tensor.is_variable or (tensor.data is not None and tensor.index in outputs)
    )
    times: dict[int, list[int]] = {root: [-1, end] for root in initialised}

    def touch(tensor: int, time: int) -> None:
        times.setdefault(program.place(tensor)[0], []).append(time)

    for tensor in graph.inputs:
        touch(tensor, -1)
    buffers: dict[int | tuple[int, str], Buffer] = {}  # by tensor, or by op and name of its scratch
    for op, steps in program.ops:
        for argument in (argument for step in steps for argument in step.args):
            if isinstance(argument, Read | Write):
                touch(argument.tensor, op.index)
            elif isinstance(argument, Scratch):
                key = op.index, argument.name
                size = max(argument.bytes, buffers[key].bytes if key in buffers else 0)
                buffers[key] = Buffer(size, op.index, op.index)
    for stripes in program.stripes:
        for tensor in stripes.carried:
            touch(tensor, stripes.first)
            touch(tensor, stripes.last)
    for tensor in graph.outputs:
        touch(tensor, end)

    for root, at in times.items():
        buffers[root] = Buffer(graph.tensors[root].bytes, min(at), max(at))
    overlaps = {
        (source, output): distance
        for op, steps in program.ops
        for source, output, distance in _overlaps(program, steps)
        if max(times[source]) == min(times[output]) == op.index
        and _carried(program, op.index).isdisjoint((source, output))
    }
    for stripes in program.stripes:
        for overlap in stripes.overlaps:
            (source, begin), (output, target) = program.place(overlap.input), program.place(overlap.output)
            if (max(times[source]), min(times[output])) == (stripes.last, stripes.first):
                overlaps[source, output] = max(0, overlap.distance + target - begin)
    position = {key: n for n, key in enumerate(buffers)}
    pairs = {(position[source], position[output]): d for (source, output), d in overlaps.items()}
    return _Problem(buffers, pairs, initialised)


def _carried(program: Program, op: int) -> frozenset[int]:
    """The tensors that neither begin nor end with `op`, as it is run in turns: by whose memory they are."""
    turns = (stripes for stripes in program.stripes if stripes.first <= op <= stripes.last)
    return frozenset(program.place(tensor)[0] for stripes in turns for tensor in stripes.carried)


def _overlaps(program: Program, steps: Sequence[Step]) -> Iterator[tuple[int, int, int]]:
    """What an op of these steps allows: (input, output, distance), by the tensors whose memory it is.

    It has to hold in every stripe.
    """
    starts = sorted({step.stripes.start for step in steps if step.stripes is not None})
    found = [
        dict(_allowed(program, [step for step in steps if step.stripes is None or start in step.stripes]))
        for start in starts or [0]
    ]
    for pair in set.intersection(*(set(allowed) for allowed in found)):
        yield *pair, max(allowed[pair] for allowed in found)


def _allowed(program: Program, steps: Sequence[Step]) -> Iterator[tuple[tuple[int, int], int]]:
    """(input, output) and the distance, for steps that are run one after the other.

    Only the step that reads an input last may write over it, only an output that no step before wrote, and
    only if the step allows it for each of its arguments that reads the input.
    """
    tensors = program.graph.tensors
    reads = [Counter(program.place(a.tensor)[0] for a in step.args if isinstance(a, Read)) for step in steps]
    writes = [{program.place(a.tensor)[0] for a in step.args if isinstance(a, Write)} for step in steps]
    for number, step in enumerate(steps):
        allowed: dict[tuple[int, int], list[int]] = {}
        for overlap in step.overlaps:
            if _may_alias(tensors[overlap.input], tensors[overlap.output]):
                (source, begin), (output, target) = (
                    program.place(overlap.input),
                    program.place(overlap.output),
                )
                least = max(0, overlap.distance + target - begin)
                allowed.setdefault((source, output), []).append(least)
        for (source, output), distances in allowed.items():
            written_before = any(output in roots for roots in writes[:number])
            read_after = any(source in roots for roots in reads[number + 1 :])
            if not written_before and not read_after and len(distances) == reads[number][source]:
                yield (source, output), max(distances)


def _may_alias(a: Tensor, b: Tensor) -> bool:
    """Whether C++ expects a store to one to change the other: one type, or one of bytes, not bools."""
    return a.dtype is b.dtype or not {a.dtype, b.dtype}.isdisjoint((DType.INT8, DType.UINT8))
