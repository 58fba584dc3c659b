"""The files of a report: result.json, runs.json, failed.json and their pages, written whole."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinydeploy.errors import UsageError
from tinydeploy.host import output_folder
from tinydeploy.host.output_folder import Manifest
from tinydeploy.report.paper import Printer
from tinydeploy.report.printable import printable
from tinydeploy.results.result import Result, as_html

if TYPE_CHECKING:
    from tinydeploy.results.failure import Failure

FOLDED, PAGE, PDF = "profile.folded", "report.html", "report.pdf"
RUNS_SCHEMA = "tinydeploy.runs/1"


_EITHER_WAY = (PAGE, "failed.json")
_MANIFEST = Manifest("tinydeploy-files.json", "tinydeploy.files/1")


def check_writable(folder: Path, engines: Sequence[str] = ()) -> None:
    """Raise UsageError if `write` (with `engines`: write_runs) could not write there; makes nothing."""
    try:
        existing = folder
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
        if not existing.is_dir():
            raise _unwritable(folder, f"{existing} is not a folder")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise _unwritable(folder, "permission denied")
        output_folder.check(
            folder.resolve(), ["runs.json" if engines else "result.json", *_EITHER_WAY], _MANIFEST
        )
    except (OSError, RuntimeError) as error:
        raise _unwritable(folder, getattr(error, "strerror", None) or str(error)) from error
    for engine in engines:
        check_writable(folder / engine)


def mark(folder: Path) -> str:
    """The mark that `folder` was written with; "" without one."""
    return _MANIFEST.marked(folder)


def write(result: Result, folder: Path, mark: str = "", printer: Printer | None = None) -> None:
    """Write result.json and report.html into `folder`, which is made if it is missing, and keep its `mark`.

    With a `printer`, also report.pdf. Each file is replaced as a whole, so a reader never sees half of one.
    Raises UsageError if one is not as it was written here before, or the folder cannot be written.
    """
    from tinydeploy.report import html  # brings matplotlib, which a command that draws nothing need not load

    files = {"result.json": _json(result.to_json()), **_page(html.render(result), printer)}
    if result.profile is not None:
        files[FOLDED] = folded(result)
    _write(files, folder, mark, without=("failed.json", PDF, FOLDED))


def _page(page: str, printer: Printer | None) -> dict[str, str | bytes]:
    return {PAGE: page} | ({PDF: printer(page)} if printer else {})


def folded(result: Result) -> str:
    """The profile as folded stacks, a line each, as speedscope and flame graphs take them."""
    assert result.profile is not None
    kinds = {op.index: op.op for op in result.model.ops}
    rows = (
        ";".join((f"op {line.op} {kinds.get(line.op, '')}", line.function, line.source or "?"))
        + f" {line.count}"
        for line in result.profile.lines
    )
    return "".join(f"{printable(row)}\n" for row in rows)


def runs_json(results: Sequence[Result]) -> dict[str, Any]:
    """Several runs of one model as one JSON object."""
    return {"schema": RUNS_SCHEMA, "runs": [result.to_json() for result in results]}


def write_runs(
    results: Sequence[Result], folder: Path, mark: str = "", printer: Printer | None = None
) -> None:
    """Write runs.json and a report.html that shows the runs side by side; see `write`."""
    from tinydeploy.report import html

    contents = {"runs.json": _json(runs_json(results)), **_page(html.render_runs(results), printer)}
    _write(contents, folder, mark, without=("failed.json", PDF))


def write_failure(failure: Failure, folder: Path, mark: str = "") -> None:
    """Write failed.json and a report.html about it; an earlier result goes. See `write`."""
    from tinydeploy.report import html

    contents = {"failed.json": _json(failure.to_json()), PAGE: html.render_failure(failure)}
    _write(contents, folder, mark, without=("result.json", "runs.json", PDF))


def _as_html(result: Result) -> str:
    from tinydeploy.report import html

    return html.render_inline(result)


as_html.append(_as_html)


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def _write(contents: Mapping[str, str | bytes], folder: Path, mark: str, without: Sequence[str]) -> None:
    files = {
        name: content if isinstance(content, bytes) else content.encode()
        for name, content in contents.items()
    }
    output_folder.write(folder, files, replace(_MANIFEST, mark=mark), without=without)


def _unwritable(folder: Path, reason: str) -> UsageError:
    return UsageError(f"cannot write to {folder}: {reason}", "choose another folder with -o/--out")
