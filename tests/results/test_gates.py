"""Limits as they are written, results held against them, and what each verb makes of a miss."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import made_up_results as made_up
import pytest
from rich.console import Console

from tinydeploy import verbs
from tinydeploy.errors import UsageError
from tinydeploy.evaluate import config
from tinydeploy.evaluate.request import taken_budget
from tinydeploy.report import console, html
from tinydeploy.results import gates, stored
from tinydeploy.results.estimated import EnergyEstimate, Estimate
from tinydeploy.results.limits import LIMITS, parse
from tinydeploy.results.measured import Gate
from tinydeploy.results.result import Result
from tinydeploy.results.verdict import failures

ROOT = Path(__file__).resolve().parents[2]
MOTION = ROOT / "models" / "motion"


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("max_flash", "64K", 65_536),
        ("max_flash", "1.5 MiB", 3 << 19),
        ("max_flash", "128KB", 131_072),
        ("max_flash", "65_536 bytes", 65_536),
        ("max_flash", 1024, 1024),
        ("max_ram", " 1 g ", 1 << 30),
        ("max_arena", 0, 0),
        ("max_instructions", "1.5M", 1_500_000),
        ("max_instructions", 20_000_000.0, 20_000_000),
        ("max_latency_ms", "800 us", 0.8),
        ("max_latency_ms", "1.5s", 1500),
        ("max_energy_uj", "2 mJ", 2000),
        ("min_accuracy", "95%", 0.95),
        ("min_accuracy", 1, 1),
        ("min_identical", "100 %", 1),
        ("min_r2", -0.5, -0.5),
        ("max_accuracy_drop", "1%", 0.01),
        ("max_mae", "1e-3", 0.001),
    ],
)
def test_a_limit_as_it_is_written(name: str, written: object, value: float) -> None:
    assert parse(LIMITS[name], written) == pytest.approx(value)


@pytest.mark.parametrize(
    ("name", "written", "told"),
    [
        ("max_flash", "64 ms", "no size"),
        ("max_flash", "64kg", "no size"),
        ("max_flash", "", "no size"),
        ("max_flash", "K", "no size"),
        ("max_flash", "64 K K", "no size"),
        ("max_flash", math.nan, "no size"),
        ("max_flash", "inf", "no size"),
        ("max_flash", "1e999", "no size"),
        ("max_flash", "9" * 5000, "no size"),
        ("max_flash", -1, "below zero"),
        ("max_flash", "0.3", "no whole number of bytes"),
        ("max_flash", True, "must be a number"),
        ("max_flash", ["64K"], "must be a number"),
        ("max_instructions", "64KiB", "no count"),
        ("min_accuracy", 95, "more than all"),
        ("min_accuracy", "95", "more than all"),
        ("min_accuracy", math.nan, "no share"),
        ("max_latency_ms", "3 min", "no time"),
        ("max_energy_uj", "3 W", "no energy"),
        ("max_mae", "1%", "no number"),
        ("max_accuracy_drop", -0.1, "below zero"),
    ],
)
def test_anything_else_is_refused_in_a_line(name: str, written: object, told: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=told) as refused:
        parse(LIMITS[name], written)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 200
    with pytest.raises(UsageError, match=name):
        taken_budget({name: written})


def in_file(folder: Path, text: str) -> config.Config:
    (folder / "tinydeploy.toml").write_text(text)
    return config.load(folder / "m.tflite")


def test_the_budget_of_a_file(tmp_path: Path) -> None:
    file = in_file(tmp_path, '[budget]\nmax_flash = "64K"\nmin_accuracy = 0.9\nmax_accuracy_drop = 0\n')
    assert (file.max_flash, file.min_accuracy, file.max_accuracy_drop, file.max_ram) == (65_536, 0.9, 0, None)
    with pytest.raises(UsageError, match=r"budget\.max_flsh") as refused:
        in_file(tmp_path, '[budget]\nmax_flsh = "64K"\n')
    assert "did you mean 'budget.max_flash'?" in refused.value.hint
    with pytest.raises(UsageError, match=r"'budget\.max_flash' is '64 ms', which is no size"):
        in_file(tmp_path, '[budget]\nmax_flash = "64 ms"\n')
    with pytest.raises(UsageError, match="no size"):
        in_file(tmp_path, "[budget]\nmax_flash = nan\n")
    with pytest.raises(UsageError, match="unknown key"):
        in_file(tmp_path, 'budget = "64K"\n')


def limit(result: Result, **budget: float) -> Gate:
    (gate,) = gates.judged(result, budget).gates or ()
    return gate


@pytest.fixture(scope="module")
def good() -> Result:
    return made_up.made_up(made_up.mobilenet_v2(), accuracy=made_up.classifier())


def test_each_limit_on_either_side_of_its_figure(good: Result) -> None:
    board, regression = made_up.on_a_board(good), made_up.regression()
    for name, one in LIMITS.items():
        result = regression if name in ("max_mae", "max_rmse", "min_r2") else good
        result = board if name in ("max_cycles", "max_latency_ms") else result
        found = gates.figure(result, one)
        if isinstance(found, gates.Missing):
            assert limit(result, **{name: 1}).held is (None if one.target else False)
            continue
        better, worse = (found, found - 1e-6) if one.most else (found, found + 1e-6)
        assert limit(result, **{name: better}).held is True
        assert limit(result, **{name: worse}).held is False


def test_what_each_limit_is_held_against(good: Result) -> None:
    assert good.accuracy is not None and good.parity is not None
    assert limit(good, max_flash=1).figure == good.build.flash_bytes
    assert limit(good, min_accuracy=0).figure == good.accuracy.value
    assert limit(good, min_macro_f1=0).figure == good.accuracy.also["macro_f1"]
    worst = min(group.correct / group.samples for group in good.accuracy.per_class)
    assert limit(good, max_group_drop=0).figure == pytest.approx(good.accuracy.value - worst)
    lost = dataclasses.replace(good.accuracy, reference=good.accuracy.value + 0.03)
    assert limit(dataclasses.replace(good, accuracy=lost), max_accuracy_drop=0).figure == pytest.approx(0.03)
    known = dataclasses.replace(lost, float_value=good.accuracy.value + 0.05)
    assert limit(dataclasses.replace(good, accuracy=known), max_accuracy_drop=0).figure == pytest.approx(0.05)
    error = dataclasses.replace(made_up.regression().accuracy, reference=0.04)
    worse = dataclasses.replace(made_up.regression(), accuracy=error)
    assert limit(worse, max_accuracy_drop=0).figure == pytest.approx(0.00127)
    board = made_up.on_a_board(good)
    assert board.time_us is not None
    assert limit(board, max_latency_ms=1).figure == board.time_us.median / 1000


def test_what_there_is_nothing_to_judge_by(good: Result) -> None:
    unlabelled = made_up.made_up()
    gate = limit(unlabelled, min_accuracy=0.5)
    assert gate.held is False and "without labels" in gate.reason
    assert failures(gates.judged(unlabelled, {"min_accuracy": 0.5})) == (gates.phrase(gate),)
    gate = limit(good, max_latency_ms=5)
    assert gate.held is None and gate.reason == "qemu counts instructions, and measures no latency"
    assert failures(gates.judged(good, {"max_latency_ms": 5})) == ()
    assert "has no" not in limit(good, min_f1=0.5).reason and limit(good, min_f1=0.5).held is False
    assert limit(dataclasses.replace(good, parity=None), min_identical=1).held is False


def test_a_miss_in_a_line(good: Result) -> None:
    gate = limit(good, max_flash=good.build.flash_bytes - 1000)
    assert gates.phrase(gate) == (
        f"max_flash: {good.build.flash_bytes:,} bytes, limit {good.build.flash_bytes - 1000:,}, "
        f"over by 1,000 ({1000 / (good.build.flash_bytes - 1000):.1%})".replace("%", " %")
    )
    assert gates.phrase(limit(good, min_accuracy=0.99)).startswith(
        "min_accuracy: 94.5 %, limit 99 %, short by 4.5 %"
    )


def test_every_limit_is_shown_and_a_miss_stands_at_the_top(good: Result) -> None:
    result = gates.judged(
        good, {"max_flash": 1024, "max_ram": 1 << 22, "max_latency_ms": 3, "min_accuracy": 0.9}
    )
    text = io.StringIO()
    Console(file=text, width=200).print(console.summary(result))
    assert text.getvalue().startswith("✗ max_flash")
    for gate in result.gates or ():
        assert gate.name in text.getvalue()
    page = html.render(result)
    root = ElementTree.fromstring(page.replace("<!DOCTYPE html>", ""))
    (line,) = [part for part in root.iter("p") if part.get("class") == "missed"]
    assert "max_flash" in "".join(line.itertext())
    assert 'class="verdict bad"' in page and ">Budget<" in page
    assert ">Budget<" not in html.render(good)
    assert stored.parse(json.dumps(result.to_json()), "result.json") == result


def tinydeploy(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tinydeploy", *words], capture_output=True, text=True, cwd=ROOT, timeout=300
    )


def test_a_run_over_budget_ends_with_1_and_a_line_for_each_miss(tmp_path: Path) -> None:
    missed = ("--max-flash", "1K", "--max-arena", "1", "--min-accuracy", "0", "--max-cycles", "1")
    done = tinydeploy("run", str(MOTION), "--samples", "8", "-o", str(tmp_path), *missed)
    assert done.returncode == 1
    first, second = [line for line in done.stderr.splitlines() if "a check failed" in line]
    assert "max_flash: " in first and "max_arena: " in second
    result = stored.read(tmp_path)
    assert [gate.held for gate in result.gates or ()] == [False, False, None, True]


def test_a_build_over_budget(tmp_path: Path) -> None:
    done = tinydeploy("build", str(MOTION), "--max-flash", "1K", "--max-ram", "1M")
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "max_flash: " in done.stderr
    assert "max_ram" in done.stdout
    kept: dict[str, Any] = {"max_flash": "1M", "max_arena": "1M"}
    assert [gate.held for gate in verbs.build(MOTION, **kept).gates] == [True, True]


def test_an_estimate_is_held_against_limits_of_its_own(good: Result) -> None:
    assert limit(good, max_estimated_ms=1).held is None
    warned = dataclasses.replace(good, warnings=("there is no estimate of time: g++ is not installed",))
    assert limit(warned, max_estimated_ms=1).reason == warned.warnings[0]
    estimated = dataclasses.replace(
        good,
        estimate=Estimate(6_000_000, 50.0, 48.0, 52.0, "a model", "points"),
        energy=EnergyEstimate(1675.0, 1600.0, 1750.0, "power times time"),
    )
    assert limit(estimated, max_estimated_ms=50).held is True
    assert limit(estimated, max_estimated_ms=49).held is False
    assert limit(estimated, max_estimated_uj=1674).held is False
    assert limit(estimated, max_latency_ms=100).held is None, "no board has measured it"
