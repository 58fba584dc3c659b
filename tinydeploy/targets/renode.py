"""Renode as a target, started without windows and driven over its standard input and output.

It logs what it cannot emulate and goes on, so its log is read along with the link, and what would be a
fault on the board is raised as one.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time
import tty
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from itertools import pairwise
from pathlib import Path

from tinydeploy.boards.board import Board, Counting
from tinydeploy.errors import DeviceFaultError, TargetDiedError, TargetError, ToolError
from tinydeploy.firmware.made_for import ByHand, Suite
from tinydeploy.link.channel import FdStream, Stream, left
from tinydeploy.targets.place import HERE, Place
from tinydeploy.targets.process import kept
from tinydeploy.targets.renode_platform import (
    DESCRIPTION,
    NAME,
    Renode,
    described,
    platform,
    platform_description,
    quoted,
    script,
)
from tinydeploy.targets.target import Opening, Program, Target, TargetKind

HOW_TO_GET = (
    "unpack a portable release of renode.io, and put its folder on PATH or name its program in RENODE"
)

_SCRIPT = "tests/renode/board.resc"
_SUITE = "tests/renode/selftest.robot"
_WORKFLOW = ".github/workflows/renode.yml"
_PLACES = (("tests/renode/", "the board as Renode has it, and how it is run there"),)
_OPTIONS = ("--disable-xwt", "--plain", "--console")
_START_TIMEOUT = 120.0  # seconds, of which an idle machine needs 6
_QUIT_TIMEOUT = 5.0
_LOADED = "tinydeploy: loaded"
_ANSWERED = "tinydeploy: answered"
_FAILED = "There was an error"
_ABORT = re.compile(r"CPU abort \[PC=(?:0x)?([0-9A-Fa-f]+)\]\W*(.*)")
_HALTED = re.compile(r"\[ERROR\] cpu\S*: (.*CPU was halted.*)")
_UNMAPPED = re.compile(
    r"\[cpu\S*: 0x([0-9A-Fa-f]+)\].* (Read|Write)\w+ (?:from|to) non existing peripheral at 0x([0-9A-Fa-f]+)"
)


def program(place: Place = HERE) -> str:
    """The path of Renode: what RENODE names, else renode on PATH. Raises ToolError if it is not there."""
    usual = NAME
    named = os.environ.get("RENODE", usual)
    found = place.program(named)
    if found is None:
        raise ToolError(
            "Renode is not installed" if named == usual else f"RENODE is {named}, which cannot be run",
            HOW_TO_GET,
        )
    return found


@cache
def version(path: str) -> str:
    """What the program calls itself: "Renode v1.16.1.27184"."""
    try:
        shown = subprocess.run(
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            check=True,
        )
        return next(line.strip() for line in shown.stdout.splitlines() if line.startswith("Renode"))
    except (OSError, subprocess.SubprocessError, StopIteration) as error:
        raise ToolError(f"{path} --version failed: {error}", HOW_TO_GET) from error


class RenodeTarget(Target):
    """One firmware in Renode, as fast as it goes. Its UART is a pseudo-terminal."""

    def __init__(self, board: Board, elf: Path, place: Place = HERE) -> None:
        self._board = board
        self._place = place
        self._renode = platform(board)
        self._elf = elf
        self._process: subprocess.Popen[bytes] | None = None
        self._stream: FdStream | None = None
        self._folder: Path | None = None
        self._said = bytearray()  # everything that Renode has printed
        self._heard = 0  # how much of it has been looked at

    @property
    def kind(self) -> str:
        """See Target."""
        return NAME

    @property
    def version(self) -> str:
        """See Target."""
        return version(program(self._place))

    def start(self) -> Stream:
        """See Target."""
        self.close()
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="tinydeploy-"))
            self._spawn()
            self._load()
            self._stream = self._open_uart()
            self._command("start")
        except BaseException:
            self.close()
            raise
        return self._stream

    def close(self) -> None:
        """See Target."""
        process, self._process = self._process, None
        if process is not None:
            with process:
                # Asked to quit, it removes its temporary files.
                with suppress(subprocess.TimeoutExpired, OSError, ValueError):
                    process.communicate(b"quit\n", _QUIT_TIMEOUT)
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # renode is a script whose child is the emulator
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _spawn(self) -> None:
        assert self._folder is not None
        self._said, self._heard = bytearray(), 0
        config = self._folder / "config"
        # What is logged is there to be read before whatever the firmware says after it.
        config.write_text("[general]\nuse-synchronous-logging = True\n")
        self._process = self._place.start(
            [program(self._place), *_OPTIONS, "--config", str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)

    def _load(self) -> None:
        """Has Renode make the machine, up to where the firmware can be started."""
        assert self._folder is not None
        description, loading = self._folder / "board.repl", self._folder / "board.resc"
        description.write_text(platform_description(self._board), encoding="utf-8")
        terminal = f'emulation CreateUartPtyTerminal "link" "{self._folder / "uart"}"'
        commands = script(self._board, description, self._elf, terminal)
        # A command that fails ends the script, and then the first word is never said.
        loading.write_bytes(os.fsencode("\n".join([*commands, f'echo "{_LOADED}"']) + "\n"))
        self._command(f"include {quoted(loading)}")
        self._command(f'echo "{_ANSWERED}"')
        deadline = time.monotonic() + _START_TIMEOUT
        lines: list[str] = []
        while _ANSWERED not in lines:
            self._wait_for_words(deadline)
            lines += self._new_lines()
        if _LOADED not in lines:
            reason = next((after for line, after in pairwise(lines) if line.startswith(_FAILED)), "")
            raise ToolError(f"Renode does not take {self._renode.platform}: {reason}", self._kept())
        self._check(lines)

    def _wait_for_words(self, deadline: float) -> None:
        assert self._process is not None and self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], left(deadline))[0]:
            raise TargetError(
                f"Renode has not loaded {self._renode.platform} in {_START_TIMEOUT:g} s", self._kept()
            )

    def _open_uart(self) -> FdStream:
        assert self._folder is not None and self._process is not None and self._process.stdout is not None
        try:
            fd = os.open(self._folder / "uart", os.O_RDWR | os.O_NOCTTY)
        except OSError as error:
            raise TargetError(f"Renode gives no UART: {error.strerror}", self._kept()) from error
        tty.setraw(fd)
        return _WatchedStream(
            fd, self._died, self._process.stdout.fileno(), lambda: self._check(self._new_lines())
        )

    def _command(self, command: str) -> None:
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(f"{command}\n".encode())
        except OSError as error:
            raise self._died() from error

    def _new_lines(self) -> list[str]:
        """The whole lines that Renode has printed since the last call."""
        assert self._process is not None and self._process.stdout is not None
        with suppress(BlockingIOError):
            data = os.read(self._process.stdout.fileno(), 1 << 16)
            if not data:
                raise self._died()
            self._said += data
        end = self._said.rfind(b"\n") + 1
        begin, self._heard = self._heard, max(end, self._heard)
        return self._said[begin:end].decode(errors="replace").splitlines()

    def _check(self, lines: list[str]) -> None:
        """Raises what these lines of the log tell of."""
        for line in lines:
            if abort := _ABORT.search(line):
                raise self._fault(f"the core stopped at {int(abort[1], 16):#x}", int(abort[1], 16), abort[2])
            if halted := _HALTED.search(line):
                raise self._fault("the core does not start", 0, halted[1])
            if stray := _UNMAPPED.search(line):
                does = "reads" if stray[2] == "Read" else "writes"
                raise self._fault(
                    f"the firmware {does} {int(stray[3], 16):#010x}, where {self._board.name} has nothing",
                    int(stray[1], 16),
                )

    def _fault(self, message: str, pc: int, detail: str = "") -> DeviceFaultError:
        detail = detail.strip(" .")
        return DeviceFaultError(f"{message}: {detail}" if detail else message, self._kept(), {"pc": pc})

    def _died(self) -> TargetDiedError:
        """The error for a Renode that has gone, or that has let go of the UART."""
        assert self._process is not None
        try:
            code = self._process.wait(_QUIT_TIMEOUT)
        except subprocess.TimeoutExpired:
            return TargetDiedError("Renode has closed the line, and goes on running", self._kept())
        how = f"was ended by signal {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return TargetDiedError(f"Renode {how}", self._kept())

    def _kept(self) -> str:
        """A hint that names a file, which stays, with all that Renode has said."""
        return f"all that Renode said is in {kept(NAME, bytes(self._said))}"


class _WatchedStream(FdStream):
    """The UART. While it is waited for, `check` is called whenever `log` has something new to read."""

    def __init__(
        self, fd: int, died: Callable[[], TargetDiedError], log: int, check: Callable[[], None]
    ) -> None:
        super().__init__(fd, fd, died)
        self._log = log
        self._check = check

    def _wait(self, reads: list[int], writes: list[int], deadline: float) -> bool:
        while True:
            readable, writable, _ = select.select([*reads, self._log], writes, [], left(deadline))
            if self._log in readable:
                # One read takes all that the pipe held, so also what was said before anything on the UART.
                self._check()
                readable.remove(self._log)
            if readable or writable or not left(deadline):
                return bool(readable or writable)


class RenodeKind(TargetKind):
    """Renode. No package holds it: unasked it is taken where it is installed and models the board alone."""

    name = NAME
    title = "Renode"
    has_suite = True

    def runs(self, board: Board) -> bool:
        """See TargetKind."""
        return self.name in board.emulation

    def is_here(self) -> bool:
        """See TargetKind."""
        try:
            return bool(program())
        except ToolError:
            return False

    def described(self, board: Board) -> Renode | None:
        """See TargetKind."""
        return described(board)

    def counting(self, board: Board) -> Counting:
        """See TargetKind."""
        return Counting(platform(board).counter or board.counter, True)

    def open(self, opening: Opening) -> RenodeTarget:
        """See TargetKind."""
        return RenodeTarget(opening.board, opening.elf, opening.place)

    def by_hand(self, board: Board, elf: str, link: str) -> ByHand:
        """See TargetKind: with its link at a port of this machine, 3456."""
        terminal = 'emulation CreateServerSocketTerminal 3456 "link" false'
        commands = [*script(board, Path(DESCRIPTION), Path(elf), terminal), "start"]
        return ByHand(
            (NAME, *_OPTIONS, _SCRIPT),
            "starts it in Renode, with its UART at port 3456 of this machine, "
            "`pio device monitor -p socket://127.0.0.1:3456`",
            {DESCRIPTION: platform_description(board), _SCRIPT: "\n".join(commands) + "\n"},
            _PLACES,
        )

    def suite(self, board: Board) -> Suite:
        """See TargetKind: a suite for renode-test, and a CI job that runs it."""
        return Suite(
            self.title,
            f"renode-test {_SUITE}",
            _WORKFLOW,
            templates={_SUITE: "selftest.robot.j2", _WORKFLOW: "renode.yml.j2"},
            files={DESCRIPTION: platform_description(board)},
            places=_PLACES,
            emulator=platform(board),
        )

    def programs(self) -> tuple[Program, ...]:
        """See TargetKind."""

        def said() -> str:
            return version(program()).removeprefix(f"{self.title} v")

        return (Program(self.name, f"boards in {self.title}; optional", HOW_TO_GET, said),)


KIND = RenodeKind()
