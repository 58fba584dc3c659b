"""A profile lays to functions, lines and instructions exactly what was executed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tinydeploy import verbs
from tinydeploy.results import stored
from tinydeploy.results.result import Result

DIGITS = Path(__file__).parents[2] / "models" / "digits"


def profiled(board: str, out: Path) -> Result:
    result, folder = verbs.run(DIGITS, board=board, samples=2, profile=True, out=out)
    assert folder == out
    return result


def test_without_a_clock_instructions_are_laid_out(tmp_path: Path) -> None:
    result = profiled("mps2-an386", tmp_path)
    found = result.profile
    assert found is not None and found.unit == "instructions" and result.estimate is None
    for cost in result.per_op:
        # What measuring takes in its own functions is taken off, and may leave less than nothing there.
        assert sum(line.count for line in found.lines if line.op == cost.index) in range(
            cost.count, cost.count + 13
        )
    assert sum(function.count for function in found.functions) == pytest.approx(found.total, abs=13)
    hot = found.functions[0]
    assert "convolve" in hot.name and sum(one.count for one in hot.instructions) == hot.count
    assert any("smlad" in one.text for one in hot.instructions)
    assert any(line.source.startswith("src/model/src/kernels/") for line in found.lines)
    stacks = (tmp_path / "profile.folded").read_text().splitlines()
    assert sum(int(line.rsplit(" ", 1)[1]) for line in stacks) == found.total
    assert stacks[0].startswith("op 1 CONV_2D;tinydeploy")
    assert "smlad" in (tmp_path / "report.html").read_text()
    assert stored.read(tmp_path) == result
    verbs.run(DIGITS, board="mps2-an386", samples=2, out=tmp_path)
    assert not (tmp_path / "profile.folded").exists(), "it is not left of an earlier run"


def test_on_a_board_cycles_are(tmp_path: Path) -> None:
    result = profiled("nucleo_l4r5zi", tmp_path)
    found, time = result.profile, result.estimate
    assert found is not None and time is not None
    assert found.unit == "estimated cycles"
    assert found.total == pytest.approx(time.cycles, rel=0.01)
    content = json.loads((tmp_path / "result.json").read_text())
    assert content["estimate"]["low"] < content["estimate"]["ms"] < content["estimate"]["high"]
    assert sum(cost["estimate"]["cycles"] for cost in content["per_op"]) == pytest.approx(
        time.cycles, rel=0.01
    )
    assert content["executed"]["instructions"] == content["counted"][0]["spread"]["median"]
    assert {count["unit"] for count in content["counted"]} == {"instructions"}
