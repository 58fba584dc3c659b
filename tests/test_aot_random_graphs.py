"""Random graphs over every op kind: the compiled code equals TFLite Micro's interpreter bit for bit.

200 graphs, or 2,000 with TINYDEPLOY_NIGHTLY=1. They are the same ones in every run; TINYDEPLOY_SEED=n
starts from the n-th instead of the first, which is also how to see one graph that failed again.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field

import native
import numpy as np
import pytest
import random_graphs

from tinydeploy import tflite_model
from tinydeploy.engines.aot import AotEngine
from tinydeploy.engines.aot.program import LOWERINGS
from tinydeploy.graph import Graph

FIRST = int(os.environ.get("TINYDEPLOY_SEED", "0"))
CASES = 2000 if os.environ.get("TINYDEPLOY_NIGHTLY") == "1" else 200
CHUNK = 50  # graphs compiled together
SAMPLES = 4
MOST_REFUSED = 1  # in a chunk, by TFLite Micro or by us: arbitrary scales are now and then too far apart

Outputs = list[list[native.Array]]


def reference(model: bytes, samples: Sequence[native.Sample]) -> Outputs | str:
    """TFLite Micro's outputs, or why it refuses the model."""
    try:
        return native.tflm(model, samples)
    except RuntimeError as error:
        return str(error)


@dataclass
class Interpreter:
    """TFLite Micro in a process of its own, because a model that it does not like can crash it."""

    _pool: ProcessPoolExecutor | None = field(default=None)

    def submit(self, model: bytes, samples: Sequence[native.Sample]) -> Future[Outputs | str]:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        return self._pool.submit(reference, model, samples)

    def result(
        self, future: Future[Outputs | str], model: bytes, samples: Sequence[native.Sample]
    ) -> Outputs | str:
        try:
            return future.result(timeout=60)
        except BrokenProcessPool:
            self._pool = None
        try:  # again and alone: another model may have been at fault
            return self.submit(model, samples).result(timeout=60)
        except BrokenProcessPool:
            self._pool = None
            return "crashed"

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def interpreter() -> Iterator[Interpreter]:
    made = Interpreter()
    yield made
    made.close()


def difference(graph: Graph, ours: Outputs, theirs: Outputs) -> str:
    """The first output that differs, in words; empty if none does."""
    for sample, (mine, expected) in enumerate(zip(ours, theirs, strict=True)):
        for output, (a, b) in enumerate(zip(mine, expected, strict=True)):
            if a.tobytes() != b.tobytes():
                at = int(np.flatnonzero(a.ravel() != b.ravel())[0])
                return (
                    f"output {output} of {[op.kind for op in graph.ops]}, sample {sample}, "
                    f"element {at} of {a.size}: {a.ravel()[at]} instead of {b.ravel()[at]}"
                )
    return ""


@pytest.mark.parametrize("first", range(FIRST, FIRST + CASES, CHUNK))
def test_random_graphs_equal_tflite_micro(first: int, interpreter: Interpreter) -> None:
    models = {seed: random_graphs.make(seed) for seed in range(first, first + CHUNK)}
    graphs = {seed: tflite_model.parse(model, f"seed {seed}") for seed, model in models.items()}
    samples = {seed: native.random_samples(graph, SAMPLES, seed) for seed, graph in graphs.items()}
    futures = {seed: interpreter.submit(model, samples[seed]) for seed, model in models.items()}

    refused = [
        f"seed {seed}: {refusals}"
        for seed, graph in graphs.items()
        if (refusals := AotEngine().refusals(graph))
    ]
    runnable = [seed for seed, graph in graphs.items() if not AotEngine().refusals(graph)]
    failures = []
    for seed, compiled in zip(runnable, native.compile_all([graphs[seed] for seed in runnable]), strict=True):
        theirs = interpreter.result(futures[seed], models[seed], samples[seed])
        if isinstance(theirs, str):
            refused.append(f"seed {seed}: TFLite Micro: {theirs}")
        elif found := difference(compiled.graph, compiled.run(samples[seed]), theirs):
            failures.append(f"seed {seed}: {found}")
    again = "TINYDEPLOY_SEED=<seed> pytest tests/test_aot_random_graphs.py"
    assert not failures, "\n".join([*failures, f"see it again: {again}"])
    assert len(refused) <= MOST_REFUSED, "\n".join(refused)


def test_every_op_kind_comes_first_in_some_graph() -> None:
    # TFLite Micro has no kernel for RELU_N1_TO_1, so there is nothing to compare with.
    assert {*random_graphs.KINDS} == {*LOWERINGS} - {"RELU_N1_TO_1"}
    assert len(random_graphs.KINDS) <= CASES


def test_graphs_are_the_same_in_every_run() -> None:
    assert random_graphs.make(7) == random_graphs.make(7)
    assert random_graphs.make(7) != random_graphs.make(7 + len(random_graphs.KINDS))
