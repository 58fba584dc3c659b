"""Serial ports: which is the board's, the one that the user names, or the one that its USB ids tell."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from serial.tools import list_ports

from tinydeploy.boards.board import USB_BRIDGES, Board
from tinydeploy.errors import TargetError, UsageError

AUTO = "auto"
"""Instead of a port: find it by the board's USB ids."""

_BRIDGES = {usb_id: name for name, usb_ids in USB_BRIDGES.items() for usb_id in usb_ids}


@dataclass(frozen=True)
class Port:
    """A serial port: its name (/dev/ttyACM0), and what its USB device, if there is one, says of itself.

    One that `is_due` is not there yet: it comes when the board has been flashed, maybe under another name.
    `note` says why a port was taken that is not known to be the board's.
    """

    name: str
    usb_id: str = ""  # "0483:374b": vendor, product
    serial_number: str = ""
    product: str = ""
    is_due: bool = field(default=False, compare=False)
    note: str = field(default="", compare=False)

    def __str__(self) -> str:
        known = [self.product, f"serial {self.serial_number}" if self.serial_number else "", self.note]
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

    With AUTO it is the one with the board's USB ids or, of a board whose port is not its own, the one that
    is a common bridge, with a note. A board that is flashed without a port gets one that is due.
    Raises TargetError if it is not there, UsageError if there are several to choose from.
    """
    here = tuple(listed())
    if wanted != AUTO:
        return _named(wanted, board, here)
    fitting = [port for port in here if port.usb_id in board.usb_ids or not board.usb_ids]
    if not fitting and not board.bootloader:
        # What has its own USB device is behind no bridge.
        fitting = [replace(port, note=_taken(port)) for port in here if port.usb_id in _BRIDGES]
    if len(fitting) > 1:
        raise UsageError(f"{len(fitting)} ports could be the {board.name}'s", _choice(fitting))
    if fitting:
        return fitting[0]
    if board.bootloader:
        return Port("", is_due=True)
    raise TargetError(f"no port of a {board.name} is there", _choice(here))


def _named(wanted: str, board: Board, here: tuple[Port, ...]) -> Port:
    named = [port for port in here if port.name in (wanted, os.path.realpath(wanted))]
    found = named or [port for port in here if port.serial_number == wanted]
    if len(found) > 1:
        raise UsageError(f"{len(found)} ports have the serial number {wanted}", _choice(found))
    if found:
        return found[0]
    if "://" in wanted or os.path.exists(wanted):  # noqa: PTH110 - Path's raises for a long name
        return Port(wanted)
    if board.bootloader:
        return Port(wanted, is_due=True) if os.sep in wanted else Port("", "", wanted, is_due=True)
    raise TargetError(f"there is no port {wanted}", _choice(here))


def again(
    port: Port,
    listed: Callable[[], Iterable[Port]] = usb_ports,
    usb_ids: Collection[str] = (),
    others: Collection[Port] = (),
) -> Port:
    """The port at which the same device is now: a board that resets its USB may get another name.

    It is known by its serial number, else by its name, else by any of `usb_ids` if only one port has one.
    `others` were there before, and are of other devices. Where none can be told to be it, `port` stays.
    """
    here = [other for other in listed() if other not in others]
    same = [other for other in here if port.serial_number and other.serial_number == port.serial_number]
    # Of a device with several ports, and of cheap ones with the same number, the one that is most alike.
    same.sort(key=lambda other: (other.name != port.name, other.usb_id != port.usb_id))
    named = [other for other in here if other.name == port.name and other.usb_id in (port.usb_id, *usb_ids)]
    fitting = [other for other in here if other.usb_id in usb_ids]
    found = same[:1] or named or (fitting if len(fitting) == 1 else [])
    return replace(found[0], note=port.note) if found else port


def _taken(port: Port) -> str:
    return f"taken because it is the only {_BRIDGES[port.usb_id]} bridge here"


def _choice(here: Iterable[Port]) -> str:
    names = ", ".join(str(replace(port, note="")) for port in here)
    return f"name one with --port: {names}" if names else "no USB serial port is there; is it plugged in?"
