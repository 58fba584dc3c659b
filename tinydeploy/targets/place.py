"""Places: the machine on which a target's process runs and a board is plugged in. So far there is but one.

A place on another machine would start the same commands there, and give the same byte streams here.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from typing import IO, Protocol

from tinydeploy.boards.board import Lines
from tinydeploy.link.channel import SerialStream, Stream
from tinydeploy.targets import ports
from tinydeploy.targets.ports import Port
from tinydeploy.targets.process import ends_with_this_process


class Place(Protocol):
    """Where something runs, and how it is reached from here."""

    def program(self, name: str) -> str | None:
        """The path of a program there; None if it has none."""

    def start(
        self,
        command: Sequence[str],
        *,
        stdin: int,
        stdout: int,
        stderr: int | IO[bytes],
        pass_fds: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:
        """A process there, which ends when this one does. Raises OSError or SubprocessError.

        It inherits `pass_fds`, where the place can do that.
        """

    def ports(self) -> tuple[Port, ...]:
        """The serial ports there that are USB devices."""

    def serial(self, port: Port, lines: Lines) -> Stream:
        """A serial port there, opened. Raises TargetError."""


class Here:
    """The machine that this runs on."""

    def program(self, name: str) -> str | None:
        """See Place."""
        return shutil.which(name)

    def start(
        self,
        command: Sequence[str],
        *,
        stdin: int,
        stdout: int,
        stderr: int | IO[bytes],
        pass_fds: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:
        """See Place."""
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            bufsize=0,
            pass_fds=pass_fds,
            process_group=0,  # all of it can be ended at once, and the terminal's Ctrl-C is for us
            preexec_fn=ends_with_this_process(),
        )

    def ports(self) -> tuple[Port, ...]:
        """See Place."""
        return ports.usb_ports()

    def serial(self, port: Port, lines: Lines) -> Stream:
        """See Place."""
        return SerialStream(port.name, dtr=lines.dtr, rts=lines.rts)


HERE = Here()
