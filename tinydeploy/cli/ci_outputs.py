"""What verbs that decide tell a CI: on the console, as GitHub reads it, and in files."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinydeploy.errors import UsageError

if TYPE_CHECKING:
    from tinydeploy.results.case import Case

FLAGS = ("format", "junit", "code_quality", "metrics", "badge")


def taken(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags of this module, taken out of all given. Raises UsageError for a folder that is not there."""
    own = {name: flags.pop(name) for name in FLAGS if name in flags}
    for name, file in own.items():
        if isinstance(file, Path) and not file.parent.is_dir():
            raise UsageError(f"--{name.replace('_', '-')}: there is no folder {file.parent}")
    return own


def format_of(flags: dict[str, Any]) -> str:
    """How failures are told: as was asked for, else as GitHub wants it where that runs us."""
    on_github = os.environ.get("GITHUB_ACTIONS") == "true"
    return str(flags.get("format") or ("github" if on_github else "console"))


def tell(cases: Sequence[Case], flags: dict[str, Any]) -> None:
    """Writes the files that were asked for, and for GitHub annotations on stderr and a step summary.

    The commands go to stderr, which Actions reads as well, so that stdout stays the result's.
    """
    from tinydeploy.report import ci

    writers: dict[str, Callable[[Sequence[Case]], str]] = {
        "junit": ci.junit,
        "code_quality": ci.code_quality,
        "metrics": ci.open_metrics,
        "badge": ci.badge,
    }
    for name, writer in writers.items():
        if flags.get(name) is not None:
            _write(flags[name], writer(cases))
    if format_of(flags) == "github":
        click.echo(ci.annotations(cases), err=True, nl=False)
        if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
            _write(Path(summary), ci.markdown(cases) + "\n", "a")
    elif format_of(flags) == "markdown":
        click.echo(ci.markdown(cases))
    elif format_of(flags) == "model-explorer":
        from tinydeploy.report import model_explorer

        for result in [case.result for case in cases if case.result][:1]:
            click.echo(model_explorer.node_data(result), nl=False)
    sys.stdout.flush()


def is_console(flags: dict[str, Any]) -> bool:
    """Whether people read what is printed."""
    return format_of(flags) in ("console", "github")


def _write(file: Path, content: str, mode: str = "w") -> None:
    try:
        with file.open(mode, encoding="utf-8") as stream:
            stream.write(content)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from error
