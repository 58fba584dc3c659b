"""The results of folders listed, and figures over time."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import made_up_results as made_up
import pytest

import tinydeploy
from tinydeploy.errors import UsageError
from tinydeploy.report import many_page
from tinydeploy.results.result import Result

ROOT = Path(__file__).resolve().parents[2]


def at(day: int, count: int, commit: str | None = None) -> Result:
    result = made_up.made_up()
    origin = dataclasses.replace(result.provenance, started=f"2026-11-{day:02}T10:40:12Z", commit=commit)
    return dataclasses.replace(result, provenance=origin, counted=made_up.instructions(count))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, result in {"b": at(3, 300, "c" * 40 + "+"), "a": at(1, 100, "d" * 40), "c": at(2, 200)}.items():
        (tmp_path / "out" / name).mkdir(parents=True)
        (tmp_path / "out" / name / "result.json").write_text(json.dumps(result.to_json()))
    (tmp_path / "out" / "broken").mkdir()
    (tmp_path / "out" / "broken" / "result.json").write_text("{")
    return tmp_path / "out"


def test_what_is_there(folder: Path) -> None:
    found = tinydeploy.all_results(folder)
    assert [Path(one.place).name for one in found] == ["a", "b", "broken", "c"]
    assert [one.result is None for one in found] == [False, False, True, False]
    assert "is no JSON" in found[2].problem
    with pytest.raises(UsageError, match="there is no folder"):
        tinydeploy.all_results(folder / "nowhere")


def test_a_figure_over_time(folder: Path) -> None:
    (series,) = tinydeploy.history([folder])
    assert [point.value for point in series.points] == [100, 200, 300]
    assert [point.label for point in series.points] == ["d" * 10, "2026-11-02T10:40:12Z", "c" * 10 + "+"]
    page = many_page.history((series,), "instructions")
    ElementTree.fromstring(page.replace("<!DOCTYPE html>", ""))
    assert page.count("<svg") == 2 and "d" * 10 in page
    assert tinydeploy.history(str(folder)) == (series,)  # one path, and no list of letters
    with pytest.raises(UsageError, match="no result has a figure 'colour'") as refused:
        tinydeploy.history([folder], figure="colour")
    assert "instructions" in refused.value.hint


def git(folder: Path, *words: str) -> None:
    command = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@t", *words]
    subprocess.run(command, check=True, capture_output=True)


def test_a_file_over_its_commits(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    file = tmp_path / "result.json"
    for text in (json.dumps(at(1, 100).to_json()), "{", json.dumps(at(2, 200).to_json())):
        file.write_text(text)
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-qm", "x")
    file.write_text(json.dumps(at(3, 300).to_json()))
    (series,) = tinydeploy.history([file])
    assert [point.value for point in series.points] == [100, 200, 300]
    assert len(series.points[0].label) == 10


def test_the_command_line(folder: Path) -> None:
    command = [sys.executable, "-m", "tinydeploy"]
    listed = subprocess.run([*command, "results", str(folder)], capture_output=True, text=True, cwd=ROOT)
    assert listed.returncode == 0 and listed.stdout.count("✓") == 3 and listed.stdout.count("?") == 1
    page = folder / "history.html"
    words = ["history", str(folder), "--figure", "flash", "--html", str(page)]
    done = subprocess.run([*command, *words], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and "KiB" in done.stdout and "<svg" in page.read_text()
