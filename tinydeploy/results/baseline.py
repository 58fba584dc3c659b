"""The baseline: an earlier result that a new one may not be worse than, by more than is allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from tinydeploy.errors import UsageError
from tinydeploy.results import compare, metric_table
from tinydeploy.results.measured import Gate
from tinydeploy.results.result import Result

FIGURES = (
    *("instructions", "cycles", "latency", "flash", "ram", "arena", "stack", "identical", "accuracy"),
    *("estimated_time", "estimated_energy"),
    *(name for name in metric_table.METRICS if name not in ("top1", "accuracy")),
)
_MAIN = ("instructions", "cycles", "latency", "flash", "ram", "arena", "stack", "identical")
_ALLOWED = re.compile(r"([a-z0-9_]+)\s*=\s*(\d+(?:\.\d+)?|\.\d+)\s*(%?)")

Allowance = tuple[float, bool]
"""How much worse a figure may be, and whether that is a part of it."""


def allowances(written: str) -> dict[str, Allowance]:
    """By figure what is allowed: "instructions=2%,accuracy=0.5%,stack=64". Raises ValueError, in words.

    A part is of the figure; of a share (accuracy, identical) percents are points.
    """
    allowed = {}
    for part in filter(None, re.split(r"[,\s]+(?=[a-z])|,", written.strip())):
        found = _ALLOWED.fullmatch(part.strip())
        if found is None:
            raise ValueError(f"is {part[:40]!r}, which allows nothing: write instructions=2%")
        if found[1] not in FIGURES:
            import difflib

            near = difflib.get_close_matches(found[1], FIGURES, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"it is one of {', '.join(FIGURES[:9])} …"
            raise ValueError(f"names {found[1]!r}, which is no figure: {hint}")
        allowed[found[1]] = float(found[2]) / (100 if found[3] else 1), bool(found[3])
    return allowed


def allowances_of(written: object) -> dict[str, Allowance]:
    """`allowances` of what an option holds, which may be so already."""
    if isinstance(written, dict):
        return written
    if not isinstance(written, str):
        raise ValueError("must be words such as instructions=2%")
    return allowances(written)


def judged(
    result: Result, baseline: Result, name: str, allowed: Mapping[str, Allowance], *, force: bool = False
) -> Result:
    """The result with a gate for each figure that the baseline has, too.

    Raises UsageError if the two cannot be compared, unless that is to be done by `force`.
    """
    if not force and (reasons := compare.obstacles(baseline, result)):
        raise UsageError(
            f"{name} is no baseline for this result: {'; '.join(reasons)}", "--force compares all the same"
        )
    metric = baseline.accuracy.metric if baseline.accuracy else ""
    gates = tuple(
        _gate(figure, name, allowed.get(figure.name))
        for figure in compare.figures((baseline, result))
        if figure.values[0] is not None
        and (figure.name in (*_MAIN, *allowed) or figure.name == metric or figure.name == "accuracy")
    )
    return replace(result, gates=(*(result.gates or ()), *gates))


def _gate(figure: compare.Figure, name: str, allowance: Allowance | None) -> Gate:
    before, now = figure.values
    assert before is not None
    amount, is_part = allowance or (0.0, True)
    slack = amount * (abs(before) if is_part and figure.unit != "share" else 1.0)
    limit = before - slack if figure.higher else before + slack
    called = f"{'min' if figure.higher else 'max'}_{figure.name}"
    if now is None:
        reason = f"{called}: {name} has it, and this result has not"
        return Gate(called, None, limit, False, figure.unit, reason, name)
    held = now >= limit - 1e-12 if figure.higher else now <= limit + 1e-12
    return Gate(called, now, limit, held, figure.unit, against=name)
