"""The check of results, of what a list deploys, and of plans; and what a CI is told of it."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import junitparser
import made_up_results as made_up
import pytest

import tinydeploy as package
from tinydeploy.errors import UsageError
from tinydeploy.lab import deploy_list
from tinydeploy.report import ci
from tinydeploy.results import gates
from tinydeploy.results.case import Case, of_result
from tinydeploy.results.result import Result

ROOT = Path(__file__).resolve().parents[2]
MOTION = ROOT / "models" / "motion"


def written(result: Result, folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(result.to_json()))
    return folder


def test_stored_results_are_held_against_limits(tmp_path: Path) -> None:
    good = made_up.made_up(accuracy=made_up.classifier())
    paths = [written(good, tmp_path / "a"), written(made_up.flawed(), tmp_path / "b") / "result.json"]
    first, second = package.check(paths, max_flash="4M")
    assert first.passed and [gate.held for gate in first.gates] == [True]
    assert not second.passed and [line.split()[0] for line in second.failed] == ["flash", "Accuracy", "129"]
    (missed,) = package.check(paths[:1], max_flash=1)
    assert missed.failed == (gates.phrase(missed.gates[0]),)
    (against,) = package.check(paths[:1], baseline=paths[0])
    assert against.passed and len(against.gates) > 5


def test_limits_of_the_file_beside_the_model_or_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, beside = tmp_path / "here", tmp_path / "model"
    for folder, limit in ((here, "1K"), (beside, "2K")):
        folder.mkdir()
        (folder / "tinydeploy.toml").write_text(f'[budget]\nmax_flash = "{limit}"\n')
    monkeypatch.chdir(here)
    result = made_up.made_up()
    moved = dataclasses.replace(
        result, model=dataclasses.replace(result.model, path=str(beside / "m.tflite"))
    )
    first, second = package.check([written(result, here / "a"), written(moved, here / "b")])
    assert [case.gates[0].limit for case in (first, second)] == [1024, 2048]
    assert package.check([here / "a"], max_flash=1)[0].gates[0].limit == 1


def test_the_list_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "tinydeploy.toml"
    file.write_text(
        '[budget]\nmax_flash = "64K"\nmax_ram = "1M"\n[[deploy]]\nmodel = "m"\n'
        '[[deploy]]\nmodel = "n.tflite"\nboard = "nano33ble"\noptimize = "ram"\nbudget.max_flash = "32K"\n'
    )
    first, second = deploy_list.read(file)
    assert first.model == tmp_path / "m" and first.name == "m on mps2-an386"
    assert (first.options["max_flash"], second.options["max_flash"]) == (65_536, 32_768)
    assert second.name == "n on nano33ble, ram" and second.options["max_ram"] == 1 << 20


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "lists nothing to deploy"),
        ("deploy = 3", "must be written as"),
        ("[[deploy]]\nboard = 'x'", "entry 1 of [[deploy]] has no model"),
        ("[[deploy]]\nmodel = 3", "entry 1 of [[deploy]] has no model"),
        ("[[deploy]]\nmodel = 'm'\nbord = 'x'", "[[deploy]] 1: unknown key 'bord'"),
        ("[[deploy]]\nmodel = 'm'\nbudget.max_flsh = 1", "unknown key 'budget.max_flsh'"),
        ("[[deploy]]\nmodel = 'm'\nbudget.max_flash = '1 kg'", "no size"),
        ("[[deploy]]\nmodel = 'm'\nupload_command = 'rm -rf'", "not trusted"),
        ("[[deploy", "tinydeploy.toml"),
    ],
)
def test_a_list_that_is_none(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "tinydeploy.toml").write_text(text)
    with pytest.raises(UsageError) as refused:
        package.check([tmp_path])
    assert told in refused.value.message


def tinydeploy(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    return subprocess.run(
        [sys.executable, "-m", "tinydeploy", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=300,
        env=environment | {"PYTHONPATH": str(ROOT)} | variables,
    )


def test_what_a_list_deploys_is_run_and_one_failure_stops_nothing(tmp_path: Path) -> None:
    shutil.copytree(MOTION, tmp_path / "motion")
    (tmp_path / "tinydeploy.toml").write_text(
        '[[deploy]]\nmodel = "missing.tflite"\n'
        '[[deploy]]\nmodel = "motion/motion.tflite"\nsamples = 8\n'
        'budget = { max_flash = "1K", max_ram = "1M" }\n'
    )
    outputs = ("--junit", "j.xml", "--code-quality", "q.json", "--metrics", "m.txt", "--badge", "b.json")
    summary = tmp_path / "summary.md"
    done = tinydeploy(tmp_path, "check", *outputs, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary))
    assert done.returncode == 1, done.stderr
    assert "0 of 2 within all limits" in done.stdout
    annotations = [line for line in done.stderr.splitlines() if line.startswith("::error ")]
    assert len(annotations) == 2 and "max_flash" in annotations[1]
    assert "missing.tflite" in annotations[0]
    assert len([line for line in done.stderr.splitlines() if line.startswith("tinydeploy: ")]) == 2
    assert "0 of 2 cases within all limits" in summary.read_text()
    xml = junitparser.JUnitXml.fromfile(str(tmp_path / "j.xml"))
    assert (xml.errors, xml.failures) == (1, 1)
    issues = json.loads((tmp_path / "q.json").read_text())
    assert [issue["severity"] for issue in issues] == ["blocker", "major"]
    assert "tinydeploy_flash_bytes{" in (tmp_path / "m.txt").read_text()
    assert json.loads((tmp_path / "b.json").read_text())["color"] == "red"
    assert (tmp_path / "tinydeploy-out").is_dir()


def test_a_plan_over_its_limits_is_refused_without_a_build(tmp_path: Path) -> None:
    (case,) = package.check([MOTION], plan=True, max_arena="2K", max_flash="64K", max_ram="64K")
    assert case.passed and all(gate.held for gate in case.gates)
    (case,) = package.check([MOTION], plan=True, max_arena=1000, max_flash="1K")
    assert [gate.held for gate in case.gates] == [False, False] and len(case.failed) == 2
    (case,) = package.check([MOTION], plan=True, board="stm32vldiscovery")
    with pytest.raises(UsageError, match="not known without a run"):
        package.check([MOTION], plan=True, max_instructions=1)
    done = tinydeploy(tmp_path, "check", "--plan", str(MOTION), "--max-arena", "1000")
    assert done.returncode == 1 and "max_arena: 1,088 bytes, limit 1,000" in done.stderr


HOSTILE = 'x\n::error::y%,:|<img src=a>"\x1b'


@pytest.fixture
def cases() -> list[Case]:
    good = gates.judged(made_up.made_up(accuracy=made_up.classifier()), {"max_flash": 1, "max_latency_ms": 1})
    return [
        of_result(good, "models/a.tflite"),
        of_result(made_up.made_up(), "models/b.tflite"),
        Case(HOSTILE, HOSTILE, error=HOSTILE),
    ]


def test_junit(cases: list[Case]) -> None:
    xml = junitparser.JUnitXml.fromstring(ci.junit(cases))
    suites = list(xml)
    assert [suite.name for suite in suites[:2]] == [
        f"made-up on mps2-an386, aot (models/{x}.tflite)" for x in "ab"
    ]
    held = {test.name: [type(result).__name__ for result in test.result] for test in suites[0]}
    assert held["budget: max_flash"] == ["Failure"] and held["budget: max_latency_ms"] == ["Skipped"]
    assert held["flash"] == [] and (xml.failures, xml.errors) == (1, 1)
    assert "accuracy" in {test.name for test in suites[1] if test.is_skipped}


def test_nothing_hostile_breaks_out(cases: list[Case]) -> None:
    lines = ci.annotations(cases).splitlines()
    assert len(lines) == 2 and all(line.startswith("::error file=") for line in lines)
    assert ci.annotations(cases[1:2]).startswith("::notice ")
    for text in (ci.markdown(cases), ci.junit(cases), ci.open_metrics(cases), ci.badge(cases)):
        assert "\x1b" not in text and "<img" not in text
    assert len(json.loads(ci.code_quality(cases))) == 2
    fingerprints = {issue["fingerprint"] for issue in json.loads(ci.code_quality(cases))}
    assert len(fingerprints) == 2


def test_the_badge(cases: list[Case]) -> None:
    one = json.loads(ci.badge(cases[1:2]))
    assert one["schemaVersion"] == 1 and one["color"] == "brightgreen" and "instructions" in one["message"]
    assert json.loads(ci.badge(cases))["message"] == "1 of 3 within limits"


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    folder = written(made_up.made_up(), tmp_path / "a")
    done = tinydeploy(tmp_path, "check", str(folder), "--junit", "nowhere/j.xml")
    assert (
        done.returncode == 2 and done.stderr.count("\n") == 1 and "there is no folder nowhere" in done.stderr
    )
    done = tinydeploy(tmp_path, "check", str(folder), "--format", "markdown")
    assert done.returncode == 0 and done.stdout.startswith("## ✅ tinydeploy: 1 of 1 case")
