"""The contract of a target: what can load a firmware and run it. It knows nothing of models."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

from tinydeploy.boards.board import Board, Counting, Lines
from tinydeploy.errors import TargetError, UsageError
from tinydeploy.firmware.made_for import ByHand, Suite
from tinydeploy.link.channel import Stream
from tinydeploy.targets.executed import Executed
from tinydeploy.targets.place import HERE, Place
from tinydeploy.targets.ports import Port
from tinydeploy.words import LINKS


class Target(Protocol):
    """A firmware on something that runs it. `start` first; leaving the context, or `close`, ends it.

    `kind` (one of TARGETS) and `version` go into the result.
    """

    port: Port | None = None
    """The serial port that it is at."""

    @property
    def kind(self) -> str:
        """The name of its kind."""

    @property
    def version(self) -> str:
        """Its version, as it says it itself."""

    def start(self) -> Stream:
        """Runs the firmware from reset; the stream is its link. Raises ToolError or TargetError."""

    def reset(self) -> Stream:
        """Ends what runs, and starts again; the earlier stream is closed."""
        return self.start()

    def executed(self) -> list[Executed]:
        """What the firmware executed from one read of its counter to the next, from reset on, in order.

        Of a target that was opened with `recording`. Raises TargetError if it cannot tell.
        """
        raise TargetError(f"{self.kind} does not say what a firmware executes")

    def close(self) -> None:
        """Ends what runs; harmless when done twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True)
class Opening:
    """What a target is opened with: a firmware for a board, its link, and the place where it is to run.

    With `recording` the target is to say what is executed. For a board at a serial port, that port, what
    uploads the firmware through the port of a name ("" where none is there yet), if that is to be done, and
    what becomes of the port's control lines.
    """

    board: Board
    elf: Path
    link: str = ""
    place: Place = HERE
    port: Port | None = None
    load: Callable[[str], None] | None = None
    lines: Lines = Lines()  # noqa: RUF009 - it is frozen
    recording: bool = False


@dataclass(frozen=True)
class Program:
    """A program that a kind of target needs and no package holds: how to get it, and what says its version.

    `version` raises ToolError if it is not there.
    """

    name: str
    needed_for: str
    install: str
    version: Callable[[], str]


class TargetKind(ABC):
    """A kind of target: what it can run, what it counts, how it is started.

    To add one, write a file with its class and an instance, and name that in target_registry. An emulator
    finds what it has to know of a board in `board.emulation[name]`, a table of the board's file.
    """

    name: ClassVar[str]
    """What --target calls it."""
    title: ClassVar[str] = ""
    """What people call it; the board itself has a name of its own."""
    is_emulator: ClassVar[bool] = True
    """Whether it stands in for a board; its firmware counts instructions then, or else cycles."""
    unasked: ClassVar[bool] = False
    """Whether it is taken where nobody names a target, however it is installed."""
    ways: ClassVar[tuple[str, ...]] = ("uart",)
    """The links that it has, the default first."""
    options: ClassVar[frozenset[str]] = frozenset()
    """Of the options that mean something to some targets only, those that do to it."""

    has_suite: ClassVar[bool] = False
    """Whether a firmware can test itself there: `suite` says how."""

    @abstractmethod
    def runs(self, board: Board) -> bool:
        """Whether it can run a firmware for this board."""

    def models(self, board: Board) -> bool:
        """Whether it runs the firmware on this board, or a model of it, and not of its core alone."""
        return self.runs(board)

    def made_for(self, board: Board) -> Board:
        """The board that a firmware is built for to run here: as it is, or with what stands in for it."""
        return board

    def is_here(self) -> bool:
        """Whether what it needs is installed, as far as it may be taken unasked."""
        return self.unasked

    @abstractmethod
    def counting(self, board: Board) -> Counting:
        """How a firmware for this board, `made_for` this target, counts here."""

    def records(self, board: Board) -> bool:
        """Whether it can say what a firmware for this board executes, instruction by instruction."""
        return False

    @abstractmethod
    def open(self, opening: Opening) -> Target:
        """A target, not yet started. Raises UsageError for a board or a link that it does not have."""

    def links(self, board: Board) -> tuple[str, ...]:
        """The ways to a firmware on this board, the default first."""
        # An Arduino core has Serial, and no semihosting.
        return tuple(way for way in self.ways if way != "pipe" or not board.arduino)

    def described(self, board: Board) -> Any:
        """What the board's file says of it, as a dataclass; None if that is nothing."""
        return None

    def note(self, board: Board) -> str:
        """What there is to know about it as a stand-in for the board."""
        return " ".join(getattr(self.described(board), "note", "").split())  # a file gives it in lines

    def warnings(self, board: Board) -> tuple[str, ...]:
        """What a result that was got here has to say."""
        return ()

    def by_hand(self, board: Board, elf: str, link: str) -> ByHand | None:
        """How somebody without tinydeploy runs `elf`, a path in the project, its link on the terminal."""
        return None

    def suite(self, board: Board) -> Suite:
        """How a firmware that tests itself is run and watched, where that can be done."""
        raise UsageError(f"a firmware cannot test itself in {self.title or self.name}")

    def programs(self) -> tuple[Program, ...]:
        """What it needs besides the programs that packages hold."""
        return ()


def check_link(link: str) -> None:
    """Raises UsageError if `link` is none of LINKS."""
    if link not in LINKS:
        near = difflib.get_close_matches(link, LINKS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it is one of {', '.join(LINKS)}"
        raise UsageError(f"unknown link '{link}'", hint)
