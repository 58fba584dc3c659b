"""QEMU as a target. Its processes never outlive this one, whichever way it ends."""

from __future__ import annotations

import os
import pty
import signal
import socket
import subprocess
import tempfile
import time
import tty
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

from tinydeploy.boards.board import Board, Counting, Device
from tinydeploy.boards.schema import COUNTER, check_table
from tinydeploy.errors import TargetDiedError, ToolError, UsageError
from tinydeploy.firmware.made_for import ByHand
from tinydeploy.host import tools
from tinydeploy.link.channel import FdStream, Stream
from tinydeploy.targets import stand_in
from tinydeploy.targets.executed import Executed
from tinydeploy.targets.place import HERE, Place
from tinydeploy.targets.process import kept
from tinydeploy.targets.qemu_counting import Recorder
from tinydeploy.targets.target import Opening, Target, TargetKind, check_link
from tinydeploy.words import LINKS as LINKS

_SEMIHOSTING = ("-semihosting-config", "enable=on,target=native")
_CONNECT_TIMEOUT = 20.0  # seconds
_END_TIMEOUT = 10.0
_FEW_LINES = 3  # of last words; more, such as a register dump, go to a file


@dataclass(frozen=True)
class Qemu:
    """How QEMU stands in for a board: the table [qemu] of its file.

    `icount_shift`: one instruction takes 2**shift ns of virtual time. Where it is None, QEMU has no way to
    count the instructions that a firmware executes.

    `counter` stands in for the board's where QEMU has no model of that one, and ticks at `counter_hz`.
    """

    system: str  # "arm" for qemu-system-arm
    machine: str
    cpu: str = ""
    icount_shift: int | None = None
    counter_hz: int = 0
    counter: Device | None = None
    note: str = ""


_SCHEMA = {
    "type": "object",
    "properties": {
        "system": {"enum": ["arm", "riscv32", "avr", "xtensa"]},
        "machine": {"type": "string", "pattern": "^[a-z0-9_-]+$"},
        "cpu": {"type": "string", "pattern": "^[a-z0-9_-]+$"},
        "icount_shift": {"type": "integer", "minimum": 0, "maximum": 10},
        "counter_hz": {"type": "integer", "minimum": 1},
        "counter": COUNTER,
        "note": {"type": "string"},
    },
    "required": ["system", "machine"],
    "dependentRequired": {"icount_shift": ["counter_hz"], "counter_hz": ["icount_shift"]},
    "additionalProperties": False,
}


def program(system: str, place: Place = HERE) -> str:
    """The path of qemu-system-<system>. Raises ToolError, naming the Debian package, if it is not there."""
    found = place.program(f"qemu-system-{system}")
    if found is None:
        raise ToolError(
            f"qemu-system-{system} is not installed", tools.install_command(f"qemu-system-{system}")
        )
    return found


