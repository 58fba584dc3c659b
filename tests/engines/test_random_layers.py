"""Random layers of every kernel: bit for bit TFLite Micro's, on this machine and on every emulated core.

100 layers natively, or 5,000 with TINYDEPLOY_NIGHTLY=1, in each of the forms that cores get; 50 of them (500)
on each core. They are the same ones in every run but a night's; TINYDEPLOY_SEED=n takes the n-th alone.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import bundle
import interpreter
import many_on_board
import native
import numpy as np
import pytest
import random_graphs
from many_on_board import OnBoard, checksum
from model_builder import ModelBuilder
from nightly import NIGHTLY, first_seed, turn

from tinydeploy.boards import lookup
from tinydeploy.boards.board import Board
from tinydeploy.engines.aot.pipeline import GOALS, AotEngine
from tinydeploy.engines.engine import EngineSources
from tinydeploy.host import paths
from tinydeploy.model.graph import Graph
from tinydeploy.model.readers import tflite_model

ALONE = os.environ.get("TINYDEPLOY_SEED")
CASES = 1 if ALONE else 5000 if NIGHTLY else 100
FIRST = first_seed(CASES)
ON_EACH_CORE = 1 if ALONE else 500 if NIGHTLY else 50
CHUNK = 200  # layers compiled together
SANITIZED = 100 if NIGHTLY else 15
SAMPLES = 4
MOST_REFUSED = 0.01  # of all, by TFLite Micro or by us: arbitrary scales are now and then too far apart
CORES = [
    *("mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547", "mps2-an385", "nucleo_g071rb"),
    *("qemu-virt-rv32", "qemu-xtensa"),
]
AVR = "megaatmega2560"
AGAIN = "see it again: TINYDEPLOY_SEED={} pytest tests/engines/test_random_layers.py -k '{}'"


@dataclass(frozen=True, eq=False)
class Case:
    """A layer, its inputs, and TFLite Micro's outputs (or why there are none)."""

    seed: int
    graph: Graph
    samples: list[list[native.Array]]
    expected: interpreter.Outputs | str

    @property
    def optimize(self) -> str:
        return GOALS[self.seed % len(GOALS)]

    def sources(self, board: Board) -> EngineSources:
        return AotEngine(self.optimize).generate(self.graph, board)


@cache
def cases(first: int, count: int) -> tuple[Case, ...]:
    """The layers with these seeds that the engine does not refuse."""
    made = []
    with interpreter.Interpreter() as tflm:
        for seed in range(first, first + count):
            model = random_graphs.layer(seed)
            graph = tflite_model.parse(model, f"seed {seed}")
            if AotEngine().refusals(graph):
                continue
            samples = native.random_samples(graph, SAMPLES, seed)
            made.append((seed, graph, samples, tflm.submit(model, samples), model))
        return tuple(
            Case(seed, graph, samples, tflm.result(future, model, samples))
            for seed, graph, samples, future, model in made
        )


def chunks(count: int) -> list[range]:
    return [range(at, min(at + CHUNK, FIRST + count)) for at in range(FIRST, FIRST + count, CHUNK)]


def runnable(count: int) -> list[Case]:
    """The first `count` layers, without those that were refused."""
    found = [case for chunk in chunks(count) for case in cases(chunk.start, len(chunk))]
    return [case for case in found if not isinstance(case.expected, str)]


def assert_few_refusals(found: Sequence[Case], count: int) -> None:
    said = [f"seed {case.seed}: {case.expected}" for case in found if isinstance(case.expected, str)]
    refused = count - len(found) + len(said)
    assert refused <= max(2, MOST_REFUSED * count), "\n".join([f"{refused} of {count} are refused", *said])


def with_sources(found: Sequence[Case], board: Board) -> list[tuple[Case, EngineSources]]:
    return [(case, case.sources(board)) for case in found]


@pytest.mark.parametrize("chunk", chunks(CASES), ids=lambda chunk: f"{chunk.start}")
def test_natively(chunk: range) -> None:
    found = cases(chunk.start, len(chunk))
    assert_few_refusals(found, len(chunk))
    seen: set[tuple[int, str]] = set()
    each: list[Case] = []
    compiled: list[native.Native] = []
    for board in native.KERNELS:
        todo = {
            (case.seed, native.code(sources)): (case, sources) for case, sources in with_sources(found, board)
        }
        fresh = [both for key, both in todo.items() if key not in seen]
        seen |= set(todo)
        each += [case for case, _ in fresh]
        # The kernels of two cores do not go into one program: they share names.
        compiled += native.compile_sources(
            [case.graph for case, _ in fresh], [sources for _, sources in fresh]
        )
    failures = []
    for case, ours in zip(each, native.run_all(compiled, [case.samples for case in each]), strict=True):
        if isinstance(case.expected, str):
            continue
        different = interpreter.difference(case.graph, ours, case.expected)
        if different:
            failures.append(
                f"seed {case.seed}, {case.optimize}: {different}; {AGAIN.format(case.seed, 'natively')}"
            )
    assert not failures, "\n".join(failures)


@dataclass(frozen=True, eq=False)
class Built:
    """A firmware of many layers."""

    cases: list[Case]
    on: OnBoard


def firmware(board: Board) -> Built:
    """As many of the first layers as there are to be on a core, and as fit."""
    made = [(case, case.sources(board)) for case in runnable(ON_EACH_CORE)]
    if board.id == AVR:
        made = small_ones(made)
    models = [bundle.Model(case.graph, sources, case.seed) for case, sources in made]
    return Built([case for case, _ in made], many_on_board.built(models, SAMPLES, board))


