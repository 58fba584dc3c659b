"""The kernels that suit a core and a goal: faster ones, smaller ones, in place of those that run anywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tinydeploy.boards import Board, Core
from tinydeploy.engines.aot import dsp
from tinydeploy.engines.aot.lower import Program
from tinydeploy.engines.aot.program import Step

GOALS = ("balanced", "speed", "size", "ram")
"""What to strive for where instructions, flash and RAM are at odds; the first is the default."""

# A choice takes a step, and gives the same work as other steps, or None where its kernels do not fit.
Choice = Callable[[Step], tuple[Step, ...] | None]


def for_core(program: Program, board: Board, goal: str) -> Program:
    core = board.core
    choices: dict[str, Choice] = {**(dsp.CHOICES if core.dsp else {})}

    def choose(step: Step) -> tuple[Step, ...]:
        choice = choices.get(step.kernel)
        return (choice(step) if choice else None) or (step,)

    def w(step):
        return (dsp.widened(step) if goal == "speed" else None) or step
    ops = tuple((op, tuple(w(new) for step in steps for new in choose(step))) for op, steps in program.ops)
    return replace(program, ops=ops)
