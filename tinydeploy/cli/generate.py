"""tinydeploy generate."""

from __future__ import annotations

from pathlib import Path

import click

from tinydeploy import verbs
from tinydeploy.cli import options
from tinydeploy.cli.shell import show, show_json
from tinydeploy.errors import UsageError


@click.command("generate")
@options.model
@options.board
@options.engine
@options.tflm_library
@options.out
@options.link
@options.as_json
def command(
    model: Path,
    board: str | None,
    engine: str | None,
    tflm_library: str | None,
    out: Path | None,
    link: str | None,
    as_json: bool,
) -> None:
    """Write a PlatformIO project that stands on its own."""
    path, file = options.configured(model)
    if out is None:
        raise UsageError("generate needs a folder to write to", "name it with -o")
    folder = verbs.generate(
        path, out, **options.merged(file, board=board, engine=engine, tflm_library=tflm_library, link=link)
    )
    if as_json:
        show_json({"project": folder})
    else:
        show(f"{folder}: build it with [bold]pio run[/] in that folder, or open it in PlatformIO")
