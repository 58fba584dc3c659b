"""What was checked and held: ticks, failures, and the exit code that follows."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import made_up_results as made_up
import pytest

from tinydeploy import errors, verbs
from tinydeploy.cli import shell, terminal, verb_run
from tinydeploy.errors import TinydeployError
from tinydeploy.report import console, html
from tinydeploy.results.measured import Accuracy, Parity
from tinydeploy.results.result import Result
from tinydeploy.results.setting import LibraryInfo
from tinydeploy.results.verdict import checks, failures

LIBRARY = LibraryInfo("TFLite Micro", "1", {"CONV_2D": "CMSIS-NN"})


def parity(off_by_one: int, worse: int) -> Parity:
    return Parity("TFLite Micro", 100, 100 - off_by_one - worse, off_by_one, worse, 1.0, 10)


@pytest.mark.parametrize(
    ("library", "off_by_one", "worse", "held"),
    [
        (None, 0, 0, True),
        (None, 1, 0, False),  # the ahead-of-time engine is bit for bit the reference's
        (None, 0, 1, False),
        (LIBRARY, 0, 0, True),
        (LIBRARY, 9, 0, None),  # a library's kernels may round differently: no failure, and no tick
        (LIBRARY, 9, 1, False),
    ],
)
def test_parity(library: LibraryInfo | None, off_by_one: int, worse: int, held: bool | None) -> None:
    result = dataclasses.replace(made_up.made_up(), library=library, parity=parity(off_by_one, worse))
    assert checks(result)["parity"] is held
    assert bool(failures(result)) == (held is False)


def test_each_failure_is_named() -> None:
    good = made_up.made_up(accuracy=made_up.classifier())
    assert failures(good) == ()
    assert failures(dataclasses.replace(good, parity=parity(3, 1))) == (
        "4 of 100 outputs differ from TFLite Micro's",
    )
    library = dataclasses.replace(good, library=LIBRARY, parity=parity(3, 1))
    assert failures(library) == ("1 of 100 outputs differ by more than one from TFLite Micro's",)
    overrun = dataclasses.replace(good.arena, passes_at=None, fails_at=good.arena.bytes)
    assert "the arena of" in failures(dataclasses.replace(good, arena=overrun))[0]
    assert failures(dataclasses.replace(good, stack_bytes=8192)) == ("the stack's 8,192 bytes are used up",)
    assert [failure.split()[0] for failure in failures(made_up.flawed())] == ["flash", "Accuracy", "129"]


def quality(value: float, reference: float, *doubts: str, metric: str = "top1") -> Accuracy:
    return Accuracy(metric, value, 10, reference, doubts=doubts)


@pytest.mark.parametrize(
    ("accuracy", "rounded", "held"),
    [
        (quality(0.9, 0.9), False, True),
        (quality(0.8, 0.9), False, False),
        (quality(0.8, 0.9), True, None),  # lost by a library's rounding
        (quality(0.9, 0.9, "all samples are of one class"), False, None),
        (quality(0.8, 0.9, "all samples are of one class"), False, False),
        (quality(2.0, 1.0, metric="rmse"), False, False),
        (quality(-0.1, -0.2, metric="r2"), False, True),
        (quality(0.7, 0.8, metric="top3"), False, False),
    ],
)
def test_accuracy(accuracy: Accuracy, rounded: bool, held: bool | None) -> None:
    library = LIBRARY if rounded else None
    result = dataclasses.replace(
        made_up.made_up(accuracy=accuracy), library=library, parity=parity(int(rounded), 0)
    )
    assert checks(result)["accuracy"] is held


def doubtful() -> Result:
    accuracy = dataclasses.replace(made_up.classifier(), doubts=("all samples are of one class",))
    return made_up.made_up(accuracy=accuracy)


def unjudged() -> Result:
    return dataclasses.replace(made_up.made_up(), unjudged="y is no 4 labels of their own")


@pytest.mark.parametrize(
    "result", [doubtful(), unjudged(), dataclasses.replace(made_up.made_up(), parity=None)]
)
def test_no_tick_stands_over_what_was_not_checked(result: Result) -> None:
    header = html.render(result).partition("<header>")[2].partition("</header>")[0]
    assert "✓" not in header and "✗" not in header
    with terminal.stdout.capture() as capture:
        terminal.stdout.print(console.summary(result))
    for line in capture.get().splitlines():
        assert not (line.startswith(("Accuracy", "Parity")) and "✓" in line) or "Parity" in line


def test_no_labels_is_nothing_to_check() -> None:
    assert "✓" in html.render(made_up.made_up()).partition("</header>")[0]


# Exit codes


@pytest.mark.parametrize(
    ("code", "kinds"),
    [
        (1, "GateError"),
        (2, "UsageError ModelError DataError FitError"),
        (3, "ToolError TargetError TargetDiedError LinkError LinkTimeoutError LinkCorruptError"),
        (3, "DeviceResetError WrongFirmwareError DeviceFaultError DeviceStatusError"),
    ],
)
def test_each_error_has_its_code(code: int, kinds: str) -> None:
    for kind in kinds.split():
        error = getattr(errors, kind)("what happened")
        assert isinstance(error, TinydeployError) and error.exit_code == code


MODEL = Path(__file__).resolve().parents[2] / "models" / "digits"


@pytest.mark.parametrize(
    ("result", "code", "line"),
    [
        (made_up.made_up(), 0, ""),
        (
            dataclasses.replace(made_up.made_up(), parity=parity(0, 2)),
            1,
            "a check failed: 2 of 100 outputs differ",
        ),
    ],
)
def test_a_failed_check_is_told_after_the_result(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], result: Result, code: int, line: str
) -> None:
    def made(*arguments: Any, **options: Any) -> tuple[Result, Path]:
        return result, Path("out")

    monkeypatch.setattr(verbs, "run", made)
    monkeypatch.setattr(shell.signal, "signal", lambda *_: None)  # pytest's own stay
    monkeypatch.setattr(sys, "argv", ["tinydeploy", str(MODEL), "--json"])
    with pytest.raises(SystemExit) as ended:
        shell.guarded(verb_run.command)
    assert ended.value.code == code
    told = capsys.readouterr()
    assert '"schema": "tinydeploy.result/2"' in told.out
    assert told.err.count("\n") == bool(code) and line in told.err


def test_a_fault_of_ours_is_no_failed_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **options: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(verbs, "run", broken)
    monkeypatch.setattr(shell.signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["tinydeploy", str(MODEL)])
    with pytest.raises(SystemExit) as ended:
        shell.guarded(verb_run.command)
    assert ended.value.code == 3


def test_help_tells_the_codes_and_a_reader_that_leaves_is_no_failure() -> None:
    command = [sys.executable, "-m", "tinydeploy"]
    root = MODEL.parent.parent
    told = subprocess.run(
        [*command, "--help"], capture_output=True, text=True, cwd=root, timeout=60, check=True
    )
    assert "1 a check failed, 2 wrong usage" in " ".join(told.stdout.split())
    process = subprocess.Popen(
        [*command, "boards", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == b""
