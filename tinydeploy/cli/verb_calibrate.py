"""tinydeploy calibrate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinydeploy.cli import options
from tinydeploy.cli.shell import progress, show, show_json


@options.verb("calibrate")
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
def command(models: tuple[Path, ...], as_json: bool, **flags: Any) -> None:
    """Fit the time model to a board that you have: MODELS run there, and what they execute is counted here.

    The points go to a file; TINYDEPLOY_POINTS=FILE makes later estimates for this board rest on them.
    """
    with progress("reading the models") as update:
        from tinydeploy import verbs

        found, path = verbs.calibrate(models, progress=update, **options.given(flags))
    if as_json:
        show_json(found)
        return
    for point, missed in zip(found.points, found.left_out, strict=True):
        show(f"{point.task:<20} {point.variant:<9} {point.ms:>10.4f} ms   left out {missed:+.1%}")
    show(f"An estimate is within {found.factors.spread:.1%}.\n\nPoints: {path}")
