"""tinydeploy history."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinydeploy.cli import options
from tinydeploy.cli.shell import show, show_json
from tinydeploy.errors import UsageError


@options.verb("history")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
def command(
    paths: tuple[Path, ...], figure: str | None, page: Path | None, as_json: bool, **_flags: Any
) -> None:
    """A figure over the results below PATHS, by default tinydeploy-out; of a file, also over its commits."""
    from tinydeploy.lab import many_verbs
    from tinydeploy.lab.many_verbs import DEFAULT_FIGURE, DEFAULT_FOLDER
    from tinydeploy.report import plots
    from tinydeploy.report.layout import Column, Columns

    found = many_verbs.history(paths or (Path(DEFAULT_FOLDER),), figure=figure or DEFAULT_FIGURE)
    if page is not None:
        from tinydeploy.report import many_page

        try:
            page.write_text(many_page.history(found, figure or DEFAULT_FIGURE), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot write {page}: {error.strerror}") from error
    if as_json:
        show_json([{"name": one.name, "figure": one.figure.name, "points": one.points} for one in found])
        return
    for one in found:
        rows = [
            (point.started, point.label, plots.shown(point.value, one.figure.unit)) for point in one.points
        ]
        heads = (Column("Started"), Column("Commit"), Column(one.figure.label, right=True))
        show(Columns(heads, rows, title=one.name))
