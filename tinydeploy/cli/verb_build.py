"""tinydeploy build."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from tinydeploy.cli import options
from tinydeploy.cli.shell import check_failed, progress, show, show_json
from tinydeploy.report import console, text
from tinydeploy.report.layout import Column, Columns, Facts

if TYPE_CHECKING:
    from tinydeploy.boards.board import Board
    from tinydeploy.firmware.build import Firmware


@options.verb("build")
@options.model
def command(model: Path, as_json: bool, **flags: Any) -> None:
    """Build the firmware; show flash and RAM against the board's budget."""
    with progress("reading the model") as update:
        from tinydeploy import verbs, words
        from tinydeploy.boards import lookup
        from tinydeploy.results import gates

        arguments = options.given(flags)
        firmware = verbs.build(model, progress=update, **arguments)
        board = arguments.get("board") or verbs.usual(model, "board") or words.DEFAULT_BOARD
    if as_json:
        show_json(firmware)
    else:
        show(_table(firmware, lookup.board(board)))
    check_failed([gates.phrase(gate) for gate in gates.missed(firmware.gates)])


def _table(firmware: Firmware, board: Board) -> RenderableType:
    sizes = firmware.sizes
    rows = [
        ("Flash", text.kib(sizes.flash_bytes), _of(sizes.flash_bytes, board.flash.bytes)),
        ("  model", text.kib(sizes.model_flash_bytes), ""),
        ("  runtime", text.kib(sizes.runtime_flash_bytes), ""),
        ("RAM", text.kib(sizes.ram_bytes), _of(sizes.ram_bytes, board.ram.bytes)),
    ]
    rows += [
        (f"  {symbol.region}", text.kib(symbol.bytes), text.printable(symbol.name))
        for symbol in sizes.largest_symbols
    ]
    made = (str(firmware.elf), "(from the cache)" if firmware.cached else "")
    table = Columns((Column(), Column(right=True), Column()), rows)
    budget: list[RenderableType] = [console.budget(firmware.gates), Text()] if firmware.gates else []
    return Group(table, *budget, Facts([("Firmware", made)]))


def _of(used: int, budget: int) -> str:
    return f"{text.percent(text.ratio(used, budget))} of {text.kib(budget)}"
