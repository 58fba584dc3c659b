"""Byte streams to a device. Every wait ends at a deadline, a moment of time.monotonic()."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from typing import Protocol

import serial

from tinydeploy.errors import LinkTimeoutError, TargetDiedError, TargetError

_CHUNK = 65536
BAUD = 115200


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
        if not select.select([self._read_fd], [], [], _left(deadline))[0]:
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
            if not select.select([], [self._write_fd], [], _left(deadline))[1]:
                raise LinkTimeoutError("the device does not take what it is sent")
            try:
                view = view[os.write(self._write_fd, view) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._died() from error

    def close(self) -> None:
        """See Stream."""
        if self._open:
            self._open = False
            for fd in {self._read_fd, self._write_fd}:
                os.close(fd)


class SerialStream:
    """A serial port by pyserial's name for it: /dev/ttyACM0, COM3, socket://host:port."""

    def __init__(self, port: str, baud: int = BAUD) -> None:
        self._name = port
        try:
            self._port = serial.serial_for_url(port, baud, timeout=0)
        except (serial.SerialException, ValueError, OSError) as error:
            raise TargetError(
                f"cannot open {port}: {error}", "is it plugged in, and yours to use?"
            ) from error

    def read(self, deadline: float) -> bytes:
        """See Stream."""
        try:
            self._port.timeout = _left(deadline)
            data = bytes(self._port.read(1))
            if data:
                self._port.timeout = 0
                data += self._port.read(_CHUNK)
            return data
        except (serial.SerialException, OSError, TypeError) as error:
            raise TargetDiedError(f"{self._name} went away: {error}") from error

    def write(self, data: bytes, deadline: float) -> None:
        """See Stream."""
        try:
            self._port.write_timeout = max(_left(deadline), 0.001)
            self._port.write(data)
        except serial.SerialTimeoutException as error:
            raise LinkTimeoutError("the device does not take what it is sent") from error
        except (serial.SerialException, OSError, TypeError) as error:
            raise TargetDiedError(f"{self._name} went away: {error}") from error

    def close(self) -> None:
        """See Stream."""
        self._port.close()


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())
