"""tinydeploy generate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinydeploy import verbs
from tinydeploy.cli import options
from tinydeploy.cli.shell import show, show_json, tell
from tinydeploy.errors import UsageError


@click.command("generate")
@options.model
@options.out
@options.made
@click.option(
    "--renode-test",
    is_flag=True,
    help="With a self-test, a suite for renode-test, and a CI job that runs it.",
)
@options.data
@click.option(
    "--samples",
    type=click.IntRange(1),
    help=f"How many samples the self-test runs.  [default: {verbs.SELFTEST_SAMPLES}]",
)
@click.option(
    "--max-instructions", type=click.IntRange(1), help="What an inference may take in the self-test."
)
@options.as_json
def command(
    model: Path,
    out: Path | None,
    renode_test: bool,
    samples: int | None,
    max_instructions: int | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Write a PlatformIO project that stands on its own."""
    path, file = options.configured(model)
    if out is None:
        raise UsageError("generate needs a folder to write to", "name it with -o")
    folder = verbs.generate(
        path,
        out,
        renode_test=renode_test,
        samples=samples,
        max_instructions=max_instructions,
        notice=tell,
        **options.merged(file, **flags),
    )
    if as_json:
        show_json({"project": folder})
    else:
        show(f"{folder}: build it with pio run in that folder, or open it in PlatformIO")
