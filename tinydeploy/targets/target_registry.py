"""The registry of targets: which there are, and the one that suits a board.

It is the one place, besides a target's own file, in which the target's name stands.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinydeploy.errors import UsageError
from tinydeploy.host.registry import Registry

if TYPE_CHECKING:
    from tinydeploy.boards.board import Board
    from tinydeploy.targets.target import Target, TargetKind

KINDS: Registry[TargetKind] = Registry(
    {
        "qemu": "tinydeploy.targets.qemu:KIND",
        "renode": "tinydeploy.targets.renode:KIND",
        "board": "tinydeploy.targets.serial_board:KIND",
    }
)
"""In the order in which they are preferred."""

TARGETS = tuple(KINDS)


def emulators(board: Board) -> tuple[TargetKind, ...]:
    """The emulators that have a model of the board."""
    return tuple(kind for kind in KINDS.values() if kind.is_emulator and kind.models(board))


def emulator_for(board: Board) -> TargetKind | None:
    """The emulator that says what is executed, on a model of the board or on a machine of its core."""
    able = [kind for kind in KINDS.values() if kind.is_emulator and kind.runs(board)]
    return next((kind for kind in able if kind.records(kind.made_for(board))), None)


def target_at_port() -> TargetKind:
    """The target that is at a serial port."""
    return next(kind for kind in KINDS.values() if "port" in kind.options)


def self_testing() -> TargetKind:
    """The target in which a firmware can test itself."""
    return next(kind for kind in KINDS.values() if kind.has_suite)


def choose_target(
    board: Board, name: str | None, *, for_board: bool = False, stand_ins: bool = True
) -> TargetKind:
    """The target `name`, or what runs the board's firmware unasked.

    That is the first emulator that models the board and is here, else one that has a stand-in of its core,
    else the board itself. With `for_board` it is the board wherever there is such a board; without
    `stand_ins`, what runs the board's own firmware. Raises UsageError for a target that cannot run it.
    """
    able = [kind for kind in KINDS.values() if kind.runs(board)]
    if name is None:
        here = [kind for kind in able if kind.is_here() and (stand_ins or kind.models(board))] or able
        return min(here, key=lambda kind: kind.is_emulator if for_board else _rank(kind, board))
    named = [kind for kind in able if kind.name == name]
    if not named:
        known = " or ".join(kind.title for kind in emulators(board))
        raise UsageError(f"{board.name} has no target '{name}'", known and f"it runs in {known}")
    return named[0]


def _rank(kind: TargetKind, board: Board) -> int:
    """Models of the board come first, stand-ins of its core second, the board itself last."""
    if not kind.is_emulator:
        return 2
    return 0 if kind.models(board) else 1


def means_nothing(kind: TargetKind) -> frozenset[str]:
    """The options that other targets take, and this one does not."""
    return frozenset().union(*(other.options for other in KINDS.values())) - kind.options


def open_target(
    board: Board, elf: Path, link: str, target: str | TargetKind | None = None, **how: Any
) -> Target:
    """The target that runs `elf` for this board, not yet started. `link` is one of LINKS.

    `how` is the rest of an Opening: the place, and of a board its port, how it is loaded, its lines.
    Raises UsageError for an unknown link, or a board that nothing here can run.
    """
    from tinydeploy.targets.target import Opening

    kind = choose_target(board, target) if target is None or isinstance(target, str) else target
    return kind.open(Opening(board, elf, link, **how))
