"""Prints how far `tinydeploy fit` is off: what it expects of flash and RAM beside what builds really take.

    python benchmarks/fit_error.py MODEL… [-b BOARD]… [--optimize GOAL]… [--coefficients]

Without boards, on every emulated one. With --coefficients, also the bytes of code by kind of kernel that
suit these builds best, for each family of cores: footprint.py holds them, rounded, with a band around them
that holds for models that are not among these. The output is Markdown.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from tinydeploy.boards import lookup
from tinydeploy.engines.aot.pipeline import GOALS
from tinydeploy.engines.engine import EngineSources
from tinydeploy.errors import TinydeployError
from tinydeploy.evaluate.deployment import prepare
from tinydeploy.evaluate.fit import fits
from tinydeploy.firmware import build, footprint
from tinydeploy.model.readers import tflite_model

EMULATED = tuple(board.id for board in lookup.all_boards() if board.verified == "emulated")


@dataclass(frozen=True)
class Build:
    """What fit expected of a build, and what it took; `code` is its flash without constants."""

    model: str
    board: str
    goal: str
    flash: tuple[int, int]  # expected, taken
    ram: tuple[int, int]
    code: int
    sources: EngineSources


def _build(path: Path, board_id: str, goal: str) -> Build:
    job = prepare(tflite_model.load(path), board=board_id, optimize=goal)
    sizes = build.build(job.project(job.planned_bytes), job.board).sizes
    ram_bytes = sizes.ram_bytes + (job.board.stack_bytes if job.board.arduino else 0)
    flash, ram = footprint.flash(job.sources, job.board), footprint.ram(job.sources, job.board, job.link)
    if not flash.at_least <= sizes.flash_bytes <= flash.at_most:
        click.echo(f"OUTSIDE its band: {path.stem} on {board_id} for {goal}, flash", err=True)
    if not ram.at_least <= ram_bytes <= ram.at_most:
        click.echo(f"OUTSIDE its band: {path.stem} on {board_id} for {goal}, RAM", err=True)
    code = sizes.flash_bytes - job.sources.constant_bytes
    measured = ((flash.estimate, sizes.flash_bytes), (ram.estimate, ram_bytes))
    return Build(path.stem, board_id, goal, *measured, code, job.sources)


def _coefficients(made: list[Build]) -> None:
    """Least squares of the relative error over `made`, with no coefficient below 0."""
    units = np.array([[1, *footprint.code_units(each.sources).values()] for each in made], float)
    weights = 1 / np.array([each.code for each in made], float)
    a, b = units * weights[:, None], np.ones(len(made))
    square, right = a.T @ a, a.T @ b
    found = np.ones(units.shape[1])
    for _ in range(2000):
        for i in range(len(found)):
            if square[i, i] > 0:
                found[i] = max(0.0, found[i] + (right[i] - square[i] @ found) / square[i, i])
    names = ("runtime", *footprint.code_units(made[0].sources))
    click.echo(", ".join(f"{name}={value:.0f}" for name, value in zip(names, found, strict=True)))


@click.command()
@click.argument("models", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("-b", "--board", "board_ids", multiple=True, default=EMULATED)
@click.option("--optimize", "goals", multiple=True, default=GOALS[:1], type=click.Choice(GOALS))
@click.option("--coefficients", is_flag=True, help="Print the code by kind of kernel that suits best.")
def main(
    models: tuple[Path, ...], board_ids: tuple[str, ...], goals: tuple[str, ...], coefficients: bool
) -> None:
    """Print the error of every estimate, and the range of them."""
    made: list[Build] = []
    click.echo("| Model | Board | Goal | Flash expected | taken | error | RAM expected | taken |")
    click.echo("|---|---|---|--:|--:|--:|--:|--:|")
    for path in models:
        graph = tflite_model.load(path)
        found = {(fit.board, fit.optimize): fit for fit in fits(graph, lookup.all_boards(), every_goal=True)}
        for board_id in board_ids:
            for goal in goals:
                try:
                    each = _build(path, board_id, goal)
                except TinydeployError as error:
                    verdict = found[board_id, goal].verdict
                    click.echo(f"| {path.stem} | {board_id} | {goal} | fit: {verdict} | {error.message} ||||")
                    continue
                made.append(each)
                row = f"| {path.stem} | {board_id} | {goal} | {each.flash[0]:,} | {each.flash[1]:,} "
                row += f"| {each.flash[0] / each.flash[1] - 1:+.1%} | {each.ram[0]:,} | {each.ram[1]:,} |"
                click.echo(row)
    errors = np.array([expected / taken - 1 for expected, taken in (each.flash for each in made)])
    ram = np.array([expected - taken for expected, taken in (each.ram for each in made)])
    click.echo(f"\nFlash: {errors.min():+.1%} to {errors.max():+.1%} over {len(made)} builds, ", nl=False)
    click.echo(
        f"half of them within {np.median(abs(errors)):.1%}; RAM: {ram.min():+} to {ram.max():+} bytes."
    )
    if coefficients:
        families: dict[str, list[Build]] = defaultdict(list)
        for each in made:
            families[footprint.family(lookup.board(each.board).core)].append(each)
        for name, some in families.items():
            click.echo(f"\n{name}: ", nl=False)
            _coefficients(some)


if __name__ == "__main__":
    main()
