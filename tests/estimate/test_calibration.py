"""A board that one has is calibrated: its times are predicted from then on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from nightly import NIGHTLY
from pty_board import BOARD, PtyBoard

from tinydeploy import verbs
from tinydeploy.boards import lookup
from tinydeploy.errors import TargetError, UsageError
from tinydeploy.estimate.points import VARIABLE, points
from tinydeploy.estimate.timing import time_model
from tinydeploy.evaluate import calibration

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PtyBoard]:
    """A board with a timing that nobody has told: QEMU lets each instruction take 0.168 of its cycles."""
    real = dataclasses.replace(lookup.board(BOARD), id="real-board", emulation={})
    monkeypatch.setattr(lookup, "board", lambda name: real if name == real.id else KNOWN(name))
    with PtyBoard(tmp_path) as plugged:
        yield plugged


KNOWN = lookup.board


@pytest.mark.skipif(not NIGHTLY, reason="calibrates for more than a minute: in make nightly")
def test_a_hidden_timing_is_found_on_a_board(
    board: PtyBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "GOALS", ("balanced", "size"))  # each more is a build more
    real, path = lookup.board("real-board"), tmp_path / "mine.csv"
    at_port = {"port": str(board.port), "upload_command": board.upload_command}
    found, written = verbs.calibrate(
        [MODELS / "digits", MODELS / "motion"], board=real.id, points=path, **at_port
    )
    assert written == path and len(found.points) == 4
    assert list(points(path)) == list(found.points)
    for point in found.points:
        # It is one cycle and a half for nine instructions, whatever they are.
        assert point.cycles == pytest.approx(0.168 * point.counts.instructions, rel=0.02)
    assert max(map(abs, found.left_out)) < 0.1
    before = time_model(real)
    monkeypatch.setenv(VARIABLE, str(path))
    after = time_model(real)
    assert before and after and after.fitted_on.startswith("4 points of tinydeploy aot on real-board")
    some = found.points[0]
    assert before.estimate(some.counts).ms > 5 * some.ms
    assert after.estimate(some.counts).ms == pytest.approx(some.ms, rel=0.1)


@pytest.mark.skipif(not NIGHTLY, reason="calibrates for a minute: in make nightly")
def test_an_interrupted_calibration_leaves_nothing(board: PtyBoard, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    board.unplug_after = 2000
    with pytest.raises(TargetError):
        verbs.calibrate(
            [MODELS / "digits", MODELS / "motion"],
            board="real-board",
            points=path,
            port=str(board.port),
            upload_command=board.upload_command,
            timeout=5.0,
        )
    assert not path.exists()


def test_one_model_is_too_few() -> None:
    with pytest.raises(UsageError, match="1 model makes 3 points"):
        verbs.calibrate([MODELS / "digits"], board="netduinoplus2", port="/dev/null")
    with pytest.raises(UsageError, match="nothing here can count"):
        verbs.calibrate([MODELS / "digits"], board="esp32dev", port="/dev/null")
