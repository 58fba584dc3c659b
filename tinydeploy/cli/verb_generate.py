"""tinydeploy generate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinydeploy.cli import options
from tinydeploy.cli.shell import progress, show, show_json, tell
from tinydeploy.errors import UsageError


@options.verb("generate")
@options.model
def command(model: Path, out: Path | None, as_json: bool, **flags: Any) -> None:
    """Write a PlatformIO project that stands on its own."""
    notes: list[str] = []
    with progress("reading the model"):
        from tinydeploy import verbs
        from tinydeploy.evaluate.deployment import model_path

        model = model_path(model)
        if out is None:
            raise UsageError("generate needs a folder to write to", "name it with -o")
        folder = verbs.generate(model, out, notice=notes.append, **options.given(flags))
    for note in notes:
        tell(note)
    if as_json:
        show_json({"project": folder})
    else:
        show(f"{folder}: build it with pio run in that folder, or open it in PlatformIO")
