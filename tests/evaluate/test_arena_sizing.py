"""The arena on the target: a search through faults, hangs and wrong answers, and a plan that is checked."""

import os
import re
import signal
import threading
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from firmware_build import ENGINES
from model_builder import ModelBuilder
from nightly import NIGHTLY, turn

from tinydeploy import verbs
from tinydeploy.boards.board import Board
from tinydeploy.engines.engine import EngineSources, Refusal
from tinydeploy.errors import DeviceFaultError, TargetError
from tinydeploy.model.graph import Graph

MNIST = Path(__file__).resolve().parents[2] / "models" / "mnist"


class Adversary:
    """firmware_engines/adversary.cpp as an engine: it needs exactly `needs` bytes, for whatever model."""

    name = "adversary"

    def __init__(self, needs: int) -> None:
        self.needs = needs

    def refusals(self, graph: Graph) -> tuple[Refusal, ...]:
        return ()

    def whole_tensors(self, graph: Graph) -> frozenset[int]:
        return frozenset(graph.inputs)

    def library(self, graph: Graph, board: Board) -> None:
        return None

    def generate(self, graph: Graph, board: Board) -> EngineSources:
        digest = ", ".join(f"0x{byte:02x}" for byte in bytes.fromhex(graph.sha256))
        source = (
            (ENGINES / "adversary.cpp").read_text().replace('"adversary", {}', f'"adversary", {{{digest}}}')
        )
        # Bands so narrow that a bisection, whose first failure lies above half of what is needed, meets each.
        text = f"#define ADVERSARY_NEEDS {self.needs}\n#define ADVERSARY_BAND {self.needs // 16}\n{source}"
        return EngineSources(self.name, {"model.cpp": text}, (0,), None)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Eight bytes in, eight bytes out."""
    builder = ModelBuilder()
    source, result = (builder.tensor((1, 8), "int8", scale=0.5, zero_point=0) for _ in range(2))
    builder.op("RELU", [source], [result])
    path = tmp_path / "eight.tflite"
    path.write_bytes(builder.build(inputs=[source], outputs=[result]))
    return path


@pytest.mark.parametrize(
    "board", turn(["mps2-an386", "stm32vldiscovery", "qemu-virt-rv32"], "stm32vldiscovery")
)
@pytest.mark.parametrize("needs", [400, 3001])
def test_the_search_is_exact_through_everything_that_goes_wrong(model: Path, board: str, needs: int) -> None:
    report = verbs.arena(model, board=board, engine=Adversary(needs))
    found = report.arena
    assert found.method == "searched"
    assert found.bytes == found.passes_at == -(-needs // 16) * 16
    assert found.fails_at == found.bytes - 16
    assert found.probes == len(report.outcomes) <= 24
    assert report.found_on == "qemu"


@pytest.mark.skipif(not NIGHTLY, reason="half a minute of searches: in make nightly")
def test_the_search_meets_each_failure(model: Path) -> None:
    """A search by chance skips some bands, so several sizes are searched for."""
    details = ""
    for needs in (2500, 40000, 41000, 100000, 700000, 1500000):
        outcomes = verbs.arena(model, engine=Adversary(needs)).outcomes
        details += "\n".join(outcome.detail for outcome in outcomes if not outcome.passed) + "\n"
    for seen in ("arena is too small", "inference failed", "wrong output", "faulted", "no answer|not answer"):
        assert re.search(seen, details), details


def test_a_model_that_never_runs_says_so(model: Path) -> None:
    with pytest.raises(
        DeviceFaultError, match=r"faulted .* in tinydeploy::engine::setup \(src/model\.cpp:[0-9]+\)"
    ):
        verbs.arena(model, engine=Adversary(64 << 20))
    with pytest.raises(TargetError, match=r"does not run even with all .* too small"):
        verbs.arena(model, engine=Adversary(5_000_000))


def test_a_run_searches_first_and_then_builds_with_what_it_found(model: Path, tmp_path: Path) -> None:
    # The adversary is no RELU: TFLite Micro disagrees with it, and the result says so.
    result, _ = verbs.run(model, engine=Adversary(5000), samples=2, out=tmp_path / "out")
    assert result.arena.method == "searched"
    assert result.arena.bytes == 5008
    assert result.parity is not None and result.parity.identical < result.parity.outputs


def test_a_plan_is_checked_on_the_target() -> None:
    report = verbs.arena(MNIST)
    arena = report.arena
    assert arena.method == "planned"
    assert arena.lower_bound is not None and arena.lower_bound <= arena.bytes == arena.passes_at
    assert arena.fails_at == arena.bytes - 16
    assert arena.touched_bytes is not None and 0 < arena.touched_bytes <= arena.bytes
    assert arena.buffers


def test_on_the_host_it_is_tflite_micros_arena() -> None:
    report = verbs.arena(MNIST, on="host")
    assert report.found_on == "host"
    assert "64-bit" in report.note
    assert report.arena.fails_at == report.arena.bytes - 16


def stalls(stop: threading.Event, random: Random, seconds: float) -> None:
    """Stops this process's emulators for `seconds` at a time, at random moments, as a busy machine may."""
    while not stop.wait(random.uniform(0.02, 0.6)):
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
        emulators = [int(pid) for pid in children if "qemu-system" in comm(pid)]
        for signum, pause in ((signal.SIGSTOP, seconds), (signal.SIGCONT, 0.0)):
            for pid in emulators:
                with suppress(ProcessLookupError):
                    os.kill(pid, signum)
            stop.wait(pause)


def comm(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return ""


@pytest.mark.parametrize("seed", range(50 if NIGHTLY else 3))
def test_a_machine_that_stalls_does_not_make_the_arena_larger(model: Path, seed: int) -> None:
    random, stop = Random(seed), threading.Event()
    thread = threading.Thread(target=stalls, args=(stop, random, 2.0))
    thread.start()
    try:
        found = verbs.arena(model, engine=Adversary(5000)).arena
    finally:
        stop.set()
        thread.join()
    assert (found.bytes, found.fails_at) == (5008, 4992)
    assert [outcome.passed for outcome in found.outcomes if outcome.bytes == 4992][-1] is False
