"""tinydeploy check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tinydeploy.cli import ci_outputs, options
from tinydeploy.cli.shell import EXIT_CODES, check_failed, progress, show, show_json

if TYPE_CHECKING:
    from tinydeploy.results.case import Case


@options.verb("check", epilog=EXIT_CODES)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
def command(paths: tuple[Path, ...], as_json: bool, **flags: Any) -> None:
    """Hold results against their limits; PATHS are a result.json, a folder with one, or a tinydeploy.toml.

    A tinydeploy.toml lists models and boards as [[deploy]], which are run; without PATHS it is the one here.
    Limits are those of [budget] in the tinydeploy.toml beside the model, or here; flags beat them.
    """
    arguments = options.given(flags)
    told = ci_outputs.taken(arguments)
    with progress("reading what is there") as update:
        from tinydeploy.lab import many_verbs
        from tinydeploy.report import console

        found = many_verbs.check(paths, progress=update, **arguments)
    if as_json:
        show_json([_plain(case) for case in found])
    elif ci_outputs.is_console(told):
        show(console.checked(found))
    ci_outputs.tell(found, told)
    many = len(found) > 1
    check_failed([f"{case.name}: {line}" if many else line for case in found for line in case.lines])


def _plain(case: Case) -> dict[str, Any]:
    named = ("name", "file", "gates", "failed", "error", "folder")
    return {name: getattr(case, name) for name in named} | {"passed": case.passed}
