"""The objective: a goal changes a program where instructions, flash and RAM are at odds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain

from tinydeploy.boards.board import Board
from tinydeploy.engines.aot.ir import Program, Step
from tinydeploy.engines.aot.kernels.kernel_set import KernelSet, chosen
from tinydeploy.engines.aot.memory.allocator import align
from tinydeploy.engines.aot.memory.arena_plan import plan_arena
from tinydeploy.words import GOALS as GOALS

# What a firmware needs in flash beside constants: the measuring shell and, per step, code. Both are generous.
_SHELL_BYTES = 24 << 10
_ARDUINO_BYTES = 96 << 10
_STEP_BYTES = 1 << 10

_MOST_ROUNDS = 16  # of slower kernels where the arena is full
_WORTHWHILE = 64  # the part of the arena that slower kernels have to save


def towards(goal: str, program: Program, portable: Program, kernels: KernelSet, room: int) -> Program:
    """`program`, which has the fastest of `kernels`, changed for the sake of `goal`.

    `portable` is the same program with the kernels that run anywhere, `room` as for `flash_left`.
    """
    match goal:
        case "speed":
            return _fast(program, kernels, room)
        case "size":
            return _small(program, kernels)
        case "ram":
            return _frugal(program, portable, kernels)
        case _:
            return program


def _fast(program: Program, kernels: KernelSet, room: int) -> Program:
    """Weights of 16 bits where the flash has room, first where they save most per byte."""
    widened = kernels.widened
    if widened is None:
        return program
    room = flash_left(program, room)
    wider = {step: wide for step in _steps(program) if (wide := widened(step)) is not None}

    def bytes_more(step: Step) -> int:
        return wider[step].constant_bytes - step.constant_bytes

    def gain(step: Step) -> float:
        before, after = kernels.instructions(step), kernels.instructions(wider[step])
        return (before - after) / bytes_more(step) if before is not None and after is not None else 0.0

    chosen = set()
    for step in sorted(wider, key=gain, reverse=True):
        if gain(step) > 0 and bytes_more(step) <= room:
            chosen.add(step)
            room -= bytes_more(step)
    return _changed(program, lambda step: wider[step] if step in chosen else step)


def flash_room(board: Board) -> int:
    """About how many bytes of the board's flash a firmware leaves to its model, at the least."""
    return board.flash.bytes - (_ARDUINO_BYTES if board.arduino else _SHELL_BYTES)


def flash_left(program: Program, room: int) -> int:
    """About how many bytes `program` leaves of the `room` that flash has for a model, at the least."""
    steps = list(_steps(program))
    return room - len(steps) * _STEP_BYTES - sum(step.constant_bytes for step in steps)


def _small(program: Program, kernels: KernelSet) -> Program:
    """Kernels that know shapes at run time, so that all layers share one instance of each."""
    return _changed(program, kernels.sharing(_steps(program))) if kernels.sharing else program


def _frugal(program: Program, portable: Program, kernels: KernelSet) -> Program:
    """Kernels with less working memory, at last with none, where the arena's size hangs on it."""
    graph, plain = portable.graph, {op.index: steps for op, steps in portable.ops}
    single = {
        op: tuple(chain(*(chosen(kernels.frugal, graph, step) for step in steps)))
        for op, steps in plain.items()
    }
    best, plan = program, plan_arena(program).plan
    for frugal in (single, plain) if kernels.frugal else (plain,):
        for _ in range(_MOST_ROUNDS):
            peak = {
                time
                for place in plan.placements
                if align(place.offset + place.bytes) == plan.bytes
                for time in range(place.first, place.last + 1)
            }
            ops = tuple(
                (op, frugal[op.index] if op.index in peak and _has_scratch(steps) else steps)
                for op, steps in best.ops
            )
            tried = replace(best, ops=ops)
            smaller = plan_arena(tried).plan
            if plan.bytes - smaller.bytes < max(1, plan.bytes // _WORTHWHILE):
                break
            best, plan = tried, smaller
    return best


def _has_scratch(steps: Iterable[Step]) -> bool:
    """Whether the op's steps have working memory; those of an op in stripes are left as they are."""
    return any(step.scratch_bytes for step in steps) and all(step.stripes is None for step in steps)


def _steps(program: Program) -> Iterable[Step]:
    return (step for _, steps in program.ops for step in steps)


def _changed(program: Program, change: Callable[[Step], Step]) -> Program:
    ops = tuple((op, tuple(change(step) for step in steps)) for op, steps in program.ops)
    return replace(program, ops=ops)
