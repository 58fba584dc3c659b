"""tinydeploy sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinydeploy.cli import options
from tinydeploy.cli.shell import EXIT_CODES, check_failed, progress, show, show_json


@options.verb("sweep", epilog=EXIT_CODES)
@click.argument("models", nargs=-1, type=click.Path(path_type=Path))
def command(models: tuple[Path, ...], as_json: bool, print_only: bool | None, **flags: Any) -> None:
    """Run every combination of MODELS, boards, engines and goals; one that was ended goes on.

    What is combined may stand under [sweep] in the tinydeploy.toml here: models, boards, engines, goals.
    """
    arguments = options.given(flags)
    with progress("reading the models") as update:
        from tinydeploy.lab import many_verbs, sweep_list

        if print_only:
            commands = sweep_list.commands(models, arguments)
        else:
            runs, folder = many_verbs.sweep(models, progress=update, **arguments)
    if print_only:
        for line in commands:
            show(line)
        return
    from tinydeploy.report import sweep_table
    from tinydeploy.report.layout import Column, Columns

    if as_json:
        show_json(sweep_table.rows(runs))
    else:
        rows = [(run.name, "failed" if run.error else "done", run.folder) for run in runs]
        show(Columns((Column("Run"), Column(""), Column("Result")), rows, spare=(2,)))
        show(f"\nTable: {folder / sweep_table.CSV}\nPage: {folder / sweep_table.PAGE}")
    failed = [f"{run.name}: {run.error}" for run in runs if run.error]
    check_failed(failed, f"logs are in {folder / 'jobs'}")
