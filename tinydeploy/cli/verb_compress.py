"""tinydeploy compress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from tinydeploy.cli import options
from tinydeploy.cli.shell import EXIT_CODES, check_failed, progress, show, show_json, tell


@options.verb("compress", epilog=EXIT_CODES)
@options.model
def command(model: Path, as_json: bool, **flags: Any) -> None:
    """MODEL, a .keras or .h5 file, by each recipe: trained, quantised, and run on the target.

    All recipes have the same data, seed and epochs. Rows that are done are kept: one that was ended goes on.
    Training needs TensorFlow, in an environment of its own. Recipes: tune, qat, filters, low-rank, distill,
    prune.
    """
    arguments = options.given(flags)
    for needed, word in (
        ("recipe", "the recipes: --recipe qat,filters"),
        ("out", "a folder to write to: -o OUT"),
    ):
        if needed not in arguments:
            raise click.UsageError(f"name {word}")
    with progress("reading the model") as update:
        from tinydeploy.lab import many_verbs

        found, folder = many_verbs.compress(model, progress=update, notice=tell, **arguments)
    from tinydeploy.report import compress_page
    from tinydeploy.report.layout import Column, Columns, Prose

    if as_json:
        show_json(found.to_json())
    else:
        for board in found.boards:
            heads, rows = compress_page.cells(found, board)
            columns = [Column(head, right=number > 0) for number, head in enumerate(heads)]
            show(Columns(columns, rows, title=board))
            show("")
        for sentence in compress_page.sentences(found):
            show(Prose(sentence))
        for line in compress_page.limits(found):
            show(Prose(f"✗ {line}", "yellow"))
        show(f"\nPage: {folder / compress_page.PAGE}\nRows: {folder}")
    check_failed(found.failures())
