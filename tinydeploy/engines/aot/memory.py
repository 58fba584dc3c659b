"""The arena of a program: which bytes it needs, how long each is alive, and where the planner puts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tinydeploy.engines import ArenaPlan, Placement
from tinydeploy.engines.aot import planner
from tinydeploy.engines.aot.lower import Program
from tinydeploy.engines.aot.planner import Buffer
from tinydeploy.engines.aot.program import Read, Scratch, Step, Write
from tinydeploy.graph import DType, Tensor


@dataclass(frozen=True)
class Arena:
    """The plan, and the offsets that it gives to tensors (by index) and to scratch (by op and name).

    `initialised` are the tensors that live across inferences: variables, and constants that are outputs.
    """

    plan: ArenaPlan
    tensors: Mapping[int, int]
    scratch: Mapping[tuple[int, str], int]
    initialised: tuple[int, ...]


def plan_arena(program: Program) -> Arena:
    """Plans the memory of `program`. Time runs in ops: before the first is -1, after the last is len(ops)."""
    graph = program.graph
    end = len(graph.ops)
    initialised = tuple(
        tensor.index
        for tensor in graph.tensors
        if tensor.is_variable or (tensor.data is not None and tensor.index in graph.outputs)
    )
    times: dict[int, list[int]] = {root: [-1, end] for root in initialised}

    def touch(tensor: int, time: int) -> None:
        times.setdefault(program.memory[tensor], []).append(time)

    for tensor in graph.inputs:
        touch(tensor, -1)
    buffers: dict[int | tuple[int, str], Buffer] = {}  # by tensor, or by op and name of its scratch
    for op, steps in program.ops:
        for argument in (argument for step in steps for argument in step.args):
            if isinstance(argument, Read | Write):
                touch(argument.tensor, op.index)
            elif isinstance(argument, Scratch):
                buffers[op.index, argument.name] = Buffer(argument.bytes, op.index, op.index)
    for tensor in graph.outputs:
        touch(tensor, end)

    for root, at in times.items():
        buffers[root] = Buffer(graph.tensors[root].bytes, min(at), max(at))
    overlaps = {
        (source, output): distance
        for op, steps in program.ops
        for source, output, distance in _overlaps(program, steps)
        if max(times[source]) == min(times[output]) == op.index
    }
    position = {key: n for n, key in enumerate(buffers)}
    problem = (
        tuple(buffers.values()),
        {(position[source], position[output]): d for (source, output), d in overlaps.items()},
    )
    offsets = dict(zip(buffers, planner.plan(*problem), strict=True))
    shared = {root: tuple(t for t, memory in program.memory.items() if memory == root) for root in times}
    placements = tuple(
        Placement(
            label=graph.tensors[key].name if isinstance(key, int) else f"{key[1]} of op {key[0]}",
            tensors=shared[key] if isinstance(key, int) else (),
            offset=offsets[key],
            bytes=buffer.bytes,
            first=buffer.first,
            last=buffer.last,
        )
        for key, buffer in buffers.items()
    )
    plan = ArenaPlan(
        bytes=planner.align(max((place.offset + place.bytes for place in placements), default=0)),
        lower_bound=planner.lower_bound(*problem),
        placements=placements,
    )
    return Arena(
        plan=plan,
        tensors={tensor: offsets[root] for root, tensors in shared.items() for tensor in tensors},
        scratch={key: offset for key, offset in offsets.items() if not isinstance(key, int)},
        initialised=initialised,
    )


def _overlaps(program: Program, steps: Sequence[Step]) -> Iterator[tuple[int, int, int]]:
    """What an op of these steps allows: (input, output, distance), by the tensors whose memory it is.

    Only the step that reads an input last may write over it, only an output that no step before wrote, and
    only if the step allows it for each of its arguments that reads the input.
    """
    tensors, memory = program.graph.tensors, program.memory
    reads = [Counter(memory[a.tensor] for a in step.args if isinstance(a, Read)) for step in steps]
    writes = [{memory[a.tensor] for a in step.args if isinstance(a, Write)} for step in steps]
    for number, step in enumerate(steps):
        allowed: dict[tuple[int, int], list[int]] = {}
        for overlap in step.overlaps:
            if _may_alias(tensors[overlap.input], tensors[overlap.output]):
                pair = memory[overlap.input], memory[overlap.output]
                allowed.setdefault(pair, []).append(overlap.distance)
        for (source, output), distances in allowed.items():
            written_before = any(output in roots for roots in writes[:number])
            read_after = any(source in roots for roots in reads[number + 1 :])
            if not written_before and not read_after and len(distances) == reads[number][source]:
                yield source, output, max(distances)


def _may_alias(a: Tensor, b: Tensor) -> bool:
    """Whether C++ expects a store to one to change the other: one type, or one of bytes, not bools."""
    return a.dtype is b.dtype or not {a.dtype, b.dtype}.isdisjoint((DType.INT8, DType.UINT8))
