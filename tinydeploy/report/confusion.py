"""The confusion matrix: inline SVG, as figures.py has it of the schedule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tinydeploy.report import text
from tinydeploy.report.svg import COLOURS, STYLE, bare_axes, inline, text_width
from tinydeploy.results.measured import Accuracy


def confusion(accuracy: Accuracy) -> str:
    """The confusion matrix: one row per true class, one column per predicted class, shaded by row."""
    matrix = accuracy.confusion
    count = len(matrix)
    labels = [text.shorten(text.printable(c.label), 14) for c in accuracy.per_class]
    labels = labels if len(labels) == count else [str(number) for number in range(count)]
    cell = min(38.0, max(17.0, 380 / count))
    size = 10.0 if cell >= 26 else 8.0
    side = max(text_width(label, 9.5) for label in labels) + 8
    slanted = max(text_width(label, 9.5) for label in labels) > cell - 4
    foot = (side * 0.75 + 10) if slanted else 18.0
    left, top = side + 20, 4.0
    width, height = left + count * cell + 4, top + count * cell + foot + 18

    with matplotlib.style.context(["default", STYLE]):
        figure = Figure(figsize=(width / 72, height / 72))
        axes = bare_axes(figure, (left, top, count * cell, count * cell), (count - 0.5, -0.5))
        axes.set_xlim(-0.5, count - 0.5)
        titles = {}
        for i, row in enumerate(matrix):
            for j, samples in enumerate(row):
                _cell(axes, (i, j), samples, text.ratio(samples, sum(row)), cell, size)
                titles[f"cell{i}x{j}"] = f"{samples:,} samples of {labels[i]} taken for {labels[j]}"
        faint: dict[str, Any] = {"fontsize": 9.5, "color": COLOURS["muted"]}
        _class_labels(axes, labels, slanted, cell)
        axes.text(
            -0.5 - (side + 12) / cell,
            (count - 1) / 2,
            "true class",
            rotation=90,
            ha="center",
            va="center",
            **faint,
        )
        axes.text((count - 1) / 2, count - 0.5 + (foot + 12) / cell, "predicted class", ha="center", **faint)
        label = f"Confusion matrix of {count} classes over {accuracy.samples:,} samples"
        return inline(figure, "confusion", label, titles)


def _cell(axes: Axes, place: tuple[int, int], samples: int, share: float, cell: float, size: float) -> None:
    """One cell of the confusion matrix, shaded by its share of the row, with its number if that has room."""
    i, j = place
    patch = Rectangle((j - 0.5, i - 0.5), 1, 1, linewidth=1, edgecolor=COLOURS["card"])
    colour = "accent" if i == j else "bad"
    # Rare mistakes have to be visible beside a diagonal near 1: they start at a fifth.
    alpha = 0.12 + 0.88 * share if i == j else min(1.0, 0.2 + 1.6 * share)
    patch.set_facecolor((COLOURS[colour], alpha) if samples else (COLOURS["rule"], 0.45))
    patch.set_gid(f"cell{i}x{j}")
    axes.add_patch(patch)
    if samples:
        ink = "on-accent" if alpha > 0.5 else "ink"
        fits = text_width(f"{samples}", size) < cell - 2
        shown = f"{samples}" if fits else "•"
        axes.text(j, i, shown, ha="center", va="center_baseline", fontsize=size, color=COLOURS[ink])


def _class_labels(axes: Axes, labels: Iterable[str], slanted: bool, cell: float) -> None:
    bottom = axes.get_ylim()[0]
    for number, label in enumerate(labels):
        axes.text(-0.5 - 6 / cell, number, label, ha="right", va="center_baseline", fontsize=9.5)
        axes.text(
            number,
            bottom + (7 if slanted else 13) / cell,
            label,
            ha="right" if slanted else "center",
            va="top" if slanted else "baseline",
            rotation=45 if slanted else 0,
            rotation_mode="anchor",
            fontsize=9.5,
        )
