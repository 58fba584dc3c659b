"""tinydeploy boards."""

from __future__ import annotations

import click
from rich.table import Table

from tinydeploy import boards as board_files
from tinydeploy import verbs
from tinydeploy.boards import Board
from tinydeploy.cli import options
from tinydeploy.cli.shell import show, show_json
from tinydeploy.report import text


@click.command("boards")
@click.argument("board_id", metavar="[ID]", required=False)
@options.as_json
def command(board_id: str | None, as_json: bool) -> None:
    """The boards, with core, clock, flash, RAM, and how they can run here."""
    if board_id:
        board = board_files.board(board_id)
        show_json(board) if as_json else show(_card(board))
    else:
        show_json(verbs.boards()) if as_json else show(_table(verbs.boards()))


def _table(boards: tuple[Board, ...]) -> Table:
    table = Table(box=None, header_style="dim")
    for heading in ("Board", "Core"):
        table.add_column(heading, no_wrap=True)
    for heading in ("Clock", "Flash", "RAM"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("Runs here on", no_wrap=True)
    for board in boards:
        table.add_row(
            board.id,
            board.core.name,
            text.clock(board.clock_hz),
            text.kib(board.flash.bytes),
            text.kib(board.ram.bytes),
            "QEMU" if board.qemu else "–",
        )
    return table


def _card(board: Board) -> Table:
    features = [name for name in ("fpu", "dsp", "mve") if getattr(board.core, name)]
    table = Table(box=None, show_header=False)
    table.add_column(style="dim")
    table.add_column()
    rows = {
        "Board": f"{board.id}: {board.name}",
        "PlatformIO id": board.platformio,
        "Core": " ".join([board.core.name, *(f"+{name.upper()}" for name in features)]),
        "Clock": text.clock(board.clock_hz),
        "Flash": f"{text.kib(board.flash.bytes)} at {board.flash.origin:#010x}",
        "RAM": f"{text.kib(board.ram.bytes)} at {board.ram.origin:#010x}",
        "Stack": text.kib(board.stack_bytes),
        "UART": f"{board.uart.driver} at {board.uart.base:#010x}",
        "Compiler flags": " ".join(board.core.flags),
        "Runs here on": f"QEMU {board.qemu.machine}" if board.qemu else "–",
        "Notes": " ".join(board.notes.split()),
        "Emulation": " ".join(board.qemu.note.split()) if board.qemu else "",
    }
    for key, value in rows.items():
        if value:
            table.add_row(key, value)
    return table
