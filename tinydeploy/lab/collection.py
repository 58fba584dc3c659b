"""The results that lie in folders, and those of a file's past in git."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tinydeploy.errors import UsageError
from tinydeploy.host import git
from tinydeploy.results import stored
from tinydeploy.results.case import named
from tinydeploy.results.compare import Figure, figures
from tinydeploy.results.many import Point, Series
from tinydeploy.results.result import Result


@dataclass(frozen=True)
class Found:
    """A result and where it is; None, with the reason, where a file is none that can be read."""

    place: str
    result: Result | None
    problem: str = ""


def results(folder: Path) -> tuple[Found, ...]:
    """Every result.json below a folder, by its place. Raises UsageError if there is no such folder."""
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", "run writes results to tinydeploy-out")
    try:
        files = sorted(file for file in folder.rglob(stored.FILE) if not file.is_dir())
    except OSError as error:
        raise UsageError(f"{error.filename or folder} cannot be read: {error.strerror or error}") from error
    return tuple(map(_found, files))


def _found(file: Path) -> Found:
    try:
        return Found(str(file.parent), stored.read(file))
    except UsageError as error:
        return Found(str(file.parent), None, error.message)


def history(paths: Iterable[Path], name: str) -> tuple[Series, ...]:
    """The figure `name` of the results below each folder; of a file, also as it was at each of its commits.

    Raises UsageError if no result has it, with the figures that there are.
    """
    points: dict[str, dict[tuple[str, str], Point]] = {}
    shown: dict[str, Figure] = {}
    known: set[str] = set()
    for label, result in _all(paths):
        by_name = {figure.name: figure for figure in figures([result])}
        known |= {*by_name}
        figure = by_name.get(name)
        if figure is None or figure.values[0] is None:
            continue
        started = result.provenance.started
        shown[named(result)] = figure
        place = points.setdefault(named(result), {})
        place.setdefault((started, str(figure.values[0])), Point(started, label, figure.values[0]))
    if not points:
        listed = f"there is {', '.join(sorted(known))}" if known else "there is no result"
        raise UsageError(f"no result has a figure '{name}'", listed)
    return tuple(
        Series(key, shown[key], tuple(sorted(some.values(), key=lambda point: point.started)))
        for key, some in sorted(points.items())
    )


def _all(paths: Iterable[Path]) -> Iterator[tuple[str, Result]]:
    for path in paths:
        if path.is_dir():
            for found in results(path):
                if found.result is not None:
                    yield _label(found.result), found.result
            continue
        present = stored.read(path)
        yield _label(present), present
        for commit, text in git.versions(path):
            try:
                yield commit[:10], stored.parse(text, f"{commit[:10]}:{path}")
            except UsageError:
                continue  # it was none at that commit


def _label(result: Result) -> str:
    commit = result.provenance.commit
    return commit[:10] + ("+" if commit.endswith("+") else "") if commit else result.provenance.started
