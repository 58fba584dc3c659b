"""Plots of many results: a figure over time, and two figures against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import MaxNLocator

from tinydeploy.report import text
from tinydeploy.report.svg import COLOURS, STYLE, bare_axes, either, inline
from tinydeploy.results import gates

_WIDTH, _NARROW, _HEIGHT, _LEFT, _BOTTOM = 1080.0, 358.0, 300.0, 90.0, 44.0
_A_LABEL = 90.0  # units that one takes below
_MOST_LABELS = 12


@dataclass(frozen=True)
class Dot:
    """A point of two figures, what it is called, and whether no other is as good in both."""

    x: float
    y: float
    name: str
    best: bool = False


def shown(value: float, unit: str) -> str:
    """A figure as people see it."""
    return text.kib(round(value)) if unit == "bytes" else gates.shown(value, unit)


def _axes(drawing: Drawing, x_unit: str | None, y_unit: str) -> Axes:
    height = drawing.get_figheight() * 72
    width = drawing.get_figwidth() * 72
    left = min(_LEFT, width / 5)
    axes = bare_axes(drawing, (left, 16, width - left - 24, height - 16 - _BOTTOM), (0, 1))
    axes.set_autoscale_on(True)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(lambda value, _: shown(value, y_unit))
    if x_unit is not None:
        axes.xaxis.set_major_locator(MaxNLocator(max(2, min(6, int(width / _A_LABEL) - 1))))
        axes.xaxis.set_major_formatter(lambda value, _: shown(value, x_unit))
    axes.grid(color=COLOURS["rule"], linewidth=0.7)
    axes.set_axisbelow(True)
    axes.margins(0.06, 0.15)
    return axes


def over_time(labels: Sequence[str], values: Sequence[float], unit: str, name: str, prefix: str) -> str:
    """A figure of results in order, as a line with a dot each; for a wide page and for a phone."""
    return either(
        _over_time(labels, values, unit, name, prefix, _WIDTH),
        _over_time(labels, values, unit, name, f"{prefix}-narrow", _NARROW),
    )


def _over_time(
    labels: Sequence[str], values: Sequence[float], unit: str, name: str, prefix: str, width: float
) -> str:
    with matplotlib.style.context(["default", STYLE]):
        drawing = Drawing(figsize=(width / 72, _HEIGHT / 72))
        axes = _axes(drawing, None, unit)
        axes.plot(range(len(values)), values, color=COLOURS["accent"], linewidth=1.5)
        titles = {}
        for number, (label, value) in enumerate(zip(labels, values, strict=True)):
            (dot,) = axes.plot([number], [value], "o", color=COLOURS["accent"], markersize=6)
            dot.set_gid(f"dot{number}")
            titles[f"dot{number}"] = f"{text.printable(label)}: {shown(value, unit)}"
        step = -(-len(labels) // max(1, int(width / _A_LABEL)))
        axes.set_xticks(range(0, len(labels), step), [text.printable(label)[:19] for label in labels[::step]])
        axes.tick_params(axis="x", labelsize=8)
        return inline(drawing, prefix, f"{name} over {len(values)} results", titles)


def against(
    dots: Sequence[Dot],
    x: tuple[str, str],
    y: tuple[str, str],
    prefix: str = "pareto",
    level: tuple[float, str] | None = None,
) -> str:
    """Two figures (label, unit) against each other; those that no other beats are joined and named.

    A `level` of the second figure, with its name, is a line across. For a wide page and for a phone, where
    dots are not named.
    """
    return either(
        _against(dots, x, y, prefix, _WIDTH, level), _against(dots, x, y, f"{prefix}-narrow", _NARROW, level)
    )


def _against(
    dots: Sequence[Dot],
    x: tuple[str, str],
    y: tuple[str, str],
    prefix: str,
    width: float,
    level: tuple[float, str] | None,
) -> str:
    with matplotlib.style.context(["default", STYLE]):
        drawing = Drawing(figsize=(width / 72, _HEIGHT * 1.4 / 72))
        axes = _axes(drawing, x[1], y[1])
        if level is not None:
            axes.axhline(level[0], color=COLOURS["muted"], linewidth=1, linestyle="--")
            place: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8, "color": COLOURS["muted"]}
            edge = min(dot.x for dot in dots)
            axes.annotate(text.printable(level[1]), (edge, level[0]), (0, 4), **place)
        titles = {}
        for number, dot in enumerate(dots):
            colour = COLOURS["accent" if dot.best else "neutral"]
            (drawn,) = axes.plot([dot.x], [dot.y], "o", color=colour, markersize=8 if dot.best else 6)
            drawn.set_gid(f"dot{number}")
            name = text.printable(dot.name)
            titles[f"dot{number}"] = f"{name}: {x[0]} {shown(dot.x, x[1])}, {y[0]} {shown(dot.y, y[1])}"
        front = sorted((dot for dot in dots if dot.best), key=lambda dot: dot.x)
        axes.plot([dot.x for dot in front], [dot.y for dot in front], color=COLOURS["accent"], linewidth=1)
        for dot in front[: _MOST_LABELS if width > _NARROW else 0]:
            axes.annotate(
                text.shorten(text.printable(dot.name), 36),
                (dot.x, dot.y),
                (4, 6),
                textcoords="offset points",
                fontsize=8,
                color=COLOURS["muted"],
            )
        if y[1] == "share":  # there is no more than all, but half a dot's room above it
            low, high = axes.get_ylim()
            axes.set_ylim(max(low, -0.02), min(high, 1.02 if low < 0.9 else 1.002))
        axes.set_xlabel(x[0], color=COLOURS["ink"], fontsize=10)
        axes.set_ylabel(y[0], color=COLOURS["ink"], fontsize=10)
        return inline(drawing, prefix, f"{y[0]} against {x[0]} of {len(dots)} runs", titles)
