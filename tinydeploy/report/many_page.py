"""Pages about many results: the history of a figure, and a sweep with its plot and a table to filter."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources

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
    known = [(number, run) for number, run in enumerate(runs) if {x, y} <= run.figures.keys()]
    dots = [
        plots.Dot(_value(run.figures[x]), _value(run.figures[y]), run.name, number in best)
        for number, run in known
    ]
    plot = None
    if known:
        one = known[0][1].figures
        plot = Markup(plots.against(dots, (one[x].label, one[x].unit), (one[y].label, one[y].unit)))
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
    script = resources.files("tinydeploy.report").joinpath("filter.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return html.page(
        "sweep.html.j2",
        runs=runs,
        plot=plot,
        asked=list(dict.fromkeys(key for run in runs for key in run.asked)),
        heads=[heads[name] for name in names],
        rows=rows,
        script=Markup(script),
        digest=digest,
    )


def _value(figure: Figure) -> float:
    value = figure.values[0]
    assert value is not None, "only figures that there are"
    return value
