"""The registry of targets: which there are, and the one that suits a board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tinydeploy.errors import UsageError

if TYPE_CHECKING:
    from tinydeploy.boards.board import Board
    from tinydeploy.targets.target import ByHand, Target

EMULATORS = {"qemu": "QEMU", "renode": "Renode"}
"""What each is called."""

TARGETS = (*EMULATORS, "board")
"""The emulators, and the board itself."""


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
    from tinydeploy.targets.target import ByHand

    return renode.by_hand(board, elf) if target == "renode" else ByHand(qemu.on_terminal(board, elf, link))


def open_target(board: Board, elf: Path, link: str, target: str | None = None) -> Target:
    """The emulator that runs `elf` for this board, not yet started. `link` is one of qemu.LINKS.

    Raises UsageError for an unknown link, or a board that nothing here can run.
    """
    from tinydeploy.targets.qemu import QemuTarget
    from tinydeploy.targets.renode import RenodeTarget

    target = choose_target(board, target)
    if target == "board":
        raise UsageError(
            f"nothing here can run {board.name}", "tinydeploy boards says which boards can be run"
        )
    return RenodeTarget(board, elf) if target == "renode" else QemuTarget(board, elf, link)
