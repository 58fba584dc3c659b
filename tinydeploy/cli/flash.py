"""tinydeploy flash."""

from __future__ import annotations

from pathlib import Path

import click

from tinydeploy import verbs
from tinydeploy.cli import options
from tinydeploy.cli.shell import progress, show, show_json


@click.command("flash")
@options.model
@options.board
@options.engine
@options.port
@options.upload_command
@options.timeout
@options.as_json
def command(
    model: Path,
    board: str | None,
    engine: str | None,
    port: str | None,
    upload_command: str | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Build the firmware, upload it to the board, and make sure that it answers."""
    path, file = options.configured(model)
    arguments = options.merged(
        file, board=board, engine=engine, port=port, upload_command=upload_command, timeout=timeout
    )
    with progress() as update:
        flashed = verbs.flash(path, progress=update, **arguments)
    if as_json:
        show_json(flashed)
    else:
        greeting = flashed.greeting
        show(f"{flashed.port} runs {path.name} with the {greeting.engine} engine, and answers")
