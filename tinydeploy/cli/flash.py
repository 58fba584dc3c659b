"""tinydeploy flash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinydeploy import verbs
from tinydeploy.cli import options
from tinydeploy.cli.shell import progress, show, show_json


@click.command("flash")
@options.model
@options.signature
@options.logits
@options.board
@options.engine
@options.optimize
@options.tflm_library
@options.at_port
@options.timeout
@options.as_json
def command(model: Path, as_json: bool, **flags: Any) -> None:
    """Build the firmware, upload it to the board, and make sure that it answers."""
    path, file = options.configured(model)
    with progress() as update:
        flashed = verbs.flash(path, progress=update, **options.merged(file, **flags))
    if as_json:
        show_json(flashed)
    else:
        greeting = flashed.greeting
        show(f"{flashed.port} runs {path.name} with the {greeting.engine} engine, and answers")
