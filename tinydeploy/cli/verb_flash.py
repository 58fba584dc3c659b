"""tinydeploy flash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinydeploy.cli import options
from tinydeploy.cli.shell import progress, show, show_json


@options.verb("flash")
@options.model
def command(model: Path, as_json: bool, **flags: Any) -> None:
    """Build the firmware, upload it to the board, and make sure that it answers."""
    with progress("reading the model") as update:
        from tinydeploy import verbs
        from tinydeploy.evaluate.deployment import model_path

        flashed = verbs.flash(model, progress=update, **options.given(flags))
    if as_json:
        show_json(flashed)
    else:
        name, engine = model_path(model).name, flashed.greeting.engine
        show(f"{flashed.port} runs {name} with the {engine} engine, and answers")
