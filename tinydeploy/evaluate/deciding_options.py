"""The options of what decides: what a CI is told, and the baseline that results are held against."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tinydeploy.evaluate.budget_options import BUDGET
from tinydeploy.evaluate.option import Option, Verb
from tinydeploy.results import baseline

FORMATS = ("console", "github", "markdown", "model-explorer")


def _file(name: str, what: str) -> Option:
    return Option(name, what, kind=Path, metavar="FILE", in_python=False)


OUTPUTS = (
    Option(
        "format",
        "What is printed: github adds annotations and a step summary; model-explorer is node data.",
        default="github under GITHUB_ACTIONS, else console",
        choices=FORMATS,
        in_python=False,
    ),
    _file("junit", "Write JUnit XML, a test for each check and limit."),
    _file("code_quality", "Write GitLab's code quality report."),
    _file("metrics", "Write the figures as OpenMetrics, for GitLab's metrics report."),
    _file("badge", "Write a badge: JSON for shields.io's endpoint."),
)
PDF = Option("pdf", "Write the report as report.pdf, too, by Chromium or WeasyPrint.", kind=bool)
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
FIGURE = Option(
    "figure", "The figure: instructions, flash, accuracy …", default="instructions", metavar="NAME"
)


def _words(written: object) -> tuple[str, ...]:
    """Words with commas between them, or a list of words."""
    words = written.split(",") if isinstance(written, str) else written
    if not isinstance(words, list | tuple) or not all(
        isinstance(word, str) and word.strip() for word in words
    ):
        raise ValueError(f"is {written!r}, which is no list of words: write A,B,C")
    return tuple(word.strip() for word in words)


SWEEP = (
    Option("boards", "The boards, with commas between them.", metavar="ID,…", parse=_words),
    Option("engines", "The engines, likewise.", metavar="NAME,…", parse=_words),
    Option("goals", "The goals of the aot engine, likewise.", metavar="GOAL,…", parse=_words),
    Option("on", "Where to run: local, dask://HOST:PORT, or slurm.", default="local", metavar="PLACE"),
    Option(
        "workers",
        "How many runs at a time here.",
        kind=int,
        default="as many as cores",
        metavar="N",
        most=1024,
    ),
    Option("x", "The figure to the right of the page's plot.", default="instructions", metavar="NAME"),
    Option("y", "The figure upwards.", default="accuracy", metavar="NAME"),
    Option(
        "print_only",
        "Print the runs that are not done as commands.",
        kind=bool,
        flag="--print",
        in_python=False,
    ),
)
MANY = "lab.many_verbs"
"""Where the functions of verbs over many results stand."""


def many_verbs(board: Option, of_runs: tuple[Option, ...], always: tuple[Option, ...]) -> dict[str, Verb]:
    """The verbs over many results, with the options that they share with others."""
    shared = tuple(replace(option, key="") for option in of_runs)
    return {
        "check": Verb(
            "Hold results, or all that a list deploys, against their limits.",
            (PLAN, board, *BUDGET, *BASELINE, *OUTPUTS, *always),
            ("check",),
            MANY,
        ),
        "compare": Verb(
            "Results side by side: what changed, and where.",
            (FORCE, PAGE, MARKDOWN, *always),
            ("compare",),
            MANY,
        ),
        "results": Verb("The results that are there.", always, ("all_results",), MANY),
        "history": Verb(
            "A figure over the results, by commit where known.", (FIGURE, PAGE, *always), ("history",), MANY
        ),
        "sweep": Verb(
            "Every combination of models, boards, engines and goals.",
            (*SWEEP, *shared, *always),
            ("sweep",),
            MANY,
        ),
    }
