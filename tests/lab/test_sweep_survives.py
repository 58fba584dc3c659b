"""A sweep of 128 runs that is killed ten times, or loses a worker, ends as one left alone. By night."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import swept
from nightly import NIGHTLY

pytestmark = pytest.mark.skipif(not NIGHTLY, reason="a sweep of 128 runs, three times: TINYDEPLOY_NIGHTLY=1")

ROOT = Path(__file__).resolve().parents[2]
MODELS = ("digits/digits", "mnist/mnist", "motion/motion", "motion/motion_lstm")
BOARDS = (
    *("mps2-an385", "mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547"),
    *("netduinoplus2", "qemu-cortex-m0plus", "qemu-virt-rv32"),
)
GOALS = ("balanced", "speed", "size", "ram")
RUNS = len(MODELS) * len(BOARDS) * len(GOALS)
KILLS = 10
DEADLINE = 7200.0  # seconds: for a sweep that hangs


def command(out: Path, *more: str) -> list[str]:
    models = [str(ROOT / "models" / f"{model}.tflite") for model in MODELS]
    axes = ["--boards", ",".join(BOARDS), "--goals", ",".join(GOALS), "--samples", "2"]
    return [sys.executable, "-m", "tinydeploy", "-q", "sweep", *models, *axes, "-o", str(out), *more]


@contextmanager
def started(words: list[str], **environment: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        wait_until(lambda: not swept.is_alive(process.pid))


def wait_until(held: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE
    while not held():
        assert time.monotonic() < end
        time.sleep(0.05)


def to_the_end(words: list[str], **environment: str) -> None:
    with started(words, **environment) as process:
        _, told = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, told


def done(out: Path) -> dict[str, int]:
    """When the result of each run that has one was written."""
    return {file.parent.name: file.stat().st_mtime_ns for file in (out / "jobs").glob("*/result.json")}


def outcomes(out: Path) -> dict[str, Any]:
    """Every result but for where, when and how fast it was made."""
    found = {}
    for file in (out / "jobs").glob("*/result.json"):
        result = json.loads(file.read_text())
        del result["provenance"]
        found[file.parent.name] = result
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("alone")
    to_the_end(command(out))
    found = outcomes(out)
    assert len(found) == RUNS
    return found


def test_killed_ten_times_at_random(tmp_path: Path, alone: dict[str, Any]) -> None:
    out, chance, before = tmp_path / "out", random.Random(time.time_ns()), dict[str, int]()
    own_cache = {"TINYDEPLOY_CACHE": str(tmp_path / "cache")}  # where everything is built anew
    for number in range(KILLS):
        wanted = (RUNS * number + chance.randrange(RUNS)) // KILLS
        with started(command(out), **own_cache) as process:
            wait_until(lambda wanted=wanted: len(done(out)) >= wanted or process.poll() is not None)
            time.sleep(chance.uniform(0, 3))
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        now = done(out)
        assert before.items() <= now.items()  # nothing that was done is done again
        before = now
    to_the_end(command(out), **own_cache)
    assert before.items() <= done(out).items()
    assert outcomes(out) == alone


def test_on_a_cluster_of_two_workers_of_which_one_dies(tmp_path: Path, alone: dict[str, Any]) -> None:
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    out = tmp_path / "out"
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:
        where = cluster.scheduler_address.replace("tcp://", "dask://")
        with started(command(out, "--on", where)) as process:
            wait_until(lambda: len(done(out)) >= RUNS // 3 or process.poll() is not None)
            os.kill(cluster.workers[0].pid, signal.SIGKILL)
            _, told = process.communicate(timeout=DEADLINE)
        assert process.returncode == 0, told
    assert outcomes(out) == alone
