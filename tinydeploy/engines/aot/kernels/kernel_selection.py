"""Kernel selection: the kernels that suit a core, faster ones in place of those that run anywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tinydeploy.boards.core import Core
from tinydeploy.engines.aot.ir import Program, Read, Step
from tinydeploy.engines.aot.kernels.cores import dsp, dsp_16x8, mve, scalar
from tinydeploy.model.graph import DType

# A choice takes a step, and gives the same work as other steps, or None where its kernels do not fit.
Choice = Callable[[Step], tuple[Step, ...] | None]


def for_core(program: Program, core: Core, small: bool = False) -> Program:
    """`program` with the fastest kernels of `core`, or where it makes a difference with `small` ones."""
    arm = mve.CHOICES if core.mve else dsp.CHOICES
    of_int8: dict[str, Choice] = {**(arm if core.dsp else scalar.choices(core, small))}
    of_int16: dict[str, Choice] = {**(dsp_16x8.CHOICES if core.dsp else {})}

    def choose(step: Step) -> tuple[Step, ...]:
        inputs = [program.graph.tensors[a.tensor] for a in step.args if isinstance(a, Read)]
        wide = any(tensor.dtype is DType.INT16 for tensor in inputs)
        if not step.is_tuned:
            return (step,)
        choice = (of_int16 if wide else of_int8).get(step.kernel)
        return (choice(step) if choice else None) or (step,)

    ops = tuple((op, tuple(new for step in steps for new in choose(step))) for op, steps in program.ops)
    return replace(program, ops=ops)
