"""The options of what decides: what a CI is told, and the baseline that results are held against."""

from __future__ import annotations

from pathlib import Path

from tinydeploy.evaluate.option import Option
from tinydeploy.results import baseline

FORMATS = ("console", "github", "markdown")


def _file(name: str, what: str) -> Option:
    return Option(name, what, kind=Path, metavar="FILE", in_python=False)


OUTPUTS = (
    Option(
        "format",
        "How failures are told: github writes annotations and a step summary.",
        default="github under GITHUB_ACTIONS, else console",
        choices=FORMATS,
        in_python=False,
    ),
    _file("junit", "Write JUnit XML, a test for each check and limit."),
    _file("code_quality", "Write GitLab's code quality report."),
    _file("metrics", "Write the figures as OpenMetrics, for GitLab's metrics report."),
    _file("badge", "Write a badge: JSON for shields.io's endpoint."),
)
FORCE = Option("force", "Compare even what cannot be compared.", kind=bool)
BASELINE = (
    Option(
        "baseline",
        "An earlier result that this may not be worse than: its file, its folder, or git:REF.",
        metavar="FILE|FOLDER|git:REF",
    ),
    Option(
        "allow",
        "How much worse figures may be: instructions=2%,stack=64.",
        metavar="FIGURE=N,…",
        parse=baseline.allowances_of,
    ),
    FORCE,
)
PLAN = Option("plan", "Check models by their plans alone: no build, no run.", kind=bool)
PAGE = Option(
    "page", "Write the comparison as an HTML page.", kind=Path, flag="--html", metavar="FILE", in_python=False
)
MARKDOWN = Option(
    "markdown", "Print Markdown, as for a comment on a pull request.", kind=bool, in_python=False
)
