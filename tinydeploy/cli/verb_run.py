"""tinydeploy run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tinydeploy.cli import ci_outputs, options
from tinydeploy.cli.shell import EXIT_CODES, check_failed, progress, show, show_json, tell
from tinydeploy.engines.engine_registry import DEFAULT_ENGINE


@options.verb("run", epilog=EXIT_CODES)
@options.model
def command(model: Path, as_json: bool, **flags: Any) -> None:
    """The whole way: build, load, measure, and report. Several engines (-e aot,tflm) are put side by side."""
    with progress("reading the model") as update:
        from tinydeploy import verbs
        from tinydeploy.report import console, report_files
        from tinydeploy.results import verdict
        from tinydeploy.results.case import of_result

        arguments = options.given(flags)
        told = ci_outputs.taken(arguments)
        engines = (arguments.pop("engine", "") or verbs.usual(model, "engine") or DEFAULT_ENGINE).split(",")
        arguments |= {"progress": update, "notice": tell}
        if len(engines) > 1:
            results, folder = verbs.run_each(model, engines, **arguments)
        else:
            result, folder = verbs.run(model, engine=engines[0], **arguments)
            results = (result,)
    if as_json:
        show_json(report_files.runs_json(results) if len(engines) > 1 else results[0].to_json())
    elif ci_outputs.is_console(told):
        show(console.comparison(results) if len(engines) > 1 else console.summary(results[0]))
        show(f"\nReport: {folder / 'report.html'}")
    folders = [folder / result.engine if len(engines) > 1 else folder for result in results]
    ci_outputs.tell(
        [
            of_result(result, result.model.path, str(place))
            for result, place in zip(results, folders, strict=True)
        ],
        told,
    )
    failed = [
        f"{result.engine}: {failure}" if len(engines) > 1 else failure
        for result in results
        for failure in verdict.failures(result)
    ]
    check_failed(failed, f"the report is in {folder}")
