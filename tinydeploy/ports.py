"""Which serial port is the board's: the one that the user names, or the one that its USB ids tell."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from serial.tools import list_ports

from tinydeploy.boards import Board
from tinydeploy.errors import TargetError, UsageError

AUTO = "auto"
"""Instead of a port: find it by the board's USB ids."""


@dataclass(frozen=True)
class Port:
    """A serial port: its name (/dev/ttyACM0), and what its USB device, if there is one, says of itself."""

    name: str
    usb_id: str = ""  # "0483:374b": vendor, product
    serial_number: str = ""
    product: str = ""

    def __str__(self) -> str:
        known = [self.product, f"serial {self.serial_number}" if self.serial_number else ""]
        details = ", ".join(word for word in known if word)
        return f"{self.name} ({details})" if details else self.name


def usb_ports() -> tuple[Port, ...]:
    """The ports of this machine that are USB devices."""
    return tuple(
        Port(port.device, f"{port.vid:04x}:{port.pid:04x}", port.serial_number or "", port.product or "")
        for port in sorted(list_ports.comports())
        if port.vid is not None and port.pid is not None
    )


def find(wanted: str, board: Board, listed: Callable[[], Iterable[Port]] = usb_ports) -> Port:
    """The port that `wanted` names: a device, a URL of pyserial's, a USB serial number, or AUTO.

    Raises TargetError if it is not there, UsageError if there are several to choose from.
    """
    here = tuple(listed())
    if wanted != AUTO:
        for port in here:
            if wanted in (port.name, port.serial_number):
                return port
        if "://" in wanted or os.path.exists(wanted):  # noqa: PTH110 - Path's raises for a long name
            return Port(wanted)
        raise TargetError(f"there is no port {wanted}", _choice(here))
    fitting = [port for port in here if port.usb_id in board.usb_ids or not board.usb_ids]
    if not fitting:
        raise TargetError(f"no port of a {board.name} is there", _choice(here))
    if len(fitting) > 1:
        raise UsageError(f"{len(fitting)} ports could be the {board.name}'s", _choice(fitting))
    return fitting[0]


def again(port: Port, listed: Callable[[], Iterable[Port]] = usb_ports) -> Port:
    """The same device's port now: a board that has reset its USB may have got another name."""
    if port.serial_number:
        for other in listed():
            if other.serial_number == port.serial_number and other.usb_id == port.usb_id:
                return other
    return port


def _choice(here: Iterable[Port]) -> str:
    names = ", ".join(map(str, here))
    return f"name one with --port: {names}" if names else "no USB serial port is there; is it plugged in?"
