"""tinydeploy build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from tinydeploy import boards, verbs
from tinydeploy.boards import DEFAULT_BOARD, Board
from tinydeploy.build import Firmware
from tinydeploy.cli import options
from tinydeploy.cli.shell import progress, show, show_json
from tinydeploy.report import text


@click.command("build")
@options.model
@options.made
@options.as_json
def command(model: Path, as_json: bool, **flags: Any) -> None:
    """Build the firmware; show flash and RAM against the board's budget."""
    path, file = options.configured(model)
    arguments = options.merged(file, **flags)
    with progress() as update:
        firmware = verbs.build(path, progress=update, **arguments)
    if as_json:
        show_json(firmware)
    else:
        show(_table(firmware, boards.board(arguments.get("board", DEFAULT_BOARD))))


def _table(firmware: Firmware, board: Board) -> Table:
    sizes = firmware.sizes
    table = Table(box=None, show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column()
    table.add_row("Flash", text.kib(sizes.flash_bytes), _of(sizes.flash_bytes, board.flash.bytes))
    table.add_row("  model", text.kib(sizes.model_flash_bytes), "")
    table.add_row("  runtime", text.kib(sizes.runtime_flash_bytes), "")
    table.add_row("RAM", text.kib(sizes.ram_bytes), _of(sizes.ram_bytes, board.ram.bytes))
    for symbol in sizes.largest_symbols:
        table.add_row(f"  {symbol.region}", text.kib(symbol.bytes), text.shorten(symbol.name, 60))
    table.add_row("Firmware", "", f"{firmware.elf}" + (" (from the cache)" if firmware.cached else ""))
    return table


def _of(used: int, budget: int) -> str:
    return f"{text.percent(text.ratio(used, budget))} of {text.kib(budget)}"
