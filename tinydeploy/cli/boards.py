"""tinydeploy boards."""

from __future__ import annotations

import click
from rich.table import Table

from tinydeploy import boards as board_files
from tinydeploy import verbs
from tinydeploy.boards import VERIFIED, Board, Memory
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
    table = Table(box=None, header_style="dim", padding=(0, 1, 0, 0))
    for heading in ("Board", "Core"):
        table.add_column(heading, no_wrap=True)
    for heading in ("MHz", "Flash KiB", "RAM KiB"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("Runs", "Verified"):
        table.add_column(heading, no_wrap=True)
    for board in boards:
        table.add_row(
            board.id,
            board.core.name,
            f"{board.clock_hz / 1e6:g}",
            f"{board.flash.bytes // 1024:,}",
            f"{board.ram.bytes // 1024:,}",
            _emulators(board),
            board.verified,
        )
    return table


def _emulators(board: Board) -> str:
    names = {"qemu": "QEMU", "renode": "Renode"}
    return ", ".join(names[name] for name in board.emulators) or "–"


def _card(board: Board) -> Table:
    features = [name for name in ("fpu", "dsp", "mve") if getattr(board.core, name)]
    table = Table(box=None, show_header=False)
    table.add_column(style="dim")
    table.add_column()
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
        "In QEMU": " ".join(board.note("qemu").split()),
        "In Renode": " ".join(board.note("renode").split()),
    }
    for key, value in rows.items():
        if value:
            table.add_row(key, value)
    return table


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
