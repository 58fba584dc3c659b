"""Byte streams to a device. Every wait ends at a deadline, a moment of time.monotonic()."""

from __future__ import annotations

import errno
import io
import os
import select
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import serial

from tinydeploy.errors import LinkTimeoutError, TargetDiedError, TargetError

_CHUNK = 65536
BAUD = 115200
_POLL = 0.05  # seconds
_RESET = 0.1  # seconds that a line is asserted for a reset
# TypeError is what pyserial raises for a port that was closed meanwhile.
_GONE = (serial.SerialException, OSError, termios.error, TypeError)


class Stream(Protocol):
    """Bytes in order, both ways."""

    def read(self, deadline: float) -> bytes:
        """What has come, at least one byte; nothing if nothing comes before the deadline.

        Raises TargetDiedError if the other side is gone.
        """

    def write(self, data: bytes, deadline: float) -> None:
        """Hands over all of `data`. Raises LinkTimeoutError at the deadline, TargetDiedError as above."""

    def close(self) -> None:
        """Lets go of the line; harmless when done twice."""


class FdStream:
    """A stream over file descriptors, which it owns: pipes, a pseudo-terminal, a socket.

    `died` says what to tell the user when the other side is gone.
    """

    def __init__(self, read_fd: int, write_fd: int, died: Callable[[], TargetDiedError]) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._died = died
        self._open = True
        os.set_blocking(read_fd, False)
        os.set_blocking(write_fd, False)

    def read(self, deadline: float) -> bytes:
        """See Stream."""
        if not self._wait([self._read_fd], [], deadline):
            return b""
        try:
            data = os.read(self._read_fd, _CHUNK)
        except BlockingIOError:
            return b""
        except OSError as error:  # EIO from a pseudo-terminal without a slave, ECONNRESET from a socket
            raise self._died() from error
        if not data:
            raise self._died()
        return data

    def write(self, data: bytes, deadline: float) -> None:
        """See Stream."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._write_fd, view) :]
            except BlockingIOError as error:
                if not self._wait([], [self._write_fd], deadline):
                    raise LinkTimeoutError("the device does not take what it is sent") from error
            except OSError as error:
                raise self._died() from error

    def close(self) -> None:
        """See Stream."""
        if self._open:
            self._open = False
            for fd in {self._read_fd, self._write_fd}:
                os.close(fd)

    def _wait(self, reads: list[int], writes: list[int], deadline: float) -> bool:
        """Whether one of the file descriptors is ready before the deadline."""
        return any(select.select(reads, writes, [], left(deadline)))


class SerialStream:
    """A serial port by pyserial's name for it: /dev/ttyACM0, COM3, socket://host:port, rfc2217://host:port.

    `dtr` and `rts` are what becomes of its control lines: "on", "off", or "reset", which is on for a moment;
    "" leaves them as they are opened, asserted. Raises TargetError, with the reason, if it cannot be opened;
    also if another program has it open. Nothing is set while it is open: a port on the network
    negotiates each setting.
    """

    def __init__(self, port: str, baud: int = BAUD, dtr: str = "", rts: str = "") -> None:
        self._name = port
        try:
            self._port = serial.serial_for_url(port, baud, timeout=_POLL, exclusive=True, do_not_open=True)
            self._port.dtr, self._port.rts = dtr != "off", rts != "off"
            self._port.open()
            self._fds = self._file_descriptors()
            self._end_reset(dtr, rts)
        except (serial.SerialException, ValueError, OSError, termios.error) as error:
            raise _cannot_open(port, error) from error

    def _file_descriptors(self) -> FdStream | None:
        """The port as what it is to the system; None if it is something of pyserial's own."""
        try:
            fd = os.dup(self._port.fileno())
        except (io.UnsupportedOperation, AttributeError):
            return None
        return FdStream(fd, fd, self._went_away)

    def _end_reset(self, dtr: str, rts: str) -> None:
        if "reset" not in (dtr, rts):
            return
        time.sleep(_RESET)
        try:
            # In this order a board on which they are reset and boot mode starts what is in its flash.
            if dtr == "reset":
                self._port.dtr = False
            if rts == "reset":
                self._port.rts = False
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTTY):  # a port without such lines
                raise

    def read(self, deadline: float) -> bytes:
        """See Stream."""
        if self._fds is not None:
            return self._fds.read(deadline)
        try:
            while True:
                data = bytes(self._port.read(1))  # waits for _POLL seconds
                if data or time.monotonic() >= deadline:
                    return data + bytes(self._port.read(self._port.in_waiting)) if data else b""
        except _GONE as error:
            raise self._went_away() from error

    def write(self, data: bytes, deadline: float) -> None:
        """See Stream."""
        if self._fds is not None:
            self._fds.write(data, deadline)
            return
        try:
            self._port.write(data)
        except _GONE as error:
            raise self._went_away() from error

    def close(self) -> None:
        """See Stream."""
        if self._fds is not None:
            self._fds.close()
        with suppress(*_GONE):
            self._port.close()

    def _went_away(self) -> TargetDiedError:
        return TargetDiedError(f"{self._name} went away", "was the board unplugged?")


def _cannot_open(port: str, error: Exception) -> TargetError:
    # pyserial hands on some of the system's errors only as a text within its own.
    code = error.errno if isinstance(error, OSError) else None
    if code in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return TargetError(f"there is no port {port}", "is the board plugged in?")
    if code in (errno.EACCES, errno.EPERM):
        return TargetError(
            f"no permission to open {port}", "sudo usermod -aG dialout $USER, and log in again"
        )
    if code in (errno.EBUSY, errno.EAGAIN) or "exclusively lock" in str(error):
        return TargetError(f"another program has {port} open", "close its serial monitor")
    if code == errno.ENOTTY or "Inappropriate ioctl" in str(error):
        return TargetError(f"{port} is not a serial port")
    return TargetError(f"cannot open {port}: {error}")


def left(deadline: float) -> float:
    """Seconds until then, at least none."""
    return max(0.0, deadline - time.monotonic())
