"""The kernels that suit a core: faster ones in place of those that run anywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tinydeploy.boards.core import Core
from tinydeploy.engines.aot.ir import Kernel, Program, Step
from tinydeploy.engines.aot.kernels.cores import dsp, dsp_16x8, mve, scalar
from tinydeploy.engines.aot.kernels.kernel_set import Choice


def for_core(program: Program, core: Core, small: bool = False) -> Program:
    """`program` with the fastest kernels of `core`, or where it makes a difference with `small` ones."""
    arm = mve.CHOICES if core.mve else dsp.CHOICES
    choices: dict[Kernel[Any], Choice] = {**(arm if core.dsp else scalar.choices(core, small))}
    choices |= dsp_16x8.CHOICES if core.dsp else {}

    def choose(step: Step) -> tuple[Step, ...]:
        choice = choices.get(step.kernel) if step.is_tuned else None
        return (choice(program.graph, step) if choice else None) or (step,)

    ops = tuple((op, tuple(new for step in steps for new in choose(step))) for op, steps in program.ops)
    return replace(program, ops=ops)
