"""A pseudo-terminal in front of a device, for a program that wants a serial port; what passes is kept."""

from __future__ import annotations

import os
import re
import time

from tinydeploy.errors import TinydeployError
from tinydeploy.link.channel import Stream
from tinydeploy.link.pseudo_terminal import PseudoTerminal

_STEP = 0.1  # seconds
_LONGEST_WAIT = 20.0  # the runner waits 30 for a line
_LAP = re.compile(rb"m-lap-us-(\d{1,18})\r?\n")


class Bridge(PseudoTerminal):
    """A context manager around `stream`: `port` is the pseudo-terminal's path.

    An emulator's clock may run faster than the runner's. So what follows a time that the device tells is held
    back until as much time has passed since the command, for at most _LONGEST_WAIT. `transcript` is what has
    passed, "> " to the device and "< " from it, a line each. `error` is what ended the line.
    """

    def __init__(self, stream: Stream) -> None:
        super().__init__(self._to_device, self._to_host)
        self._stream = stream
        self.error: TinydeployError | None = None
        self.transcript: list[str] = []
        self._command = self._line = b""
        self._since, self._lap = 0.0, 0

    def _to_device(self) -> None:
        while not self.over:
            data = self.said()
            if not data:
                continue
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
        while not self.over:
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
                os.write(self.ours, line)

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
