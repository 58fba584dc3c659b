"""Prints what the aot engine makes of each layer: the kernel, instructions, instructions per MAC, constants.

    python benchmarks/engine.py MODEL… [-b BOARD]… [--samples N] [--summary]

Instructions are counted by the emulator (they are the same on every run and every machine); nothing
here is a time. The output is Markdown: docs/performance.md holds it, with the date and the versions.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import click

from tinydeploy import tflite_model, verbs
from tinydeploy.engines import Layer
from tinydeploy.job import prepare
from tinydeploy.report import text
from tinydeploy.result import Result

BOARDS = (
    *("mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547"),
    *("mps2-an385", "qemu-cortex-m0plus", "qemu-virt-rv32"),
)


def _summary(results: list[Result]) -> None:
    click.echo("| Model | Core | Instructions | per MAC | Arena | Constants | Runtime | Identical outputs |")
    click.echo("|---|---|--:|--:|--:|--:|--:|--:|")
    for result in results:
        parity, build = result.parity, result.build
        assert parity is not None
        cells = (
            Path(result.model.path).stem,
            f"{result.board.core} ({result.board.id})",
            f"{result.instructions.median:,}",
            text.per_mac(result.instructions.median, result.model.macs),
            f"{result.arena.bytes:,}",
            f"{build.model_flash_bytes:,}",
            f"{build.runtime_flash_bytes:,}",
            f"{parity.identical:,} of {parity.outputs:,}",
        )
        click.echo(f"| {' | '.join(cells)} |")


def _layers(result: Result, layers: dict[int, Layer]) -> None:
    click.echo(f"\n### {Path(result.model.path).stem} on {result.board.id}\n")
    click.echo("| # | Op | Kernel | Instructions | MACs | per MAC | Constants |")
    click.echo("|--:|---|---|--:|--:|--:|--:|")
    for cost in result.per_op:
        layer = layers[cost.index]
        cells = (
            str(cost.index),
            cost.op,
            f"`{layer.kernel}`",
            f"{cost.instructions:,}",
            f"{cost.macs:,}" if cost.macs else "–",
            text.per_mac(cost.instructions, cost.macs) if cost.macs else "–",
            f"{layer.constant_bytes:,}",
        )
        click.echo(f"| {' | '.join(cells)} |")


@click.command()
@click.argument("models", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("-b", "--board", "boards", multiple=True, default=BOARDS, show_default=True)
@click.option("--samples", default=2, show_default=True)
@click.option("--summary", is_flag=True, help="Leave the layers out.")
def main(models: tuple[Path, ...], boards: tuple[str, ...], samples: int, summary: bool) -> None:
    """Print each model's cost per board, then per layer."""
    results: list[Result] = []
    layers: list[dict[int, Layer]] = []
    with tempfile.TemporaryDirectory() as folder:
        for model in models:
            for board in boards:
                results.append(verbs.run(model, board=board, samples=samples, out=folder)[0])
                sources = prepare(tflite_model.load(model), board=board).sources
                layers.append({layer.op: layer for layer in sources.layers})
    first = results[0]
    made = (f"{datetime.now(UTC):%Y-%m-%d}", first.build.compiler, first.target.version)
    click.echo(f"{', '.join(made)}.\n")
    _summary(results)
    if not summary:
        for result, found in zip(results, layers, strict=True):
            _layers(result, found)


if __name__ == "__main__":
    main()
