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

from tinydeploy.boards.board import Board, Renode
from tinydeploy.errors import DeviceFaultError, TargetDiedError, TargetError, ToolError, UsageError
from tinydeploy.link.channel import FdStream, Stream, left
from tinydeploy.targets.process import ends_with_this_process, kept
from tinydeploy.targets.target import ByHand, Target

HOW_TO_GET = (
    "unpack a portable release of renode.io, and put its folder on PATH or name its program in RENODE"
)

DESCRIPTION = "tests/renode/board.repl"
"""Where a project has its board's description for Renode."""

_SCRIPT = "tests/renode/board.resc"
_OPTIONS = ("--disable-xwt", "--plain", "--console")
_START_TIMEOUT = 120.0  # seconds, of which an idle machine needs 6
_QUIT_TIMEOUT = 5.0
_BOOT_SECONDS = 0.02  # of virtual time, for the firmware to start
_LOADED = "tinydeploy: loaded"
_ANSWERED = "tinydeploy: answered"
_FAILED = "There was an error"
_ABORT = re.compile(r"CPU abort \[PC=(?:0x)?([0-9A-Fa-f]+)\]\W*(.*)")
_HALTED = re.compile(r"\[ERROR\] cpu\S*: (.*CPU was halted.*)")
_UNMAPPED = re.compile(
    r"\[cpu\S*: 0x([0-9A-Fa-f]+)\].* (Read|Write)\w+ (?:from|to) non existing peripheral at 0x([0-9A-Fa-f]+)"
)


def program() -> str:
    """The path of Renode: what RENODE names, else renode on PATH. Raises ToolError if it is not there."""
    named = os.environ.get("RENODE", "renode")
    found = shutil.which(named)
    if found is None:
        raise ToolError(
            "Renode is not installed" if named == "renode" else f"RENODE is {named}, which cannot be run",
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


def platform_description(board: Board) -> str:
    """The board for Renode: its platform, made to count instructions, and without what it would download.

    Virtual time goes by instructions, so a counter that ticks `mips` million times a second counts them.
    """
    renode = _renode(board)
    hz = renode.mips * 1_000_000
    # The init section replaces that of the platform, which may fetch register descriptions over the network.
    tags = "".join(
        f'\n        Tag <{region.origin:#x}, {region.origin + region.bytes - 1:#x}> "unmodelled"'
        for region in renode.unmodelled
    )
    text = f"""using "{renode.platform}"

sysbus:
    init:
        UnhandledAccessBehaviour ReportIfNotTagged{tags}

cpu:
    PerformanceInMips: {renode.mips}
"""
    if board.core.is_arm:
        text += f"\nnvic:\n    systickFrequency: {hz}\n"
    counter = board.counting("renode").counter
    if counter.driver == "dwt":
        text += f"\ndwt: Miscellaneous.DWT @ sysbus {counter.base:#x}\n    frequency: {hz}\n"
    return text + (f"\n{renode.peripherals.strip()}\n" if renode.peripherals else "")


def by_hand(board: Board, elf: str) -> ByHand:
    """How to run `elf` with its link at a port of this machine, 3456."""
    terminal = 'emulation CreateServerSocketTerminal 3456 "link" false'
    script = [*_script(board, Path(DESCRIPTION), Path(elf), terminal), "start"]
    files = {DESCRIPTION: platform_description(board), _SCRIPT: "\n".join(script) + "\n"}
    return ByHand(("renode", *_OPTIONS, _SCRIPT), files)


def _script(board: Board, description: Path, elf: Path, terminal: str) -> list[str]:
    """The commands that make the machine, with its UART at what `terminal` creates, up to its start."""
    renode = _renode(board)
    commands = [
        "logLevel 2",  # warnings and errors
        f'mach create "{board.id}"',
        f"machine LoadPlatformDescription {_quoted(description)}",
        f"sysbus LoadELF {_quoted(elf)}",
        # Not with Mode SynchronizedTimers, though that is faster: what is sent then comes from another
        # thread than the core's, and some UART models block the core for good.
        "emulation SetGlobalAdvanceImmediately true",
        terminal,
        f"connector Connect sysbus.{renode.uart} link",
        # Some models warn whenever the firmware asks for a byte and there is none, which is all the time.
        f"logLevel 3 sysbus.{renode.uart}",
        # The UART drops what comes before the firmware has turned it on.
        f'emulation RunFor "{_BOOT_SECONDS}"',
    ]
    if board.core.is_arm:
        commands.insert(4, f"cpu VectorTableOffset {board.flash.origin:#x}")
    return commands


class RenodeTarget(Target):
    """One firmware in Renode, as fast as it goes. Its UART is a pseudo-terminal."""

    kind = "renode"

    def __init__(self, board: Board, elf: Path) -> None:
        self._board = board
        self._renode = _renode(board)
        self._elf = elf
        self._process: subprocess.Popen[bytes] | None = None
        self._stream: FdStream | None = None
        self._folder: Path | None = None
        self._said = bytearray()  # everything that Renode has printed
        self._heard = 0  # how much of it has been looked at

    @property
    def version(self) -> str:
        """See Target."""
        return version(program())

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
        self._process = subprocess.Popen(
            [program(), *_OPTIONS, "--config", str(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            process_group=0,  # all of it can be ended at once, and the terminal's Ctrl-C is for us
            preexec_fn=ends_with_this_process(),
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)

    def _load(self) -> None:
        """Has Renode make the machine, up to where the firmware can be started."""
        assert self._folder is not None
        description, script = self._folder / "board.repl", self._folder / "board.resc"
        description.write_text(platform_description(self._board), encoding="utf-8")
        terminal = f'emulation CreateUartPtyTerminal "link" "{self._folder / "uart"}"'
        commands = _script(self._board, description, self._elf, terminal)
        # A command that fails ends the script, and then the first word is never said.
        script.write_bytes(os.fsencode("\n".join([*commands, f'echo "{_LOADED}"']) + "\n"))
        self._command(f"include {_quoted(script)}")
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
        return f"all that Renode said is in {kept('renode', bytes(self._said))}"


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


def _renode(board: Board) -> Renode:
    if board.renode is None:
        raise UsageError(f"Renode has no platform for {board.name}")
    return board.renode


def _quoted(path: Path) -> str:
    """A path as Renode's monitor reads it."""
    return "@" + str(path).replace(" ", "\\ ")