def small_ones(made: Sequence[tuple[Case, EngineSources]]) -> list[tuple[Case, EngineSources]]:
    """Those that fit beside each other into a few KB of RAM, where constants are too."""
    found, room = [], 1900
    for case, sources in made:
        assert sources.arena is not None
        bytes_each = sum(layer.constant_bytes for layer in sources.layers) + 60
        if sources.arena.bytes < 800 and bytes_each < 200 and bytes_each < room:
            found.append((case, sources))
            room -= bytes_each
    return found


def emulated(board_id: str) -> Board:
    """The board, with as much memory as its emulator has."""
    board = lookup.board(board_id)
    if board.id != "nucleo_g071rb":
        return board
    machine = lookup.board("mps2-an385")
    return replace(board, flash=machine.flash, ram=machine.ram)


@pytest.fixture(scope="module")
def firmwares(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Built]]]:
    """Those of the tests that are to run, two built at a time."""
    wanted = [
        item.callspec.params["board_id"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.function is test_on_a_core
    ]
    runnable(ON_EACH_CORE)
    with ThreadPoolExecutor(2) as pool:
        yield {board_id: pool.submit(firmware, emulated(board_id)) for board_id in wanted}


@pytest.mark.parametrize("board_id", turn([*CORES, AVR], CORES[0], CORES[3], *CORES[6:], AVR))
def test_on_a_core(board_id: str, firmwares: dict[str, Future[Built]]) -> None:
    built = firmwares[board_id].result()
    assert len(built.cases) > (10 if board_id == AVR else 0.98 * ON_EACH_CORE - 1)
    failures = []
    for case, found in zip(built.cases, built.on.checksums(), strict=True):
        assert not isinstance(case.expected, str)
        expected = [checksum(outputs) for outputs in case.expected]
        wrong = [sample for sample in range(SAMPLES) if found[sample] != expected[sample]]
        if wrong:
            kinds = [op.kind for op in case.graph.ops]
            what = "fails or writes beyond its arena" if not all(found) else "has other outputs"
            failures.append(
                f"seed {case.seed}, {kinds}, {case.optimize}, samples {wrong}: {what}; "
                f"{AGAIN.format(case.seed, board_id)}"
            )
    assert not failures, "\n".join(failures)


def entries(headers: str) -> set[str]:
    """The kernels of these headers: function templates of a layer's parameters that no other one calls."""
    found = set(re.findall(r"^template <typename P\b[^>]*>\n[^;{]*?\bvoid (\w+)\(", headers, re.MULTILINE))
    return {name for name in found if not re.search(rf"\b{name}<P\b", headers)}


@pytest.mark.skipif(not NIGHTLY or ALONE is not None, reason="hundreds of layers: in make nightly")
def test_every_kernel_of_every_core_is_taken() -> None:
    headers = {path.name: path.read_text() for path in (paths.FIRMWARE / "kernels").glob("*.h")}
    kernels = entries("\n".join(headers.values()))
    assert len(kernels) > len(headers) / 2
    # Of a run of ops in stripes, see test_stripes; of float islands, see test_float_islands.
    elsewhere = {"keep_rows", "lookup_rows", "in_float", "in_float_broadcast", "lookup_blocks"}
    missing = (kernels | {*headers}) - elsewhere
    for seed in range(2000):
        graph = tflite_model.parse(random_graphs.layer(seed), f"seed {seed}")
        engine = AotEngine(GOALS[seed % len(GOALS)])
        for board in () if engine.refusals(graph) else native.KERNELS:
            sources = engine.generate(graph, board)
            missing -= {Path(path).name for path in sources.kernels}
            missing -= set(re.findall(r"^  (\w+)<Op0", bundle.code(sources), re.MULTILINE))
        if not missing:
            return
    raise AssertionError(f"no random layer takes {', '.join(sorted(missing))}: see random_graphs.LAYERS")


@pytest.mark.parametrize("chunk", chunks(1 if ALONE else SANITIZED), ids=lambda chunk: f"{chunk.start}")
def test_sanitizers_find_nothing(chunk: range) -> None:
    found = [case for case in cases(chunk.start, len(chunk)) if not isinstance(case.expected, str)]
    for board in native.KERNELS:
        compiled = native.compile_all(
            [case.graph for case in found], sanitize=True, board=board, generate=AotEngine().generate
        )
        outputs = native.run_all(compiled, [case.samples for case in found])
        failures = [
            f"seed {case.seed} for {board.id}: {different}; {AGAIN.format(case.seed, 'sanitizers')}"
            for case, ours in zip(found, outputs, strict=True)
            if (different := interpreter.difference(case.graph, ours, case.expected))
        ]
        assert not failures, "\n".join(failures)


@pytest.mark.parametrize("tensor", ["input", "weights"])
def test_sanitizers_see_a_read_past_the_end(tensor: str) -> None:
    model = ModelBuilder()
    x, y = model.tensor((1, 21), scale=0.1), model.tensor((1, 3), scale=0.1)
    weights = np.arange(63).reshape(3, 21)
    model.op("FULLY_CONNECTED", [x, model.tensor((3, 21), scale=0.1, data=weights)], [y])
    graph = tflite_model.parse(model.build([x], [y]), "model")

    def generate(graph: Graph, board: Board) -> EngineSources:
        sources = AotEngine().generate(graph, board)
        text = bundle.code(sources)
        place = {"input": "at<const int8_t>(arena + kTensor0)", "weights": "model::op0_weights"}[tensor]
        assert text.count(place) == 1
        changed = {"model/src/model.cpp": text.replace(place, f"{place} + 1")}
        return replace(sources, model={**sources.model, **changed})

    samples = native.random_samples(graph, 1)
    native.compile_all([graph], sanitize=True)[0].run(samples)
    with pytest.raises(AssertionError, match="AddressSanitizer"):
        native.compile_all([graph], sanitize=True, generate=generate)[0].run(samples)
