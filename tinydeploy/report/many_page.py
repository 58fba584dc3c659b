"""Pages about many results: the history of a figure, and a sweep with its plot and a table to filter."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Collection, Sequence
from importlib import resources
from typing import Any

from markupsafe import Markup

from tinydeploy.report import html, plots
from tinydeploy.results.compare import Figure
from tinydeploy.results.many import Series, Swept, columns, front


def history(series: Sequence[Series], name: str) -> str:
    """The figure of each model on each board over its results."""
    drawn = [
        (
            one,
            Markup(
                plots.over_time(
                    [point.label for point in one.points],
                    [point.value for point in one.points],
                    one.figure.unit,
                    one.figure.label,
                    f"history{number}",
                )
            ),
            [(point, plots.shown(point.value, one.figure.unit)) for point in reversed(one.points)],
        )
        for number, one in enumerate(series)
    ]
    return html.page("history.html.j2", series=drawn, name=series[0].figure.label if series else name)


def sweep(runs: Sequence[Swept], x: str, y: str) -> str:
    """Two figures against each other, Pareto's front in colour, and all runs in a table."""
    best = front(runs, x, y)
    return html.page("sweep.html.j2", runs=runs, plot=plot(runs, x, y), **table(runs, best))


def plot(
    runs: Sequence[Swept], x: str, y: str, level: tuple[float, str] | None = None, prefix: str = "pareto"
) -> Markup | None:
    """Two figures of the runs against each other, and a `level` of the second; None if no run has both."""
    best = front(runs, x, y)
    known = [(number, run) for number, run in enumerate(runs) if {x, y} <= run.figures.keys()]
    if not known:
        return None
    dots = [
        plots.Dot(_value(run.figures[x]), _value(run.figures[y]), run.name, number in best)
        for number, run in known
    ]
    one = known[0][1].figures
    units = (one[x].label, one[x].unit), (one[y].label, one[y].unit)
    return Markup(plots.against(dots, *units, prefix, level))


def table(runs: Sequence[Swept], best: Collection[int]) -> dict[str, Any]:
    """What runs_table.html.j2 shows: all runs, of which some are `best`, and the script that filters them."""
    names = columns(runs)
    heads = {name: figure.label for run in runs for name, figure in run.figures.items()}
    rows = [
        (
            run,
            number in best,
            [
                (plots.shown(_value(run.figures[name]), run.figures[name].unit), _value(run.figures[name]))
                if name in run.figures
                else ("–", "")
                for name in names
            ],
        )
        for number, run in enumerate(runs)
    ]
    return {
        "asked": list(dict.fromkeys(key for run in runs for key in run.asked)),
        "heads": [heads[name] for name in names],
        "rows": rows,
        **filtering(),
    }


def filtering() -> dict[str, Any]:
    """The script that filters the tables of a page, and its digest, by which the page lets it run."""
    script = resources.files("tinydeploy.report").joinpath("filter.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return {"script": Markup(script), "digest": digest}


def _value(figure: Figure) -> float:
    value = figure.values[0]
    assert value is not None, "only figures that there are"
    return value
