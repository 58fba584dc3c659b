"""A sweep: what is combined, that nothing is run twice, and what it leaves."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import made_up_results as made_up
import pytest
import swept
from nightly import turn

from tinydeploy.errors import UsageError
from tinydeploy.lab import sweep, sweep_list
from tinydeploy.lab.executors import LOCAL
from tinydeploy.progress import silent
from tinydeploy.report import many_page, sweep_table
from tinydeploy.results import stored
from tinydeploy.results.many import Swept, front

ROOT = Path(__file__).resolve().parents[2]
MOTION = ROOT / "models" / "motion"


def jobs(folder: Path, *boards: str) -> tuple[sweep.Job, ...]:
    return sweep.jobs([MOTION], {"board": boards}, {}, folder)


def journal(folder: Path) -> Counter[str]:
    file = folder / "journal.txt"
    return Counter(file.read_text().split() if file.exists() else [])


def test_what_is_combined(tmp_path: Path) -> None:
    axes = {"board": ("a", "b"), "optimize": ("ram", "size"), "engine": ()}
    found = sweep.jobs([MOTION, ROOT / "models" / "mnist"], axes, {"samples": 3}, tmp_path)
    assert len(found) == len({job.folder for job in found}) == 8
    assert found[0].asked == {"model": "motion", "board": "a", "optimize": "ram"}
    assert found == sweep.jobs([MOTION, ROOT / "models" / "mnist"], axes, {"samples": 3}, tmp_path)
    other = sweep.jobs([MOTION], axes, {"samples": 4}, tmp_path)
    assert not {job.folder for job in other} & {job.folder for job in found}
    assert "--board a" in found[0].command and "--samples 3" in found[0].command
    with pytest.raises(UsageError, match="twice"):
        jobs(tmp_path, "a", "a")


def test_other_files_in_a_folder_of_data_are_other_jobs(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    keys = []
    for content in ("a", "b", "a"):
        (data / "x.wav").write_text(content)
        (found,) = sweep.jobs([MOTION], {"board": ["a"]}, {"data": data}, tmp_path)
        keys.append(found.folder)
    assert keys[0] == keys[2] != keys[1]


def test_other_arrays_are_other_jobs_and_all_are_named_wherever_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = []
    for content in ("a", "b", "a"):
        (tmp_path / "x.npy").write_text("x")
        (tmp_path / "y.npy").write_text(content)
        (found,) = sweep.jobs([MOTION], {"board": ["a"]}, {"data": Path("x.npy,y.npy")}, tmp_path)
        folders.append(found.folder)
        assert found.options["data"] == f"{tmp_path / 'x.npy'},{tmp_path / 'y.npy'}"
    assert folders[0] == folders[2] != folders[1]


def test_failures_stop_nothing_and_what_would_fail_again_is_not_run_again(tmp_path: Path) -> None:
    every = jobs(tmp_path, "good", "too-small", "flaky")
    for runs in (1, 2):
        found = sweep.sweep(every, swept.run, LOCAL, 2, silent)
        assert [bool(run.result) for run in found] == [True, False, False]
        assert [run.error for run in found] == ["", "it does not fit", "the tool failed"]
        assert journal(tmp_path) == {"good": 1, "too-small": 1, "flaky": runs}


def test_a_worker_that_dies_takes_no_result_with_it(tmp_path: Path) -> None:
    every = jobs(tmp_path, "a", "dies-once", "b")
    found = sweep.sweep(every, swept.run, LOCAL, 1, silent)
    assert all(run.result for run in found)
    assert journal(tmp_path)["dies-once"] == 2 and journal(tmp_path)["a"] == 1


def test_half_a_result_is_none(tmp_path: Path) -> None:
    every = jobs(tmp_path, "a")
    every[0].folder.mkdir(parents=True)
    (every[0].folder / "result.json").write_text('{"schema": "tinydeploy.result/2", "mod')
    assert not sweep.is_done(every[0])


def test_on_a_cluster_of_which_one_worker_dies(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as cluster:
        every = jobs(tmp_path, "a", "dies-once", "b", "too-small")
        found = sweep.sweep(
            every, swept.run, cluster.scheduler_address.replace("tcp://", "dask://"), 1, silent
        )
    assert [bool(run.result) for run in found] == [True, True, True, False]
    assert journal(tmp_path)["dies-once"] == 2


@pytest.mark.parametrize("cluster", turn(["debug", "local"], "debug"))
def test_as_slurm_would_do_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: str) -> None:
    """By submitit's executors for this machine: in this process, or one for each job, of which one dies."""
    submitit = pytest.importorskip("submitit", reason="submitit is not installed")
    executor = submitit.AutoExecutor
    monkeypatch.setattr(submitit, "AutoExecutor", lambda folder, cluster: executor(folder, cluster=place))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests' / 'support'}")
    place = cluster
    dying = ["dies-once"] if cluster == "local" else []
    every = jobs(tmp_path, "a", "too-small", "flaky", *dying)
    found = sweep.sweep(every, swept.run, "slurm", 1, silent)
    assert [run.error for run in found] == [
        "",
        "it does not fit",
        "the tool failed",
        *([""] if dying else []),
    ]
    assert [bool(run.result) for run in found] == [True, False, False, *([True] if dying else [])]


