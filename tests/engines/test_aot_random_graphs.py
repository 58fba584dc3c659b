"""Random graphs over every op kind: the compiled code equals TFLite Micro's interpreter bit for bit.

100 graphs, or 2,000 with TINYDEPLOY_NIGHTLY=1, each for the goal that its seed chooses; 50 at a time get
the kernels of one core. They are the same ones in every run but a night's; TINYDEPLOY_SEED=n starts from the
n-th, which is also how to see one graph that failed again.
"""

from __future__ import annotations

from collections.abc import Iterator

import native
import pytest
import random_graphs
from interpreter import Interpreter, difference
from nightly import NIGHTLY, first_seed

from tinydeploy.boards.board import Board
from tinydeploy.engines.aot.lowering.lowerings import LOWERINGS
from tinydeploy.engines.aot.pipeline import GOALS, AotEngine
from tinydeploy.engines.engine import EngineSources
from tinydeploy.model.graph import Graph
from tinydeploy.model.readers import tflite_model

CASES = 2000 if NIGHTLY else 100
FIRST = first_seed(CASES)
CHUNK = 50  # graphs compiled together
SAMPLES = 4
MOST_REFUSED = 1  # in a chunk, by TFLite Micro or by us: arbitrary scales are now and then too far apart


@pytest.fixture(scope="module")
def interpreter() -> Iterator[Interpreter]:
    with Interpreter() as made:
        yield made


def goal(seed: int) -> str:
    return GOALS[seed % len(GOALS)]


@pytest.mark.parametrize("first", range(FIRST, FIRST + CASES, CHUNK))
def test_random_graphs_equal_tflite_micro(first: int, interpreter: Interpreter) -> None:
    models = {seed: random_graphs.make(seed) for seed in range(first, first + CHUNK)}
    graphs = {seed: tflite_model.parse(model, f"seed {seed}") for seed, model in models.items()}
    goals = {graphs[seed]: goal(seed) for seed in graphs}
    board = native.KERNELS[first // CHUNK % len(native.KERNELS)]  # those of two cores share names
    samples = {seed: native.random_samples(graph, SAMPLES, seed) for seed, graph in graphs.items()}
    futures = {seed: interpreter.submit(model, samples[seed]) for seed, model in models.items()}

    refused = [
        f"seed {seed}: {refusals}"
        for seed, graph in graphs.items()
        if (refusals := AotEngine().refusals(graph))
    ]
    runnable = [seed for seed, graph in graphs.items() if not AotEngine().refusals(graph)]
    failures = []

    def generate(graph: Graph, board: Board) -> EngineSources:
        return AotEngine(goals[graph]).generate(graph, board)

    compiled = native.compile_all([graphs[seed] for seed in runnable], board=board, generate=generate)
    outputs = native.run_all(compiled, [samples[seed] for seed in runnable])
    for seed, ours in zip(runnable, outputs, strict=True):
        theirs = interpreter.result(futures[seed], models[seed], samples[seed])
        if isinstance(theirs, str):
            refused.append(f"seed {seed}: TFLite Micro: {theirs}")
        elif found := difference(graphs[seed], ours, theirs):
            failures.append(f"seed {seed}, {goal(seed)} for {board.id}: {found}")
    again = "TINYDEPLOY_SEED=<seed> pytest tests/engines/test_aot_random_graphs.py"
    assert not failures, "\n".join([*failures, f"see it again: {again}"])
    assert len(refused) <= MOST_REFUSED, "\n".join(refused)


def test_every_op_kind_comes_first_in_some_graph() -> None:
    # TFLite Micro has no kernel for RELU_N1_TO_1, so there is nothing to compare with. A FILL of constants is
    # computed when the model is read, unless it is huge.
    kinds = {kind for kinds in random_graphs.KINDS for kind in kinds.split(", ")}
    assert kinds == {*LOWERINGS} - {"RELU_N1_TO_1", "FILL"}
    assert len(random_graphs.KINDS) <= CASES


def test_graphs_are_the_same_in_every_run() -> None:
    assert random_graphs.make(7) == random_graphs.make(7)
    assert random_graphs.make(7) != random_graphs.make(7 + len(random_graphs.KINDS))
