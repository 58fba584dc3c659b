"""tinydeploy run."""

from __future__ import annotations

from pathlib import Path

import click

from tinydeploy import verbs
from tinydeploy.cli import options
from tinydeploy.cli.shell import progress, show, show_json
from tinydeploy.report import console


@click.command("run")
@options.model
@options.board
@options.engine
@options.data
@options.samples
@options.out
@options.link
@options.port
@options.upload_command
@options.timeout
@options.as_json
def command(
    model: Path,
    board: str | None,
    engine: str | None,
    data: Path | None,
    samples: int | None,
    out: Path | None,
    link: str | None,
    port: str | None,
    upload_command: str | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """The whole way: build, load, measure, and report."""
    path, file = options.configured(model)
    arguments = options.merged(
        file,
        board=board,
        engine=engine,
        data=data,
        samples=samples,
        out=out,
        link=link,
        port=port,
        upload_command=upload_command,
        timeout=timeout,
    )
    with progress() as update:
        result, folder = verbs.run(path, labels=file.labels, progress=update, **arguments)
    if as_json:
        show_json(result.to_json())
    else:
        show(console.summary(result))
        show(f"\nReport: {folder / 'report.html'}")
