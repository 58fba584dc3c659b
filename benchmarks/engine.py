"""Prints what models cost with the aot engine: per model and core, then per layer; beside it TFLite Micro.

    python benchmarks/engine.py MODEL… [-b BOARD]… [--tflm FOLDER] [--optimize GOAL] [--by-kernel | --summary]

With --tflm (or TINYDEPLOY_TFLM), a TFLite Micro in any shape that `tinydeploy run --tflm-library` takes, each
model is run with it too, and the ratios are aot's figures by its. Its first build for a core takes minutes.

Instructions are counted by the emulator (they are the same on every run and every machine). The one time is
that of the search for TFLite Micro's arena, on this machine and without the builds. Flash is what an engine
needs, code and constants: what the firmware has more than one whose engine does nothing. The output is
Markdown: docs/performance.md holds it, with the date and the versions.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import groupby
from pathlib import Path

import click

from tinydeploy import verbs
from tinydeploy.boards import lookup
from tinydeploy.engines.aot.pipeline import GOALS, AotEngine
from tinydeploy.errors import TinydeployError
from tinydeploy.evaluate.deployment import prepare
from tinydeploy.firmware import build, project
from tinydeploy.model.graph import Graph
from tinydeploy.model.readers import tflite_model
from tinydeploy.report import text
from tinydeploy.results.measured import OpCost
from tinydeploy.results.result import Result
from tinydeploy.results.setting import Layer
from tinydeploy.targets.target_registry import choose_target

BOARDS = (
    *("mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547"),
    *("mps2-an385", "qemu-cortex-m0plus", "qemu-virt-rv32"),
)


@dataclass(frozen=True)
class Run:
    """A model on a board: with the aot engine, whose `layers` are by op, and perhaps with TFLite Micro."""

    aot: Result
    layers: dict[int, Layer]
    tflm: Result | None

    @property
    def name(self) -> str:
        """The model's."""
        return Path(self.aot.model.path).stem


@cache
def _shell_bytes(board_id: str) -> int:
    """The flash of a firmware whose engine does nothing."""
    board = lookup.board(board_id)
    nothing = Graph("nothing.tflite", b"", "", (), (), (), ())
    sources = AotEngine().generate(nothing, board)
    made = project.generate(nothing, board, sources, "pipe", 16, target=choose_target(board, None))
    return build.build(made, board).sizes.flash_bytes


def _run(model: Path, board: str, tflm: str | None, optimize: str, samples: int, folder: str) -> Run:
    engines = ["aot", "tflm"] if tflm else ["aot"]
    graph = tflite_model.load(model)
    results, _ = verbs.run_each(
        model, engines, board=board, tflm_library=tflm, optimize=optimize, samples=samples, out=folder
    )
    sources = prepare(graph, board=board, optimize=optimize).sources
    return Run(results[0], {layer.op: layer for layer in sources.layers}, results[1] if tflm else None)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table in Markdown; a heading that ends with ">" is over figures."""
    click.echo(f"| {' | '.join(heading.removesuffix('>') for heading in headings)} |")
    click.echo("|" + "|".join("--:" if heading.endswith(">") else "---" for heading in headings) + "|")
    for row in rows:
        click.echo(f"| {' | '.join(row)} |")


def _with_ratio(ours: int, theirs: int | None) -> str:
    """A figure, and what part it is of TFLite Micro's."""
    return f"{ours:,}" if theirs is None else f"{ours:,} ({text.ratio(ours, theirs):.2f})"


def _totals(runs: Sequence[Run]) -> None:
    headings = [
        *("Model", "Core", "Instructions>", "per MAC>", "Arena>", "at least>", "Flash>", "constants>"),
        *("Stack>", "Identical outputs>"),
    ]
    rows = []
    for run in runs:
        ours, theirs, shell = run.aot, run.tflm, _shell_bytes(run.aot.board.id)
        parity = ours.parity
        assert parity is not None
        assert ours.arena.lower_bound is not None
        rows.append(
            (
                run.name,
                f"{ours.board.core} ({ours.board.id})",
                _with_ratio(int(ours.counts.median), int(theirs.counts.median) if theirs else None),
                text.per_mac(ours.counts.median, ours.model.macs),
                _with_ratio(ours.arena.bytes, theirs.arena.bytes if theirs else None),
                f"{ours.arena.lower_bound:,}",
                _with_ratio(
                    ours.build.flash_bytes - shell, theirs.build.flash_bytes - shell if theirs else None
                ),
                f"{ours.build.model_flash_bytes:,}",
                _with_ratio(ours.stack_bytes, theirs.stack_bytes if theirs else None),
                f"{parity.identical:,} of {parity.outputs:,}",
            )
        )
    _table(headings, rows)
    if any(run.tflm for run in runs):
        click.echo("\nIn brackets: by TFLite Micro's figure. These are its own:\n")
        headings = ["Model", "Core", "Instructions>", "per MAC>", "Arena>", "Search>", "Flash>", "Stack>"]
        _table(
            [*headings, "Kernels"],
            [_theirs(run.name, run.tflm) for run in runs if run.tflm],
        )


