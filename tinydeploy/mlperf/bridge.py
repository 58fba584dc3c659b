"""A pseudo-terminal in front of a device, for a program that wants a serial port; what passes is kept."""

from __future__ import annotations

import os
import pty
import re
import select
import threading
import time
import tty
from types import TracebackType

from tinydeploy.errors import TinydeployError
from tinydeploy.link.channel import Stream

_STEP = 0.1  # seconds
_LONGEST_WAIT = 20.0  # the runner waits 30 for a line
_LAP = re.compile(rb"m-lap-us-(\d{1,18})\r?\n")


class Bridge:
    """A context manager around `stream`: `port` is the pseudo-terminal's path.

    An emulator's clock may run faster than the runner's. So what follows a time that the device tells is held
    back until as much time has passed since the command, for at most _LONGEST_WAIT. `transcript` is what has
    passed, "> " to the device and "< " from it, a line each. `error` is what ended the line.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._ours, self._theirs = pty.openpty()
        tty.setraw(self._theirs)
        self.port = os.ttyname(self._theirs)
        self.error: TinydeployError | None = None
        self.transcript: list[str] = []
        self._command = self._line = b""
        self._since, self._lap = 0.0, 0
        self._over = False
        self._threads = [threading.Thread(target=way) for way in (self._to_device, self._to_host)]

    def __enter__(self) -> Bridge:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        for thread in self._threads:
            thread.join()
        os.close(self._ours)
        os.close(self._theirs)

    def _to_device(self) -> None:
        while not self._over:
            if not select.select([self._ours], [], [], _STEP)[0]:
                continue
            data = os.read(self._ours, 4096)
            self._command += data
            while b"%" in self._command:
                command, _, self._command = self._command.partition(b"%")
                self.transcript.append(f"> {command.decode('ascii', 'replace')}%")
                self._since, self._lap = time.monotonic(), 0
            try:
                self._stream.write(data, time.monotonic() + _LONGEST_WAIT)
            except TinydeployError as error:
                self.error = error
                return

    def _to_host(self) -> None:
        while not self._over:
            try:
                self._line += self._stream.read(time.monotonic() + _STEP)
            except TinydeployError as error:
                self.error = error
                return
            while b"\n" in self._line:
                end = self._line.index(b"\n") + 1
                line, self._line = self._line[:end], self._line[end:]
                self.transcript.append(f"< {line.decode('ascii', 'replace').rstrip()}")
                self._pace(line)
                os.write(self._ours, line)

    def _pace(self, line: bytes) -> None:
        """Waits, at the second time of an inference, for as long as it took."""
        found = _LAP.fullmatch(line)
        if found is None:
            return
        lap = int(found[1])
        took, self._lap = (lap - self._lap) / 1e6 if self._lap else 0.0, lap
        left = self._since + min(took, _LONGEST_WAIT) - time.monotonic()
        if left > 0:
            time.sleep(left)
