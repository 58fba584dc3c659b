"""Prints what each model costs on each board: instructions, instructions per MAC, arena, flash, parity.

    python benchmarks/models.py MODEL… [-b BOARD]… [--samples N]

Instructions are counted by the emulator (they are the same on every run and every machine); nothing
here is a time.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from tinydeploy import verbs
from tinydeploy.errors import FitError
from tinydeploy.report import text
from tinydeploy.result import Result

BOARDS = ("mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547", "mps2-an385", "qemu-virt-rv32")


def _row(result: Result) -> list[str]:
    parity, arena = result.parity, result.arena
    assert parity is not None
    return [
        Path(result.model.path).stem,
        result.board.id,
        f"{result.instructions.median:,}",
        text.per_mac(result.instructions.median, result.model.macs),
        f"{arena.bytes:,}",
        f"{arena.lower_bound:,}" if arena.lower_bound else "–",
        f"{result.stack_bytes:,}",
        f"{result.build.flash_bytes:,}",
        f"{result.build.runtime_flash_bytes:,}",
        f"{text.percent(text.ratio(parity.identical, parity.outputs))} of {parity.outputs:,}",
    ]


@click.command()
@click.argument("models", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("-b", "--board", "boards", multiple=True, default=BOARDS, show_default=True)
@click.option("--samples", default=16, show_default=True)
def main(models: tuple[Path, ...], boards: tuple[str, ...], samples: int) -> None:
    """Print what each model costs on each board."""
    table = Table("Model", "Board", box=None)
    for heading in ("Instructions", "per MAC", "Arena", "Bound", "Stack", "Flash", "Runtime", "Identical"):
        table.add_column(heading, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        for model in models:
            for board in boards:
                try:
                    result, _ = verbs.run(model, board=board, samples=samples, out=folder)
                except FitError as error:
                    table.add_row(model.stem, board, f"does not fit: {error.message}")
                else:
                    table.add_row(*_row(result))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
