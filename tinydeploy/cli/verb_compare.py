"""tinydeploy compare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinydeploy.cli import options
from tinydeploy.cli.shell import show, show_json
from tinydeploy.errors import UsageError


@options.verb("compare")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
def command(
    paths: tuple[Path, ...],
    force: bool | None,
    page: Path | None,
    markdown: bool | None,
    as_json: bool,
    **_flags: Any,
) -> None:
    """Results side by side: PATHS are files or folders, the first of which the others are held against."""
    from tinydeploy.lab import many_verbs
    from tinydeploy.report import compared

    found = many_verbs.compare(paths, force=bool(force))
    if page is not None:
        from tinydeploy.report import compared_page

        try:
            page.write_text(compared_page.render(found), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"cannot write {page}: {error.strerror}") from error
    if as_json:
        show_json(compared.plain(found))
    elif markdown:
        show(compared.markdown(found))
    else:
        show(compared.console(found))
