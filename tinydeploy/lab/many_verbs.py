"""The verbs over many results: held against limits, side by side, listed, over time; and over many runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Unpack

from tinydeploy.errors import UsageError
from tinydeploy.evaluate.keyword_types import Compressing, Held, Sweeping
from tinydeploy.evaluate.keywords import checked_keywords
from tinydeploy.lab import checking, collection, compressing, sweep_list
from tinydeploy.lab import sweep as sweeping
from tinydeploy.lab.collection import Found
from tinydeploy.lab.executors import LOCAL
from tinydeploy.progress import Notice, Progress, silent, unsaid
from tinydeploy.report import compress_page, sweep_table
from tinydeploy.results import compare as comparison
from tinydeploy.results import stored
from tinydeploy.results.case import Case
from tinydeploy.results.compare import Comparison
from tinydeploy.results.compressed import Compressed
from tinydeploy.results.many import Series, Swept
from tinydeploy.verbs import run

DEFAULT_FOLDER = "tinydeploy-out"
DEFAULT_FIGURE = "instructions"


def _listed(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """The paths; a single one need not be in a list, and is not taken for a list of its letters."""
    return [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]


def compare(paths: Sequence[str | Path], *, force: bool = False) -> Comparison:
    """The results in these files or folders, the first of which the others are held against.

    Raises UsageError for fewer than two, or where they cannot be compared, unless by `force`.
    """
    if isinstance(paths, str | Path) or len(paths) < 2:
        raise UsageError("a comparison takes two results or more", "tinydeploy compare A B")
    found = comparison.compare([stored.read(Path(path)) for path in paths], [str(path) for path in paths])
    if found.obstructed and not force:
        raise UsageError(
            f"these results cannot be compared: {'; '.join(found.obstructed)}",
            "--force compares all the same",
        )
    return found


def all_results(folder: str | Path = DEFAULT_FOLDER) -> tuple[Found, ...]:
    """Every result below a folder; what cannot be read is listed with the reason."""
    return collection.results(Path(folder))


def history(
    paths: str | Path | Sequence[str | Path] = (DEFAULT_FOLDER,), *, figure: str = DEFAULT_FIGURE
) -> tuple[Series, ...]:
    """A figure over the results below these folders; of a file, also over its commits in git."""
    return collection.history(_listed(paths), figure)


@checked_keywords
def check(
    paths: str | Path | Sequence[str | Path] = (),
    *,
    plan: bool = False,
    board: str | None = None,
    progress: Progress = silent,
    **options: Unpack[Held],
) -> tuple[Case, ...]:
    """Results, or all that a tinydeploy.toml deploys, held against their limits: a case each.

    A path is a result.json or a folder with one, or a tinydeploy.toml with [[deploy]] entries, which are run;
    without any, it is the tinydeploy.toml here. With `plan` paths are models, whose plans are held against
    the limits without a build. Limits that are given beat those of the files.
    """
    return checking.check(_listed(paths), plan, board, dict(options), run, progress)


@checked_keywords
def sweep(
    models: str | Path | Sequence[str | Path] = (),
    *,
    on: str = LOCAL,
    workers: int | None = None,
    x: str = "instructions",
    y: str = "accuracy",
    progress: Progress = silent,
    **options: Unpack[Sweeping],
) -> tuple[tuple[Swept, ...], Path]:
    """Runs every combination once, `workers` at a time or `on` a cluster, and writes a table and a page.

    They go to the folder `out`, which is returned; the page plots the figures `x` and `y`. A run that fails
    does not stop the others. What was run before, and has not changed, is not run again.
    """
    jobs, folder = sweep_list.jobs(_listed(models), options)
    runs = sweeping.sweep(
        jobs, partial(run, other_boards=False), on, workers or os.cpu_count() or 1, progress
    )
    sweep_table.write(runs, folder, x, y)
    return runs, folder


@checked_keywords
def compress(
    model: str | Path,
    recipe: str | Sequence[str],
    *,
    out: str | Path,
    progress: Progress = silent,
    notice: Notice = unsaid,
    **options: Unpack[Compressing],
) -> tuple[Compressed, Path]:
    """A Keras model by each recipe, quantised, and run on every board: a table and a page in `out`.

    Every row has the same data, seed and epochs. Rows that are done are not done again. A recipe that does
    not apply is refused before anything is trained; see docs/compress.md.
    """
    found, folder = compressing.verb(Path(model), recipe, Path(out), dict(options), run, progress, notice)
    compress_page.write(found, folder)
    return found, folder
