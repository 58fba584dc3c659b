"""How long work tells of itself: one callback, given by whoever shows it."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""`progress(phase, done, total)`: what is going on; total is 0 where the end cannot be known."""


Notice = Callable[[str], None]
"""`notice(line)`: what the user should see, though the work goes on."""


def silent(phase: str, done: int = 0, total: int = 0) -> None:
    """Shows nothing."""


def unsaid(line: str) -> None:
    """Tells nobody."""
