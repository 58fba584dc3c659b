"""What stands for a run in the tests of a sweep's own ways: it writes a made-up result, or fails as asked."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import made_up_results as made_up

from tinydeploy.errors import FitError, ToolError
from tinydeploy.report import report_files


def is_alive(group: int) -> bool:
    """Whether a process of the group still runs."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def run(model: str, out: Path, board: str = "", **_options: Any) -> None:
    """A line in the journal, then the result, or what the board's name asks for."""
    journal = out.parent.parent / "journal.txt"
    with journal.open("a") as stream:
        stream.write(f"{board}\n")
    if board == "dies-once" and journal.read_text().split().count(board) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if board == "too-small":
        raise FitError("it does not fit", "take another")
    if board == "flaky":
        raise ToolError("the tool failed")
    time.sleep(0.01)
    out.mkdir(parents=True, exist_ok=True)
    report_files.write(made_up.made_up(made_up.dense_three()), out)
