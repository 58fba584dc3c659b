"""Well-formed FlatBuffers that are wrong: each is refused in words, or runs as in TFLite Micro.

300 mutants of small random models, or 10,000 with TINYDEPLOY_NIGHTLY=1, go through all that happens before a
build; 50 of those accepted (1,000) then run under the sanitizers, and their outputs are TFLite Micro's. The
mutants are the same in every run but a night's; TINYDEPLOY_SEED=n starts from the n-th, which is how to see
one again.
"""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import mutants
import native
import pytest
from interpreter import Interpreter, difference
from nightly import NIGHTLY, first_seed

from tinydeploy.engines.aot.memory import allocator
from tinydeploy.engines.aot.pipeline import GOALS, AotEngine
from tinydeploy.errors import TinydeployError
from tinydeploy.evaluate.inspection import inspect_graph
from tinydeploy.model.graph import Graph
from tinydeploy.model.readers import tflite_model

MUTANTS, RUN = (10_000, 1000) if NIGHTLY else (300, 50)
FIRST = first_seed(MUTANTS)
CHUNK = 100
SMALL = 64 << 10  # bytes of the arena of what is run
SECONDS, BYTES = 60, 4 << 30  # of processor time and of memory, with which one file has to be dealt with
# TFLite Micro has no kernel; what aot makes of it is TFLite's.
OURS_ALONE = {"RELU_N1_TO_1"}


@contextmanager
def bounded() -> Iterator[None]:
    """Ends what takes far too long with a TimeoutError, and what takes far too much with a MemoryError."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"it took more than {SECONDS} s")

    before = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGPROF, stop)
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, before[1]))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)
        resource.setrlimit(resource.RLIMIT_AS, before)


def accepted(blob: bytes, seed: int) -> Graph | None:
    """The graph, after all that comes before a build; None if it is refused."""
    board, goal = native.KERNELS[seed % len(native.KERNELS)], GOALS[seed % len(GOALS)]
    try:
        graph = tflite_model.parse(blob, f"mutant {seed}")
        inspect_graph(graph, board)
        AotEngine(goal).generate(graph, board)
    except TinydeployError as error:
        assert str(error).isprintable(), f"mutant {seed}: {error!r}"
        return None
    return graph


@pytest.mark.parametrize("first", range(FIRST, FIRST + MUTANTS, CHUNK))
def test_a_broken_file_is_refused_in_words(first: int) -> None:
    failures = []
    with mock.patch.object(allocator, "PLACEMENTS", 2000):
        for seed in range(first, first + CHUNK):
            blob, names = mutants.make(seed)
            try:
                with bounded():
                    accepted(blob, seed)
            except Exception as error:
                failures.append(f"mutant {seed} {names}: {error!r}")
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("first", range(0, RUN, min(RUN, CHUNK)))
def test_an_accepted_file_runs_as_in_tflite_micro(first: int) -> None:
    count = min(RUN, CHUNK)
    chosen: dict[int, tuple[bytes, Graph]] = {}
    seed = FIRST + first * MUTANTS // RUN
    with mock.patch.object(allocator, "PLACEMENTS", 2000):
        while len(chosen) < count:
            blob, _ = mutants.make(seed)
            graph = runnable(blob, seed)
            if graph is not None:
                chosen[seed] = graph.content, graph  # what TFLite Micro is given
            seed += 1
    failures = []
    with Interpreter() as interpreter:
        samples = {seed: native.random_samples(graph, 3, seed) for seed, (_, graph) in chosen.items()}
        futures = {seed: interpreter.submit(blob, samples[seed]) for seed, (blob, _) in chosen.items()}
        compiled = native.compile_all([graph for _, graph in chosen.values()], sanitize=True)
        outputs = native.run_all(compiled, list(samples.values()))
        for (seed, (blob, graph)), ours in zip(chosen.items(), outputs, strict=True):
            theirs = interpreter.result(futures[seed], blob, samples[seed])
            found = theirs if isinstance(theirs, str) else difference(graph, ours, theirs)
            if found:
                kinds = [op.kind for op in graph.ops]
                failures.append(f"mutant {seed} {mutants.make(seed)[1]}, {kinds}: {found}")
    assert not failures, "\n".join(failures)


def runnable(blob: bytes, seed: int) -> Graph | None:
    """The graph, if aot compiles it to something small; what TFLite Micro cannot do at all is left out."""
    try:
        graph = tflite_model.parse(blob, f"mutant {seed}")
        sources = AotEngine().generate(graph, native.PORTABLE)
    except TinydeployError:
        return None
    small = sources.arena is not None and sources.arena.bytes <= SMALL
    return graph if small and OURS_ALONE.isdisjoint(op.kind for op in graph.ops) else None
