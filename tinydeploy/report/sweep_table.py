"""The table of a sweep: CSV, and Parquet where pandas can write it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinydeploy.errors import UsageError
from tinydeploy.host import output_folder
from tinydeploy.report import many_page
from tinydeploy.results.many import Swept, columns

CSV, PARQUET, PAGE = "sweep.csv", "sweep.parquet", "sweep.html"


def rows(runs: Sequence[Swept]) -> list[dict[str, Any]]:
    """A row for each run: what it was asked for, its figures, its failure and its folder."""
    names = columns(runs)
    found = []
    for run in runs:
        figures = {name: run.figures[name].values[0] if name in run.figures else None for name in names}
        found.append({**run.asked, **figures, "failure": run.error, "folder": run.folder})
    return found


def csv_text(table: Sequence[dict[str, Any]]) -> str:
    """Rows as CSV, with a column for each key of any."""
    text, heads = io.StringIO(), list(dict.fromkeys(key for row in table for key in row))
    writer = csv.DictWriter(text, heads, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def write_texts(files: Mapping[str, str], folder: Path) -> None:
    """Writes tables and pages by their names. Raises UsageError if it cannot."""
    try:
        output_folder.write_files({name: content.encode() for name, content in files.items()}, folder)
    except OSError as error:
        raise UsageError(
            f"cannot write to {folder}: {error.strerror}", "choose another with -o/--out"
        ) from error


def write(runs: Sequence[Swept], folder: Path, x: str, y: str) -> None:
    """Writes the table, and the page with the plot of two figures. Raises UsageError if it cannot."""
    table = rows(runs)
    write_texts({CSV: csv_text(table), PAGE: many_page.sweep(runs, x, y)}, folder)
    try:
        import pandas as pd

        pd.DataFrame(table).to_parquet(folder / PARQUET)
    except ImportError:  # neither pandas nor what it writes Parquet with is needed
        return
