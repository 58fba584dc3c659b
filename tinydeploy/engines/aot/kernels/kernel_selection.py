"""Kernel selection: the kernels that suit a core, faster ones in place of those that run anywhere."""

from __future__ import annotations

from dataclasses import replace

from tinydeploy.engines.aot.ir import Program
from tinydeploy.engines.aot.kernels.kernel_set import KernelSet, chosen


def select(program: Program, kernels: KernelSet, small: bool = False) -> Program:
    """`program` with the fastest of `kernels`, or where it makes a difference with `small` ones."""
    choices = kernels.choices if kernels.small is None or not small else kernels.small
    ops = tuple(
        (op, tuple(new for step in steps for new in chosen(choices, program.graph, step)))
        for op, steps in program.ops
    )
    return replace(program, ops=ops)
