"""The table and the page of a search: all candidates, which no other beats, and what the target counts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from tinydeploy.report import html, many_page, plots, sweep_table
from tinydeploy.results import metric_table

CSV, JSON, PAGE = "search.csv", "search.json", "search.html"
UNITS = {"instructions": "count", "arena": "bytes", "flash": "bytes", "ram": "bytes", "ms": "ms"}
LABELS = {
    "instructions": "Instructions",
    "arena": "Arena",
    "flash": "Flash",
    "ram": "RAM",
    "ms": "Estimated time",
}


def files(found: Mapping[str, Any]) -> dict[str, str]:
    """The table as CSV, all as JSON, and the page; `found` is the content of search.json."""
    table = sweep_table.csv_text([_flat(row) for row in found["candidates"]])
    return {CSV: table, JSON: json.dumps(found, indent=1) + "\n", PAGE: page(found)}


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    own = {key: value for key, value in row.items() if key not in ("params", "price", "measured")}
    parts = {"": row.get("price") or {}, "measured_": row.get("measured") or {}}
    costs = {f"{prefix}{name}": value for prefix, part in parts.items() for name, value in part.items()}
    return {**own, **costs, **{f"choice_{name}": value for name, value in row["params"].items()}}


def page(found: Mapping[str, Any]) -> str:
    """The page: the metric against each cost, the front with its commands, all candidates in a table."""
    rows: Sequence[Mapping[str, Any]] = found["candidates"]
    metric = found["metric"]
    unit = metric_table.unit(metric)
    trained = [row for row in rows if row["state"] == "trained" and row["same_as"] is None]
    axes = [
        (name, _plot(trained, name, (metric_table.words(metric), unit))) for name in _costs(found, trained)
    ]
    shown = {
        name: LABELS[name]
        for name in LABELS
        if any((row.get("price") or {}).get(name) is not None for row in rows)
    }
    return html.page(
        "search.html.j2",
        found=found,
        plots=[(LABELS[name], plot) for name, plot in axes if plot],
        metric=metric_table.words(metric),
        costs=shown,
        rows=[(row, _cells(row, shown, unit)) for row in rows],
        front=[(row, _cells(row, shown, unit), _measured(row, unit)) for row in rows if row["front"]],
        **many_page.filtering(),
    )


def _costs(found: Mapping[str, Any], trained: Sequence[Mapping[str, Any]]) -> list[str]:
    """The costs to plot: those that were minimised first."""
    names = dict.fromkeys([*found["minimize"], "instructions", "arena", "flash"])
    return [name for name in names if all(row["price"].get(name) is not None for row in trained)]


def _plot(trained: Sequence[Mapping[str, Any]], name: str, y: tuple[str, str]) -> Markup | None:
    dots = [
        plots.Dot(float(row["price"][name]), float(row["figure"]), f"candidate {row['number']}", row["front"])
        for row in trained
    ]
    return Markup(plots.against(dots, (LABELS[name], UNITS[name]), y, f"pareto-{name}")) if dots else None


def _cells(row: Mapping[str, Any], shown: Mapping[str, str], unit: str) -> list[tuple[str, Any]]:
    price = row.get("price") or {}
    figure = row.get("figure")
    cells = [("–", "")] if figure is None else [(plots.shown(figure, unit), figure)]
    for name in shown:
        value = price.get(name)
        cells.append(("–", "") if value is None else (plots.shown(value, UNITS[name]), value))
    return cells


def _measured(row: Mapping[str, Any], unit: str) -> list[tuple[str, str]]:
    """What the target said of a candidate of the front, each with its name."""
    found = row.get("measured") or {}
    told = []
    for name, value in found.items():
        if value is None:
            continue
        label = LABELS.get(name, name.capitalize())
        told.append(
            (
                label,
                plots.shown(value, UNITS.get(name, unit)) if isinstance(value, int | float) else str(value),
            )
        )
    return told
