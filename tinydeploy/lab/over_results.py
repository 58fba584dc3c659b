"""The verbs over results that are there already: side by side, listed, and a figure over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tinydeploy.errors import UsageError
from tinydeploy.lab import collection
from tinydeploy.lab.collection import Found
from tinydeploy.results import compare as comparison
from tinydeploy.results import stored
from tinydeploy.results.compare import Comparison
from tinydeploy.results.many import Series

DEFAULT_FOLDER = "tinydeploy-out"
DEFAULT_FIGURE = "instructions"


def compare(paths: Sequence[str | Path], *, force: bool = False) -> Comparison:
    """The results in these files or folders, the first of which the others are held against.

    Raises UsageError for fewer than two, or where they cannot be compared, unless by `force`.
    """
    if len(paths) < 2:
        raise UsageError("a comparison takes two results or more", "tinydeploy compare A B")
    found = comparison.compare([stored.read(Path(path)) for path in paths], [str(path) for path in paths])
    if found.obstructed and not force:
        raise UsageError(
            f"these results cannot be compared: {'; '.join(found.obstructed)}",
            "--force compares all the same",
        )
    return found


def results(folder: str | Path = DEFAULT_FOLDER) -> tuple[Found, ...]:
    """Every result below a folder; what cannot be read is listed with the reason."""
    return collection.results(Path(folder))


def history(
    paths: Sequence[str | Path] = (DEFAULT_FOLDER,), *, figure: str = DEFAULT_FIGURE
) -> tuple[Series, ...]:
    """A figure over the results below these folders; of a file, also over its commits in git."""
    return collection.history([Path(path) for path in paths], figure)
