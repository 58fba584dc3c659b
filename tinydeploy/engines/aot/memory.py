"""The arena of a program: which bytes it needs, how long each is alive, and where the planner puts them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tinydeploy.engines import ArenaPlan, Placement
from tinydeploy.engines.aot import planner
from tinydeploy.engines.aot.lower import Program
from tinydeploy.engines.aot.planner import Buffer
from tinydeploy.engines.aot.program import Read, Scratch, Write


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
    offsets = dict(zip(buffers, planner.plan(tuple(buffers.values())), strict=True))
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
        lower_bound=planner.lower_bound(tuple(buffers.values())),
        placements=placements,
    )
    return Arena(
        plan=plan,
        tensors={tensor: offsets[root] for root, tensors in shared.items() for tensor in tensors},
        scratch={key: offset for key, offset in offsets.items() if not isinstance(key, int)},
        initialised=initialised,
    )
