"""tinydeploy export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinydeploy.cli import options
from tinydeploy.cli.shell import progress, show, show_json
from tinydeploy.errors import UsageError


@options.verb("export")
@click.argument("models", nargs=-1, required=True, metavar="[NAME=]MODEL...")
def command(models: tuple[str, ...], out: Path | None, as_json: bool, **flags: Any) -> None:
    """Write each MODEL as a part of a library for one's own firmware: C, with what its build wants.

    NAME is what C calls the model; else it is called after its file.
    """
    with progress("reading the models"):
        from tinydeploy import verbs

        if out is None:
            raise UsageError("export needs a folder to write to", "name it with -o")
        folder = verbs.export(models, out, **options.given(flags))
    if as_json:
        show_json({"library": folder})
    else:
        show(f"{folder}: its README.md says how to build it in")
