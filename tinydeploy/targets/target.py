"""Targets: what can load a firmware and run it. They know nothing of models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from tinydeploy.boards.lookup import Board
from tinydeploy.errors import UsageError
from tinydeploy.link.channel import Stream

EMULATORS = {"qemu": "QEMU", "renode": "Renode"}
"""What each is called."""

TARGETS = (*EMULATORS, "board")
"""The emulators, and the board itself."""


@dataclass(frozen=True)
class ByHand:
    """How somebody without tinydeploy runs a firmware with its link on the terminal.

    That is a command line, and the files that it needs, by their paths in the project.
    """

    command: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)


class Target(Protocol):
    """A firmware on something that runs it. `start` first; leaving the context, or `close`, ends it.

    `kind` (one of TARGETS) and `version` go into the result.
    """

    @property
    def kind(self) -> str:
        """The kind of target."""

    @property
    def version(self) -> str:
        """Its version, as it says it itself."""

    def start(self) -> Stream:
        """Runs the firmware from reset; the stream is its link. Raises ToolError or TargetError."""

    def reset(self) -> Stream:
        """Ends what runs, and starts again; the earlier stream is closed."""
        return self.start()

    def close(self) -> None:
        """Ends what runs; harmless when done twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def choose_target(board: Board, name: str | None, *, for_board: bool = False) -> str:
    """The target `name`, or QEMU if it can stand in for the board, or the board itself.

    With `for_board` an unnamed target is the board wherever there is such a board. Raises UsageError for an
    emulator that cannot stand in for the board, and for a board that there is only in an emulator.
    """
    if name is None:
        return "qemu" if board.is_emulated and (board.only_emulated or not for_board) else "board"
    if name not in (*board.emulators, *(() if board.only_emulated else ("board",))):
        known = " or ".join(EMULATORS[emulator] for emulator in board.emulators)
        raise UsageError(f"{board.name} has no target '{name}'", known and f"it runs in {known}")
    return name


def by_hand(board: Board, elf: str, link: str, target: str) -> ByHand:
    """How to run `elf` on an emulator, from its own code. `link` is one of qemu.LINKS, or its first word."""
    from tinydeploy.targets import qemu, renode

    return renode.by_hand(board, elf) if target == "renode" else ByHand(qemu.on_terminal(board, elf, link))


def open_target(board: Board, elf: Path, link: str, target: str | None = None) -> Target:
    """The emulator that runs `elf` for this board, not yet started. `link` is one of qemu.LINKS.

    Raises UsageError for an unknown link, or a board that nothing here can run.
    """
    # They derive from the protocol above.
    from tinydeploy.targets.qemu import QemuTarget
    from tinydeploy.targets.renode import RenodeTarget

    target = choose_target(board, target)
    if target == "board":
        raise UsageError(
            f"nothing here can run {board.name}", "tinydeploy boards says which boards can be run"
        )
    return RenodeTarget(board, elf) if target == "renode" else QemuTarget(board, elf, link)
