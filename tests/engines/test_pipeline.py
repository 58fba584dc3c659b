"""The compiler's passes, each verified: over random graphs and models, and programs broken on purpose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import native
import pytest
import random_graphs
from nightly import NIGHTLY
from small_nets import residual

from tinydeploy.boards.board import Board
from tinydeploy.engines.aot.ir import Program
from tinydeploy.engines.aot.kernels.cores.kernel_sets import kernels_of
from tinydeploy.engines.aot.memory import allocator
from tinydeploy.engines.aot.memory.arena_plan import plan_arena
from tinydeploy.engines.aot.objective import GOALS, flash_room
from tinydeploy.engines.aot.pipeline import PASSES, Draft, Wanted, run_passes
from tinydeploy.engines.aot.verify import VerificationError, verify_ops, verify_program
from tinydeploy.model.graph import Graph
from tinydeploy.model.readers import tflite_model

GRAPHS = 600 if NIGHTLY else 30
MODELS = sorted((Path(__file__).parents[2] / "models").rglob("*.tflite"))


@pytest.fixture(autouse=True)
def quick_plans() -> Iterator[None]:
    with mock.patch.object(allocator, "PLACEMENTS", 500):
        yield


class Refused(Exception):  # noqa: N818, it is no error
    """An op cannot be compiled, so that there is no whole program."""


def verified(graph: Graph, board: Board, goal: str) -> list[str]:
    """The names of the passes, after each of which the draft was verified; none if an op is refused."""
    names: list[str] = []

    def watch(name: str, draft: Draft) -> None:
        if draft.refused:
            raise Refused
        names.append(name)
        if draft.lowered is None:
            verify_ops(graph, draft.graph, draft.ops)
        else:
            verify_program(graph, draft.program)

    wanted = Wanted(True, kernels_of(board.core), goal, flash_room(board))
    try:
        run_passes(PASSES, Draft(graph, graph.running), wanted, watch)
    except Refused:
        return []
    return names


@pytest.mark.parametrize("first", range(0, GRAPHS, 30))
def test_each_pass_keeps_what_has_to_hold(first: int) -> None:
    refused = 0
    for seed in range(first, first + 30):
        graph = tflite_model.parse(random_graphs.make(seed), f"seed {seed}")
        board = native.KERNELS[seed % len(native.KERNELS)]
        passed = verified(graph, board, GOALS[seed // 2 % len(GOALS)])
        assert passed in ([], [name for name, _ in PASSES])
        refused += not passed
    assert refused <= 2


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_each_pass_of_a_whole_model(path: Path) -> None:
    graph = tflite_model.parse(path.read_bytes(), str(path))
    goals = GOALS if path.stat().st_size < 20_000 else ("balanced", "size")
    for goal in goals:
        assert verified(graph, native.DSP, goal) == [name for name, _ in PASSES]


def compiled(goal: str = "balanced") -> tuple[Graph, Program]:
    graph = tflite_model.parse(residual(), "residual")
    wanted = Wanted(False, kernels_of(native.DSP.core), goal, flash_room(native.DSP))
    return graph, run_passes(PASSES, Draft(graph, graph.running), wanted).program


def test_ops_in_another_order_are_found() -> None:
    graph, program = compiled()
    verify_program(graph, program)
    with pytest.raises(VerificationError, match="before it is written"):
        verify_ops(graph, graph, graph.running[::-1])
    with pytest.raises(VerificationError, match="before it is written"):
        verify_program(graph, replace(program, ops=program.ops[::-1]))
    with pytest.raises(VerificationError, match=r"output \d+ is not written"):
        verify_ops(graph, graph, graph.running[:-1])


def test_a_tensor_that_is_written_twice_is_found() -> None:
    graph, program = compiled()
    first, *rest = graph.running
    with pytest.raises(VerificationError, match="once more"):
        verify_ops(graph, graph, (first, replace(first, index=99), *rest))
    op, steps = program.ops[0]
    twice = ((op, steps), (replace(op, index=99), steps), *program.ops[1:])
    with pytest.raises(VerificationError, match="once more"):
        verify_program(graph, replace(program, ops=twice))


def test_another_shape_is_found() -> None:
    graph, program = compiled()
    tensors = [*program.graph.tensors]
    index = program.ops[0][0].outputs[0]
    tensors[index] = replace(tensors[index], shape=(1, *tensors[index].shape))
    changed = replace(program.graph, tensors=tuple(tensors))
    with pytest.raises(VerificationError, match=rf"tensor {index} of"):
        verify_program(graph, replace(program, graph=changed))
    with pytest.raises(VerificationError, match=rf"tensor {index} of"):
        verify_ops(graph, changed, graph.running)


def test_an_overlap_that_a_kernel_does_not_allow_is_found() -> None:
    graph, program = compiled()
    for position, (op, steps) in enumerate(program.ops):
        for step in steps:
            for overlap in step.overlaps:
                if overlap.distance == 0:
                    continue
                nearer = replace(step, overlaps=(replace(overlap, distance=overlap.distance - 1),))
                ops = (*program.ops[:position], (op, (nearer,)), *program.ops[position + 1 :])
                with pytest.raises(VerificationError, match="does not let"):
                    verify_program(graph, replace(program, ops=ops))
                return
    pytest.fail("no kernel has an overlap at a distance")


def test_an_arena_in_which_bytes_are_overwritten_is_found() -> None:
    graph, program = compiled()
    arena = plan_arena(program)
    verify_program(graph, program, arena)
    found = 0
    for tensor, offset in arena.tensors.items():
        for other in {*arena.tensors.values()} - {offset}:
            moved = replace(arena, tensors={**arena.tensors, tensor: other})
            try:
                verify_program(graph, program, moved)
            except VerificationError:
                found += 1
    assert found > 0
    for scratch in arena.scratch:
        for op, steps in program.ops:
            if op.index == scratch[0]:
                taken = arena.tensors[program.place(steps[0].output.tensor)[0]]
                wrong = replace(arena, scratch={**arena.scratch, scratch: taken})
                with pytest.raises(VerificationError, match="working memory"):
                    verify_program(graph, program, wrong)
