"""The kernels that suit a core: faster ones in place of those that run anywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tinydeploy.boards import Core
from tinydeploy.engines.aot import dsp, mve, scalar
from tinydeploy.engines.aot.lower import Program
from tinydeploy.engines.aot.program import Read, Step
from tinydeploy.graph import DType

# A choice takes a step, and gives the same work as other steps, or None where its kernels do not fit.
Choice = Callable[[Step], tuple[Step, ...] | None]


def for_core(program: Program, core: Core) -> Program:
    """`program` with the fastest kernels of `core`."""
    arm = mve.CHOICES if core.mve else dsp.CHOICES
    choices: dict[str, Choice] = {**(arm if core.dsp else scalar.choices(core))}

    def choose(step: Step) -> tuple[Step, ...]:
        choice = choices.get(step.kernel)
        inputs = [program.graph.tensors[a.tensor] for a in step.args if isinstance(a, Read)]
        if choice is None or any(tensor.dtype is DType.INT16 for tensor in inputs):  # they are all for int8
            return (step,)
        return choice(step) or (step,)

    ops = tuple((op, tuple(new for step in steps for new in choose(step))) for op, steps in program.ops)
    return replace(program, ops=ops)
