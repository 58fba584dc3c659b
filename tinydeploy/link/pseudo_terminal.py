"""A pseudo-terminal for a program that wants a serial port, and the threads that serve it."""

from __future__ import annotations

import os
import pty
import select
import threading
import tty
from collections.abc import Callable
from types import TracebackType
from typing import Self

_STEP = 0.1  # seconds


class PseudoTerminal:
    """A context manager: `port` is the path for the program, `ours` the end that the `ways` serve.

    Each of these runs in a thread until `over` is set, and has to end soon after.
    """

    def __init__(self, *ways: Callable[[], None]) -> None:
        self.ours, self._theirs = pty.openpty()
        tty.setraw(self._theirs)
        self.port = os.ttyname(self._theirs)
        self.over = False
        self._threads = [threading.Thread(target=way) for way in ways]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over = True
        for thread in self._threads:
            thread.join()
        os.close(self.ours)
        os.close(self._theirs)

    def said(self) -> bytes:
        """What the program has sent by now; nothing if it sends nothing for a while."""
        return os.read(self.ours, 4096) if select.select([self.ours], [], [], _STEP)[0] else b""