def _theirs(name: str, result: Result) -> Sequence[str]:
    kernels = sorted(set(result.library.kernels.values())) if result.library else []
    return (
        name,
        f"{result.board.core} ({result.board.id})",
        f"{result.counts.median:,}",
        text.per_mac(result.counts.median, result.model.macs),
        f"{result.arena.bytes:,}",
        f"{result.arena.probes} probes, {result.provenance.phases_s['search']:.1f} s",
        f"{result.build.flash_bytes - _shell_bytes(result.board.id):,}",
        f"{result.stack_bytes:,}",
        ", ".join(kernels),
    )


def _layers(run: Run, by_kernel: bool) -> None:
    """A row for each layer, or for all layers of one op and kernel together."""
    click.echo(f"\n### {run.name} on {run.aot.board.id}\n")
    theirs = {cost.index: cost.count for cost in run.tflm.per_op} if run.tflm else {}
    headings = ["Layers>" if by_kernel else "#>", "Op", "Kernel", "Instructions>", "MACs>", "per MAC>"]
    headings += ["Constants>", "Stack>"]

    def key(cost: OpCost) -> tuple[str, ...]:
        kernel = (cost.op, run.layers[cost.index].kernel)
        return kernel if by_kernel else (f"{cost.index:04}", *kernel)

    rows = []
    for _, group in groupby(sorted(run.aot.per_op, key=key), key):
        costs = list(group)
        count, macs = sum(cost.count for cost in costs), sum(cost.macs for cost in costs)
        stacks = [cost.stack_bytes for cost in costs if cost.stack_bytes is not None]
        known = all(cost.index in theirs for cost in costs)
        rows.append(
            (
                str(len(costs) if by_kernel else costs[0].index),
                costs[0].op,
                f"`{run.layers[costs[0].index].kernel}`",
                _with_ratio(count, sum(theirs[cost.index] for cost in costs) if known else None),
                f"{macs:,}" if macs else "–",
                text.per_mac(count, macs),
                f"{sum(run.layers[cost.index].constant_bytes for cost in costs):,}",
                f"{max(stacks):,}" if stacks else "–",
            )
        )
    _table(headings, rows)


@click.command()
@click.argument("models", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("-b", "--board", "board_ids", multiple=True, default=BOARDS, show_default=True)
@click.option("--tflm", envvar="TINYDEPLOY_TFLM", help="A TFLite Micro to run beside it.")
@click.option("--optimize", default=GOALS[0], show_default=True, type=click.Choice(GOALS))
@click.option("--samples", default=2, show_default=True)
@click.option("--by-kernel", is_flag=True, help="Sum up the layers that have the same op and kernel.")
@click.option("--summary", is_flag=True, help="Leave the layers out.")
def main(
    models: tuple[Path, ...],
    board_ids: tuple[str, ...],
    tflm: str | None,
    optimize: str,
    samples: int,
    by_kernel: bool,
    summary: bool,
) -> None:
    """Print each model's cost per board, then per layer."""
    runs: list[Run] = []
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for model in models:
            for board in board_ids:
                try:
                    runs.append(_run(model, board, tflm, optimize, samples, folder))
                except TinydeployError as error:
                    problems.append(f"{model.stem} on {board}: {error.message}")
    made = [f"{datetime.now(UTC):%Y-%m-%d}", f"optimised for {optimize}"]
    for run in runs[:1]:
        made += [run.aot.build.compiler, run.aot.target.version]
        made += (
            [f"{run.tflm.library.name} {run.tflm.library.version}"] if run.tflm and run.tflm.library else []
        )
    click.echo(f"{', '.join(made)}.\n")
    _totals(runs)
    for problem in problems:
        click.echo(f"\nNot run: {problem}.")
    if not summary:
        for run in runs:
            _layers(run, by_kernel)


if __name__ == "__main__":
    main()
