"""Targets: what can load a firmware and run it. They know nothing of models."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from tinydeploy.boards import Board
from tinydeploy.errors import UsageError
from tinydeploy.link.channel import Stream

TARGETS = ("qemu", "renode", "board")
"""The emulators, and the board itself."""


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


def choose_target(board: Board, name: str | None) -> str:
    """The target `name`, or QEMU if it can stand in for the board, or the board itself.

    Raises UsageError for an emulator that cannot stand in for the board.
    """
    if name is None:
        return "qemu" if board.is_emulated else "board"
    if name not in (*board.emulators, "board"):
        known = " or ".join(board.emulators)
        raise UsageError(f"{board.name} has no target '{name}'", known and f"it runs in {known}")
    return name


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
