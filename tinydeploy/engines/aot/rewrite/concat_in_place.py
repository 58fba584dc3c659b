"""Concatenation in place: tensors that are made where a CONCATENATION would copy them to."""

from __future__ import annotations

from dataclasses import replace

from tinydeploy.engines.aot.ir import Program, Read, Step, Write
from tinydeploy.engines.aot.kernels.movement_kernels import COPY_ROWS, CopyRows
from tinydeploy.engines.aot.memory import allocator, arena_plan
from tinydeploy.model.graph import Op
from tinydeploy.model.ops.catalogue import JOINS


def in_place(program: Program) -> Program:
    """`program` without the copies of inputs that may as well be made inside the output's memory.

    That is so where an input comes as one piece, and as long as no op then needs more than the arena has.
    """
    needed = max(arena_plan.needed(program).values(), default=0)
    for op, steps in program.ops:
        if op.kind not in JOINS:
            continue
        for step in steps:
            joined = _without_copy(program, op, step)
            if joined is not None and max(arena_plan.needed(joined).values()) <= needed:
                program = joined
    return program


def _without_copy(program: Program, op: Op, copy: Step) -> Program | None:
    """`program` with the source of `copy` made in its place in the output of `op`; None if that cannot be."""
    graph, roots = program.graph, program.memory
    source, target = copy.args[0], roots[op.outputs[0]]
    if copy.kernel is not COPY_ROWS or not isinstance(source, Read) or copy.of(CopyRows).rows != 1:
        return None
    root = roots[source.tensor]
    offset = copy.of(CopyRows).output_offset * graph.tensors[target].dtype.bytes
    edges = {roots[t] for t in (*graph.inputs, *graph.outputs)}
    made = any(
        isinstance(a, Write) and roots[a.tensor] == root for _, s in program.ops for x in s for a in x.args
    )
    whole = graph.tensors[source.tensor].bytes == graph.tensors[root].bytes
    if not made or not whole or root in edges or root == target or offset % allocator.ALIGNMENT:
        return None
    if program.offsets.get(source.tensor) or op.outputs[0] != target:
        return None
    moved = {t for t, memory_of in roots.items() if memory_of == root}
    left = [
        (other, tuple(step for step in steps if step is not copy) if other is op else steps)
        for other, steps in program.ops
    ]
    return replace(
        program,
        ops=tuple((other, steps) for other, steps in left if steps),
        memory={t: target if t in moved else memory_of for t, memory_of in roots.items()},
        offsets={**program.offsets, **{t: offset + program.offsets.get(t, 0) for t in moved}},
    )
