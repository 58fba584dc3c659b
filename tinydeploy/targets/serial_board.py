"""A board behind a serial port as a target."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from tinydeploy.boards.board import Board, Counting, Lines
from tinydeploy.errors import TargetDiedError, TargetError, UsageError
from tinydeploy.link.channel import Stream
from tinydeploy.targets import ports
from tinydeploy.targets.place import HERE, Place
from tinydeploy.targets.ports import Port
from tinydeploy.targets.target import Opening, Target, TargetKind

REAPPEAR = 10.0  # seconds that a port may be away after an upload
SETTLE = 3.0  # seconds after opening in which the board may yet reset, and its port go away once more
_RETRY = 0.1
_ASSERTED = Lines()


class SerialBoard(Target):
    """One firmware on a board. `load` puts it there through the named port, and starts it.

    Where no port is there before the upload, `load` gets an empty name. Without a `load` the board is taken
    with the firmware that it has. `usb_ids` are those that its port may have, and `lines` what becomes
    of the port's control lines. Opening the port may reset the board, and a board that is its own USB device
    may vanish and come back under another name. Both are survived here; what the board says
    meanwhile, the link ignores.
    """

    def __init__(
        self,
        port: Port,
        load: Callable[[str], None] | None,
        usb_ids: Collection[str] = (),
        lines: Lines = _ASSERTED,
        place: Place = HERE,
    ) -> None:
        self.port: Port = port
        self._place = place
        self._load = load
        self._usb_ids = usb_ids
        self._lines = lines
        self._others: Collection[Port] = ()  # that were there before
        self._stream: Stream | None = None

    @property
    def kind(self) -> str:
        """See Target."""
        return BoardKind.name

    @property
    def version(self) -> str:
        """The port, and what its USB device says of itself."""
        return str(self.port)

    def start(self) -> Stream:
        """See Target. Raises before anything is uploaded if the port is there and cannot be opened."""
        self.close()
        if self._load is not None:
            self._others = [other for other in self._place.ports() if other != self.port]
            if not self.port.is_due:
                self._serial().close()
            self._load("" if self.port.is_due else self.port.name)
        self._stream = _SettlingStream(self._open)
        return self._stream

    def close(self) -> None:
        """See Target. The firmware goes on waiting for a host."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _serial(self) -> Stream:
        return self._place.serial(self.port, self._lines)

    def _open(self, deadline: float) -> Stream:
        """The port, opened as soon as it can be. Raises what is in the way if it cannot by the deadline."""
        while True:
            self.port = ports.again(self.port, self._place.ports, self._usb_ids, self._others)
            try:
                if not self.port.name:
                    raise TargetError(
                        f"no port of the board has come in {REAPPEAR:g} s", "name it with --port"
                    )
                return self._serial()
            except TargetError:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(_RETRY)


class _SettlingStream:
    """A stream that is opened once more if it goes away while the board settles."""

    def __init__(self, opened: Callable[[float], Stream]) -> None:
        self._opened = opened
        self._stream = opened(time.monotonic() + REAPPEAR)
        self._settled_at = time.monotonic() + SETTLE

    def read(self, deadline: float) -> bytes:
        """See Stream."""
        try:
            return self._stream.read(deadline)
        except TargetDiedError as error:
            self._open_again(error)
            return b""

    def write(self, data: bytes, deadline: float) -> None:
        """See Stream."""
        try:
            self._stream.write(data, deadline)
        except TargetDiedError as error:
            self._open_again(error)

    def close(self) -> None:
        """See Stream."""
        self._stream.close()

    def _open_again(self, died: TargetDiedError) -> None:
        if time.monotonic() >= self._settled_at:
            raise died
        self._stream.close()
        try:
            self._stream = self._opened(self._settled_at)
        except TargetError:
            raise died from None


class BoardKind(TargetKind):
    """The board itself, at a serial port."""

    name = "board"
    is_emulator = False
    unasked = True
    options = frozenset({"port", "upload_command", "no_upload", "dtr", "rts"})

    def runs(self, board: Board) -> bool:
        """See TargetKind."""
        return not board.only_emulated

    def counting(self, board: Board) -> Counting:
        """See TargetKind."""
        return Counting(board.counter, False)

    def open(self, opening: Opening) -> SerialBoard:
        """See TargetKind. Raises UsageError without a port."""
        if opening.port is None:
            raise UsageError(
                f"nothing here can run {opening.board.name}",
                "tinydeploy boards says which boards can be run",
            )
        return SerialBoard(opening.port, opening.load, opening.board.usb_ids, opening.lines, opening.place)


KIND = BoardKind()