@cache
def version(path: str) -> str:
    """What the program calls itself: "QEMU emulator version 7.2.22 (Debian …)"."""
    try:
        shown = subprocess.run(
            [path, "--version"], capture_output=True, text=True, errors="replace", timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolError(f"{path} --version failed: {error}") from error
    said = shown.stdout.strip().splitlines()
    if not said:
        raise ToolError(f"{path} --version says nothing", f"is {path} intact?")
    return said[0].strip()


def _described(board: Board) -> Qemu | None:
    """What the board's file says of QEMU. Raises UsageError if that cannot be."""
    table = board.emulation.get(QemuKind.name)
    if table is None:
        return None
    check_table(board.id, QemuKind.name, table, _SCHEMA)
    return Qemu(**{**table, "counter": Device(**table["counter"]) if "counter" in table else None})


def _machine(board: Board) -> Qemu:
    found = _described(board)
    if found is None:
        raise UsageError(f"QEMU has no machine for {board.name}")
    return found


def _arguments(machine: Qemu, elf: str) -> list[str]:
    """What QEMU is told but for the link."""
    arguments = ["-M", machine.machine, "-bios" if machine.system == "avr" else "-kernel", elf]
    if machine.cpu:
        arguments += ["-cpu", machine.cpu]
    if machine.system == "riscv32":
        arguments += ["-bios", "none"]
    if machine.icount_shift is not None:
        arguments += ["-icount", f"shift={machine.icount_shift},sleep=off"]
    return [*arguments, "-display", "none", "-monitor", "none", "-nodefaults"]


def _pipe(machine: Qemu) -> list[str]:
    """The link on QEMU's own standard input and output. On Xtensa, a UART would take them from it."""
    return [*_SEMIHOSTING, *(() if machine.system == "xtensa" else ("-serial", "null"))]


def _serial(machine: Qemu, backend: str) -> list[str]:
    """The UART on a character device: "stdio", or what of it and its settings. On Xtensa, by host calls."""
    kind, *settings = backend.split(",")
    uart = ["-chardev", ",".join([kind, "id=link", *settings]), "-serial", "chardev:link"]
    return [*(_SEMIHOSTING if machine.system == "xtensa" else ()), *uart]


class QemuTarget(Target):
    """One firmware in QEMU. Instructions take 2**icount_shift ns, so counts are exact and repeatable."""

    def __init__(
        self, board: Board, elf: Path, link: str = "pipe", place: Place = HERE, recording: bool = False
    ) -> None:
        self._machine = _machine(board)
        self._board = board
        self._recording = recording
        self._recorder: Recorder | None = None
        check_link(link)
        self._elf = elf
        self._link = link
        self._place = place
        self._process: subprocess.Popen[bytes] | None = None
        self._stream: FdStream | None = None
        self._words: IO[bytes] | None = None  # what QEMU writes to its standard error

    @property
    def kind(self) -> str:
        """See Target."""
        return QemuKind.name

    @property
    def version(self) -> str:
        """See Target."""
        return version(program(self._machine.system, self._place))

    def start(self) -> Stream:
        """See Target."""
        self.close()
        try:
            opened = {"pipe": self._open_pipe, "uart": self._open_pty, "uart-tcp": self._open_tcp}[self._link]
            self._stream = opened()
        except BaseException:
            self.close()
            raise
        return self._stream

    def close(self) -> None:
        """See Target."""
        if self._process is not None:
            # Whatever it is doing: nothing in it is worth a gentler end.
            self._process.kill()
            self._process.wait(_END_TIMEOUT)
            self._process = None
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        if self._words is not None:
            self._words.close()
            self._words = None
        if self._recorder is not None:
            self._recorder.close()
            self._recorder = None

    def executed(self) -> list[Executed]:
        """See Target."""
        return self._recorder.intervals() if self._recorder else super().executed()

    def _open_pipe(self) -> FdStream:
        firmware_reads, we_write = os.pipe()
        we_read, firmware_writes = os.pipe()
        try:
            self._spawn(_pipe(self._machine), stdin=firmware_reads, stdout=firmware_writes)
        except BaseException:
            os.close(we_read)
            os.close(we_write)
            raise
        finally:
            os.close(firmware_reads)
            os.close(firmware_writes)
        return FdStream(we_read, we_write, self._died)

    def _open_pty(self) -> FdStream:
        ours, theirs = pty.openpty()
        try:
            tty.setraw(theirs)
            # QEMU inherits the slave, open from the start; reading ours fails once QEMU has ended.
            self._spawn_serial(f"serial,path=/dev/fd/{theirs}", pass_fds=(theirs,))
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        return FdStream(ours, ours, self._died)

    def _open_tcp(self) -> FdStream:
        # QEMU is the client, so that nobody has to guess a free port.
        with socket.create_server(("127.0.0.1", 0), backlog=1) as server:
            port = server.getsockname()[1]
            self._spawn_serial(f"socket,host=127.0.0.1,port={port},nodelay=on")
            connection = self._accept(server)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        fd = connection.detach()
        return FdStream(fd, fd, self._died)

    def _accept(self, server: socket.socket) -> socket.socket:
        assert self._process is not None
        server.settimeout(0.1)
        deadline = time.monotonic() + _CONNECT_TIMEOUT
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(TimeoutError):
                return server.accept()[0]
        raise self._died()

    def _spawn_serial(self, backend: str, pass_fds: tuple[int, ...] = ()) -> None:
        self._spawn(
            _serial(self._machine, backend),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=pass_fds,
        )

    def _spawn(self, options: Sequence[str], stdin: int, stdout: int, pass_fds: tuple[int, ...] = ()) -> None:
        command = [
            program(self._machine.system, self._place),
            *_arguments(self._machine, str(self._elf)),
            *options,
        ]
        if self._recording:
            self._recorder = Recorder(self._board, self._elf, self.version)
            command += self._recorder.options
        self._words = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        try:
            self._process = self._place.start(
                command, stdin=stdin, stdout=stdout, stderr=self._words, pass_fds=pass_fds
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise ToolError(f"{command[0]} cannot be started: {error}") from error

    def _died(self) -> TargetDiedError:
        """The error for a line that has ended, with QEMU's last words; if they are many, in a file."""
        assert self._process is not None and self._words is not None
        try:
            code = self._process.wait(_END_TIMEOUT)
        except subprocess.TimeoutExpired:
            return TargetDiedError("QEMU runs, but its end of the line is closed")
        how = f"was ended by signal {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        self._words.seek(0)
        words = self._words.read()
        said = [line for line in words.decode(errors="replace").splitlines() if ": warning: " not in line]
        if len(said) <= _FEW_LINES:
            return TargetDiedError(": ".join([f"QEMU {how}", *said]))
        return TargetDiedError(f"QEMU {how}: {said[0]}", f"all it said is in {kept(QemuKind.name, words)}")


class QemuKind(TargetKind):
    """QEMU: with the board's own machine, or else with that of the board's core."""

    name = "qemu"
    title = "QEMU"
    unasked = True
    ways = LINKS
    options = frozenset({"link"})

    def runs(self, board: Board) -> bool:
        """See TargetKind."""
        return self.models(board) or stand_in.has_machine(board)

    def models(self, board: Board) -> bool:
        """See TargetKind."""
        return self.name in board.emulation

    def made_for(self, board: Board) -> Board:
        """See TargetKind."""
        return board if self.models(board) else stand_in.on_machine(board, self.name)

    def described(self, board: Board) -> Qemu | None:
        """See TargetKind."""
        return _described(board)

    def counting(self, board: Board) -> Counting:
        """See TargetKind; without a way to count, every count is zero."""
        machine = _machine(board)
        counter = machine.counter or board.counter
        if machine.icount_shift is None:
            return Counting(counter, True, 0)
        return Counting(counter, True, 10**9, machine.counter_hz << machine.icount_shift)

    def open(self, opening: Opening) -> QemuTarget:
        """See TargetKind."""
        return QemuTarget(opening.board, opening.elf, opening.link, opening.place, opening.recording)

    def records(self, board: Board) -> bool:
        """See TargetKind."""
        return _machine(board).icount_shift is not None

    def warnings(self, board: Board) -> tuple[str, ...]:
        """See TargetKind."""
        if _machine(board).icount_shift is not None:
            return ()
        return (f"{self.title} cannot count what an {board.core.name} executes: the zeros are no figures",)

    def by_hand(self, board: Board, elf: str, link: str) -> ByHand:
        """See TargetKind: a command line with the link, the pipe or a UART, on the terminal."""
        machine = _machine(board)
        options = _pipe(machine) if link == "pipe" else _serial(machine, "stdio")
        return ByHand(
            (f"qemu-system-{machine.system}", *_arguments(machine, elf), *options),
            "starts it in QEMU, with the link on the terminal",
        )


KIND = QemuKind()
