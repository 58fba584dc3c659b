"""tinydeploy run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinydeploy import report, verbs, verdict
from tinydeploy.cli import options
from tinydeploy.cli.shell import EXIT_CODES, progress, show, show_json
from tinydeploy.errors import GateError
from tinydeploy.job import DEFAULT_ENGINE
from tinydeploy.report import console


@click.command("run", epilog=EXIT_CODES)
@options.model
@options.data
@options.samples
@options.judging
@options.out
@options.deployment
@options.as_json
def command(model: Path, as_json: bool, **flags: Any) -> None:
    """The whole way: build, load, measure, and report. Several engines (-e aot,tflm) are put side by side."""
    path, file = options.configured(model)
    arguments = options.merged(file, **flags)
    engines = arguments.pop("engine", DEFAULT_ENGINE).split(",")
    with progress() as update:
        arguments |= {"labels": file.labels, "progress": update}
        if len(engines) > 1:
            results, folder = verbs.run_each(path, engines, **arguments)
        else:
            result, folder = verbs.run(path, engine=engines[0], **arguments)
            results = (result,)
    if as_json:
        show_json(report.runs_json(results) if len(engines) > 1 else results[0].to_json())
    else:
        show(console.comparison(results) if len(engines) > 1 else console.summary(results[0]))
        show(f"\nReport: {folder / 'report.html'}")
    failed = [
        f"{result.engine}: {failure}" if len(engines) > 1 else failure
        for result in results
        for failure in verdict.failures(result)
    ]
    if failed:
        raise GateError(f"a check failed: {'; '.join(failed)}", f"the report is in {folder}")
