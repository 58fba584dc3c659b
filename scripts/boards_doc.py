"""Writes docs/boards.md from the boards' files: python scripts/boards_doc.py > docs/boards.md"""

from __future__ import annotations

from tinydeploy.boards.board import VERIFIED, Board
from tinydeploy.boards.lookup import all_boards
from tinydeploy.report import text
from tinydeploy.targets.target_registry import emulators

_HEAD = """# Boards

Written by `scripts/boards_doc.py` from the files in [boards/](../boards), one per board. `-b` takes a board's id, what
PlatformIO calls it, or one of its other names; `tinydeploy boards ID` shows all that is known of one.

There are two kinds of support. **bare**: start-up, clock tree, UART and cycle counter are tinydeploy's own, and no
vendor's code is involved; the same sources run in the emulators. **arduino**: the firmware builds on the board's
Arduino core, by PlatformIO's platform for it in the pinned version. Any other board whose platform is installed can be
named as `-b pio:ID`: sizes and core then come from PlatformIO's own data. What is emulated **only** has firmware for the
emulator, and none for hardware of its name.

What has been verified, and how:

"""
_HARDWARE = """
No board has been run on hardware yet. Clock trees, pins and flash wait states follow the reference manuals, which the
sources in `firmware_templates/runtime/port` name, and an emulator does not prove them.

| Board | Name | Kind | Core | Clock | Flash | RAM | Emulator | Verified |
|---|---|---|---|---|---|---|---|---|
"""


def _emulators(board: Board) -> str:
    names = []
    for kind in emulators(board):
        machine = getattr(kind.described(board), "machine", "")
        names.append(f"{kind.title} `{machine}`" if machine else kind.title)
    return (", ".join(names) or "–") + " only" * board.only_emulated


def page() -> str:
    """The whole of docs/boards.md."""
    verified = "".join(f"- **{how}**: {what}.\n" for how, what in VERIFIED.items())
    notes = "".join(
        f"- `{board.id}`: {' '.join(board.notes.split())}\n" for board in all_boards() if board.notes
    )
    return _HEAD + verified + _HARDWARE + "".join(map(_row, all_boards())) + "\n## Notes\n\n" + notes


def _row(board: Board) -> str:
    cells = (
        f"`{board.id}`" + "".join(f"<br>`{alias}`" for alias in board.aliases),
        board.name,
        board.kind,
        board.core.name,
        text.clock(board.clock_hz),
        text.kib(board.flash.bytes),
        text.kib(board.ram.bytes),
        _emulators(board),
        board.verified,
    )
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    print(page(), end="")
