"""Core models, published points, and what is fitted to them."""

from __future__ import annotations

import dataclasses
from itertools import groupby
from pathlib import Path

import pytest

from tinydeploy.boards import lookup
from tinydeploy.boards.core import CORES
from tinydeploy.errors import UsageError
from tinydeploy.estimate.core_models import core_model
from tinydeploy.estimate.counts import Counts
from tinydeploy.estimate.fitting import FLASH_LINE, Line, fit, left_out, unfitted
from tinydeploy.estimate.points import Point, points
from tinydeploy.estimate.timing import line_of, part_of, time_model

BY_BOARD = {
    board: list(some)
    for board, some in groupby(sorted(points(), key=lambda point: point.board), lambda point: point.board)
}
GOALS = {"nucleo_l4r5zi": 0.05, "nucleo_u575zi_q": 0.05, "disco_f746ng": 0.10, "nucleo_g0b1re": 0.10}


def line(board: str) -> Line:
    return line_of(next(one for one in lookup.all_boards() if part_of(one) == board))


@pytest.mark.parametrize("board", GOALS)
def test_points_that_were_left_out_are_predicted(board: str) -> None:
    own = BY_BOARD[board]
    core = core_model(own[0].core)
    assert core is not None
    off = left_out(core, line(board), own)
    assert len(off) == len(own) >= 6
    assert max(map(abs, off)) < GOALS[board]
    # The interval is meant for four of five.
    within = sum(abs(one) <= fit(core, line(board), own).spread for one in off)
    assert within >= 0.8 * len(own)


def made_up(scale: float, line_cycles: float, board: str = "made_up") -> list[Point]:
    """Points of a Cortex-M4F whose timing is known."""
    core = core_model("cortex-m4f")
    assert core is not None
    truth = {name: scale * each for name, each in core.cycles.items()} | {FLASH_LINE: line_cycles}
    made = []
    for point in BY_BOARD["nucleo_l4r5zi"]:
        cycles = sum(each * getattr(point.counts, name) for name, each in truth.items())
        made.append(dataclasses.replace(point, board=board, mhz=100.0, ms=cycles / 1e5, engine="made up"))
    return made


def test_a_hidden_timing_is_found() -> None:
    core = core_model("cortex-m4f")
    assert core is not None
    some = made_up(1.2, 2.4)
    factors = fit(core, Line(2.0, 0.3), some)
    assert factors.cycles[FLASH_LINE] == pytest.approx(2.4, rel=0.1)
    for point in some:
        assert factors.predict(point.counts) == pytest.approx(point.cycles, rel=0.01)
    assert factors.spread < 0.035, "all but what is laid to another engine"


def test_who_is_fitted_to_what() -> None:
    counts = BY_BOARD["nucleo_l4r5zi"][0].counts
    own = time_model(lookup.board("nucleo_l4r5zi"))
    sibling = time_model(lookup.board("nucleo_g071rb"))
    other = time_model(lookup.board("nucleo_f446re"))
    never = time_model(lookup.board("due"))
    assert own and sibling and other and never
    assert own.fitted_on.startswith("8 points") and "nucleo_l4r5zi at 120 MHz" in own.fitted_on
    assert "nucleo_g0b1re" in sibling.fitted_on
    assert other.fitted_on.endswith("another part")
    assert never.fitted_on.startswith("nothing")
    widths = [
        (made.high - made.low) / made.ms for made in (one.estimate(counts) for one in (own, other, never))
    ]
    assert widths == sorted(widths) and 0.04 < widths[0] < 0.12 < widths[1]
    assert time_model(lookup.board("esp32dev")) is None


def test_points_of_ones_own_count(tmp_path: Path) -> None:
    board = lookup.board("nucleo_f446re")
    counts = BY_BOARD["nucleo_l4r5zi"][0].counts
    before, after = time_model(board), time_model(board, [*points(), *made_up(1.5, 3.0, board.id)])
    assert before and after and after.name == "cortex-m4f, fitted"
    assert after.estimate(counts).ms > 1.2 * before.estimate(counts).ms


def test_every_core_with_counts_has_a_model() -> None:
    modelled = {core for core in CORES if core_model(core)}
    assert modelled == {core for core in CORES if not core.startswith(("xtensa", "avr"))}
    for core in modelled:
        model = core_model(core)
        assert model and model.source and 0 < model.spread < 1
        assert unfitted(model, Line(2, 1)).predict(Counts(instructions=1000)) >= 400


@pytest.mark.parametrize(
    ("row", "problem"),
    [("x,cortex-m4f,0,E,KWS,,1,s,100", "without clock"), ("x,cortex-m4f,1,E,KWS,,one,s,100", "one")],
)
def test_a_wrong_file_of_points(tmp_path: Path, row: str, problem: str) -> None:
    path = tmp_path / "points.csv"
    path.write_text(f"board,core,mhz,engine,task,variant,ms,source,instructions\n{row}\n")
    with pytest.raises(UsageError, match=problem):
        points(path)


def test_a_rough_estimate_has_a_wide_interval() -> None:
    model = time_model(lookup.board("nucleo_l4r5zi"))
    assert model is not None
    point = BY_BOARD["nucleo_l4r5zi"][1]
    rough = model.rough(point.counts.instructions)
    assert rough.low < point.ms < rough.high
    assert (rough.high - rough.low) / rough.ms > 0.5