def test_places_that_there_are_not(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        sweep.sweep(jobs(tmp_path, "a"), swept.run, "nowhere", 1, silent)


def test_a_killed_sweep_goes_on_where_it_was(tmp_path: Path) -> None:
    words = [
        "sweep",
        str(MOTION),
        "--goals",
        "balanced,size",
        "--samples",
        "4",
        "--workers",
        "1",
        "-o",
        "out",
    ]
    command = [sys.executable, "-m", "tinydeploy", *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    )
    deadline = time.monotonic() + 200
    while not (first := list((tmp_path / "out" / "jobs").glob("*/result.json"))):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)  # into the second run
    process.send_signal(signal.SIGKILL)
    process.wait()
    while swept.is_alive(process.pid):  # its worker, in the midst of a run
        assert time.monotonic() < deadline
        time.sleep(0.05)
    before = first[0].stat().st_mtime_ns
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert first[0].stat().st_mtime_ns == before
    results = [stored.read(file) for file in (tmp_path / "out" / "jobs").glob("*/result.json")]
    assert sorted(str(result.optimize) for result in results) == ["balanced", "size"]
    with (tmp_path / "out" / "sweep.csv").open() as stream:
        assert sorted(row["optimize"] for row in csv.DictReader(stream)) == ["balanced", "size"]
    printed = subprocess.run(
        [*command, "--print"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert printed.returncode == 0 and printed.stdout == ""


def test_the_sweep_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "tinydeploy.toml"
    file.write_text(f'[sweep]\nmodels = ["{MOTION}"]\nboards = ["a", "b"]\nsamples = 4\n')
    found, folder = sweep_list.jobs((), {})
    assert [job.options for job in found] == [{"samples": 4, "board": name} for name in "ab"]
    assert folder == Path("tinydeploy-out/sweep")
    assert [job.options["board"] for job in sweep_list.jobs((), {"boards": ("c",)})[0]] == ["c"]
    for text, told in {
        '[sweep]\nmodels = "m"': "must be a list",
        "[sweep]\nbords = ['a']": "unknown key 'bords'",
        "sweep = 3": "must be written as",
    }.items():
        file.write_text(text)
        with pytest.raises(UsageError, match=told):
            sweep_list.jobs((), {})


def runs() -> list[Swept]:
    result = made_up.made_up(accuracy=made_up.classifier())
    assert result.accuracy is not None
    better = dataclasses.replace(result, accuracy=dataclasses.replace(result.accuracy, value=0.99))
    smaller = dataclasses.replace(result, counted=made_up.instructions(1000))
    hostile = '<script>alert(1)</script>"'
    return [
        Swept({"model": name, "board": "b"}, "f", made, error)
        for name, made, error in (
            ("plain", result, ""),
            ("better", better, ""),
            ("smaller", smaller, ""),
            (hostile, None, hostile),
        )
    ]


def test_the_front_and_the_page() -> None:
    assert front(runs(), "instructions", "accuracy") == {1, 2}
    page = many_page.sweep(runs(), "instructions", "accuracy")
    ElementTree.fromstring(page.replace("<!DOCTYPE html>", "").partition("<script>")[0] + "</body></html>")
    assert "<script>alert" not in page and page.count("<script>") == 1
    assert "svg" not in many_page.sweep(runs(), "cycles", "accuracy").partition("<main>")[2]


def test_the_table(tmp_path: Path) -> None:
    sweep_table.write(runs(), tmp_path, "instructions", "accuracy")
    with (tmp_path / "sweep.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["accuracy"] for row in rows] == ["0.945", "0.99", "0.945", ""]
    assert rows[3]["failure"].startswith("<script>") and json.loads(rows[2]["instructions"]) == 1000
