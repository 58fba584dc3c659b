"""Residuals of the time models over the published points: python benchmarks/time_model.py [POINTS.csv]

For each board what fitted factors say of its own points, and what factors say of each point that were
fitted to the others. The points are in tinydeploy/estimate/points.csv, or a file of the same columns.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import click

from tinydeploy.boards import lookup
from tinydeploy.estimate import points
from tinydeploy.estimate.core_models import core_model
from tinydeploy.estimate.fitting import FLASH_LINE, fit, left_out
from tinydeploy.estimate.timing import line_of, part_of


@click.command()
@click.argument("csv", type=click.Path(path_type=Path), default=points.PUBLISHED)
def main(csv: Path) -> None:
    """Prints a table a board."""
    known = points.points(csv)
    for board, some in groupby(sorted(known, key=lambda point: point.board), lambda point: point.board):
        own = list(some)
        core = core_model(own[0].core)
        assert core is not None, own[0].core
        line = line_of(next((each for each in lookup.all_boards() if part_of(each) == board), None))
        factors, off = fit(core, line, own), left_out(core, line, own)
        print(f"\n{board}: {core.core} at {own[0].mhz:g} MHz, {len(own)} points")
        print(
            "  "
            + ", ".join(f"{name} {each:.3g}" for name, each in factors.cycles.items() if name != FLASH_LINE)
        )
        print(
            f"  a line of flash {factors.cycles[FLASH_LINE]:.3g}; an estimate is within {factors.spread:.1%}"
        )
        print(
            f"  {'engine':<12}{'task':<5}{'variant':<16}"
            f"{'published':>10}{'model':>10}{'error':>8}{'left out':>10}"
        )
        for point, missed in zip(own, off, strict=True):
            ms = factors.predict(point.counts) / point.mhz / 1e3
            words = f"{point.engine:<12}{point.task:<5}{point.variant:<16}"
            print(f"  {words}{point.ms:>10.3f}{ms:>10.3f}{ms / point.ms - 1:>+8.1%}{missed:>+10.1%}")
        errors = [abs(factors.predict(point.counts) / point.cycles - 1) for point in own]
        print(f"  largest error {max(errors):.1%}, left out {max(map(abs, off)):.1%}")


if __name__ == "__main__":
    main()
