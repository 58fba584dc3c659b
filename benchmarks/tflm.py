"""Prints what TFLite Micro costs per model and core, the aot engine beside it.

    python benchmarks/tflm.py FOLDER MODEL… [-b BOARD]… [--samples N]

FOLDER is a TFLite Micro in any shape that `--tflm-library` takes; the first build for a core takes minutes.
Instructions are counted by the emulator; nothing here is a time.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from tinydeploy import verbs
from tinydeploy.errors import TinydeployError
from tinydeploy.report import facts, text
from tinydeploy.result import Result

BOARDS = ("mps2-an386", "mps2-an385", "nucleo_g071rb", "mps3-an547")


def _row(aot: Result, tflm: Result) -> list[str]:
    assert tflm.library is not None
    parity = tflm.parity
    macs = tflm.model.macs
    return [
        Path(tflm.model.path).stem,
        tflm.board.core,
        *(f"{r.instructions.median:,} ({text.per_mac(r.instructions.median, macs)})" for r in (tflm, aot)),
        text.percent(text.ratio(aot.instructions.median, tflm.instructions.median)),
        *(f"{r.arena.bytes:,}" for r in (tflm, aot)),
        *(f"{r.build.runtime_flash_bytes:,}" for r in (tflm, aot)),
        "identical" if parity and parity.identical == parity.outputs else "differs",
        facts.kernels(tflm.library),
    ]


@click.command()
@click.argument("library")
@click.argument("models", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("-b", "--board", "boards", multiple=True, default=BOARDS, show_default=True)
@click.option("--samples", default=4, show_default=True)
def main(library: str, models: tuple[Path, ...], boards: tuple[str, ...], samples: int) -> None:
    """Print what each model costs on each board, with TFLite Micro and compiled ahead of time."""
    table = Table("Model", "Core", box=None)
    for heading in (
        "tflm (per MAC)",
        "aot (per MAC)",
        "aot/tflm",
        "Arena",
        "aot",
        "Runtime",
        "aot",
        "Outputs",
    ):
        table.add_column(heading, justify="right")
    table.add_column("Kernels")
    version = ""
    with tempfile.TemporaryDirectory() as folder:
        for board in boards:
            for model in models:
                try:
                    (aot, tflm), _ = verbs.run_each(
                        model, ["aot", "tflm"], board=board, tflm_library=library, samples=samples, out=folder
                    )
                except TinydeployError as error:
                    table.add_row(model.stem, board, error.message)
                else:
                    table.add_row(*_row(aot, tflm))
                    version = f"{tflm.library.name} {tflm.library.version}" if tflm.library else ""
    console = Console(width=200)
    console.print(table)
    console.print(version)


if __name__ == "__main__":
    main()
