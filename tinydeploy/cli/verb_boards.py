"""tinydeploy boards."""

from __future__ import annotations

from typing import Any

import click

from tinydeploy.boards import lookup as board_files
from tinydeploy.boards.board import VERIFIED, Board, Memory
from tinydeploy.cli import options
from tinydeploy.cli.shell import plain, show, show_json
from tinydeploy.report import text
from tinydeploy.report.layout import Column, Columns, Facts
from tinydeploy.targets.target_registry import KINDS, emulators


@options.verb("boards")
@click.argument("words", nargs=-1, shell_complete=options.board_ids)
def command(words: tuple[str, ...], as_json: bool) -> None:
    """The boards, with core, clock, flash, RAM, and how they can run here.

    WORDS choose boards by what they are called: "stm32 m7" are those with both words in their names, core or
    chip. All that is known of one is shown for its id.
    """
    named = board_files.find(words[0]) if len(words) == 1 else None
    if named is not None:
        show_json(_told(named)) if as_json else show(_card(named))
        return
    found = board_files.select(words)
    show_json([_told(board) for board in found]) if as_json else show(_table(found))


def _table(boards: tuple[Board, ...]) -> Columns:
    rows = [
        (
            board.id,
            board.core.name,
            f"{board.clock_hz / 1e6:g}",
            f"{board.flash.bytes // 1024:,}",
            f"{board.ram.bytes // 1024:,}",
            _emulators(board),
            board.verified,
        )
        for board in boards
    ]
    columns = [Column("Board"), Column("Core")]
    columns += [Column(name, right=True) for name in ("MHz", "Flash KiB", "RAM KiB")]
    return Columns([*columns, Column("Runs"), Column("Verified")], rows, spare=(2, 6))


def _emulators(board: Board) -> str:
    return ", ".join(kind.title for kind in emulators(board)) or "–"


def _told(board: Board) -> dict[str, Any]:
    """The board for programs: what each emulator knows of it stands by the emulator's name."""
    told: dict[str, Any] = plain(board)
    del told["emulation"]
    return told | {kind.name: plain(kind.described(board)) for kind in KINDS.values() if kind.is_emulator}


def _card(board: Board) -> Facts:
    features = board.core.features
    rows = {
        "Board": f"{board.id}: {board.name}",
        "Also called": ", ".join(board.aliases),
        "Kind": f"{board.kind}: {_KINDS[board.kind]}",
        "PlatformIO id": board.platformio,
        "Platform": board.arduino.platform if board.arduino else "",
        "Core": " ".join([board.core.name, *(f"+{name.upper()}" for name in features)]),
        "Clock": text.clock(board.clock_hz),
        "Flash": _memory(board, board.flash),
        "RAM": _memory(board, board.ram),
        "Stack": text.kib(board.stack_bytes),
        "UART": _uart(board),
        "Compiler flags": " ".join(board.core.flags),
        "Flashed by": ", ".join(uploader.program for uploader in board.uploaders),
        "Runs here on": _emulators(board),
        "Verified": f"{board.verified}: {VERIFIED[board.verified]}",
        "Notes": " ".join(board.notes.split()),
        **{f"In {kind.title}": " ".join(kind.note(board).split()) for kind in emulators(board)},
    }
    return Facts((key, value) for key, value in rows.items() if value)


_KINDS = {
    "bare": "start-up, clocks and drivers are tinydeploy's own",
    "arduino": "on the board's Arduino core",
}


def _memory(board: Board, memory: Memory) -> str:
    return text.kib(memory.bytes) + (f" at {memory.origin:#010x}" if board.kind == "bare" else "")


def _uart(board: Board) -> str:
    if board.kind == "arduino":
        return "Serial"
    uart = board.uart
    return f"{uart.driver} at {uart.base:#010x}" + (f", TX {uart.tx}, RX {uart.rx}" if uart.tx else "")
