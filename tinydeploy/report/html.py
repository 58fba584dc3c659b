"""A result as one self-contained HTML page: no script, nothing loaded from anywhere.

The template, the style sheet and the pictures are put together here; what a page says about a run comes
from `facts`, so that a page about several runs can line the same figures up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from tinydeploy.host import templates
from tinydeploy.report import closer, facts, families, pictures, text
from tinydeploy.results import gates
from tinydeploy.results.failure import PHASES, Failure
from tinydeploy.results.result import Result
from tinydeploy.results.verdict import checks

_ALWAYS = ("build", "target")  # the phases of every run


@dataclass(frozen=True)
class Part:
    """One slice of a stacked bar: its length `value` and how it is `shown`; `colour` is a CSS variable."""

    label: str
    colour: str
    value: float
    shown: str
    detail: str = ""


@dataclass(frozen=True)
class Group:
    """All ops of one kind together."""

    op: str
    family: str
    count: int
    cost: int
    share: float
    macs: int


def _groups(result: Result) -> list[Group]:
    total = sum(cost.count for cost in result.per_op)
    by_kind = defaultdict(list)
    for cost in result.per_op:
        by_kind[cost.op].append(cost)
    groups = []
    for kind, costs in by_kind.items():
        spent = sum(cost.count for cost in costs)
        macs = sum(cost.macs for cost in costs)
        groups.append(Group(kind, families.family(kind), len(costs), spent, text.ratio(spent, total), macs))
    return sorted(groups, key=lambda group: -group.cost)


def _flash(result: Result) -> list[Part]:
    build = result.build
    parts = [
        ("Model", "accent", build.model_flash_bytes, "weights and what else is the model’s own"),
        ("Runtime", "conv-soft", build.runtime_flash_bytes, "kernels, link, start-up"),
    ]
    return _sizes(parts, build.flash_budget - build.flash_bytes)


def _ram(result: Result) -> list[Part]:
    build, arena = result.build, 0 if result.arena.in_psram else result.arena.bytes
    rest = max(0, build.ram_bytes - arena - result.stack_budget)
    parts = [
        ("Tensor arena", "accent", arena, "activations and scratch"),
        ("Stack", "conv-soft", result.stack_budget, f"{text.kib(result.stack_bytes)} of it used at most"),
        ("Rest", "elementwise", rest, "buffers of the link, state"),
    ]
    return _sizes(parts, build.ram_budget - build.ram_bytes)


def _sizes(parts: Iterable[tuple[str, str, int, str]], free: int) -> list[Part]:
    sized = [Part(label, colour, size, text.kib(size), detail) for label, colour, size, detail in parts]
    if free < 0:
        return [*sized, Part("Over budget", "bad", 0, text.kib(-free), "does not fit")]
    return [*sized, Part("Free", "track", free, text.kib(free))]


def _parity(result: Result) -> list[Part]:
    if not result.parity:
        return []
    parity = result.parity
    counts = (
        ("Identical", "accent", parity.identical),
        ("Off by one", "warn", parity.off_by_one),
        ("Worse", "bad", parity.worse),
    )
    return [
        Part(label, colour, count, f"{count:,}", text.percent(text.ratio(count, parity.outputs)))
        for label, colour, count in counts
    ]


def _mistakes(result: Result) -> list[tuple[str, str, int]]:
    """The ten most frequent confusions: true class, predicted class, samples."""
    accuracy = result.accuracy
    if not accuracy:
        return []
    names = [figure.label for figure in accuracy.per_class]
    pairs = (
        (names[i] if i < len(names) else str(i), names[j] if j < len(names) else str(j), samples)
        for i, row in enumerate(accuracy.confusion)
        for j, samples in enumerate(row)
        if i != j and samples
    )
    return sorted(pairs, key=lambda pair: -pair[2])[:10]


def _legend(result: Result) -> list[tuple[str, str]]:
    """The colours that the schedule shows, in a fixed order: CSS variable and name."""
    ops = result.model.ops
    shown = {families.family(cost.op) for cost in result.per_op}
    shown |= {families.buffer_family(buffer, ops) for buffer in result.arena.buffers}
    return [(name, label) for name, label in families.FAMILIES.items() if name in shown]


def _environment() -> Environment:
    def clean(value: Any) -> Any:
        return text.printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value

    environment = templates.environment(
        PackageLoader("tinydeploy.report", "."), autoescape=True, finalize=clean
    )
    environment.filters |= {
        "kib": text.kib,
        "millions": text.millions,
        "percent": text.percent,
        "seconds": text.seconds,
        "shape": text.shape,
        "tensor": text.tensor,
        "clock": text.clock,
        "micros": text.micros,
        "base_name": text.base_name,
        "metric_name": facts.metric_name,
        "count": lambda number: f"{number:,}",
        "width": lambda share: f"{min(1.0, max(0.0, share)) * 100:.2f}%",
    }
    environment.globals |= {
        "per_mac": text.per_mac,
        "ratio": text.ratio,
        "metric_value": facts.metric_value,
        "target_name": facts.target_name,
        "kernels": facts.kernels,
        "turns": facts.turns,
        "judged": facts.judged,
        "others": facts.others,
        "not_time": facts.NOT_TIME,
    }
    return environment


def render(result: Result) -> str:
    """The page. Every string of the result is escaped; the page also parses as XML."""
    accuracy = result.accuracy
    drawn = accuracy is not None and families.has_confusion_figure(accuracy)
    headline = list(facts.facts(result))
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            result=result,
            facts=headline,
            sound=_sound(result),
            verdict=facts.verdict(result),
            missed=[gates.phrase(gate) for gate in gates.missed(result.gates or ())],
            wrong=[number for number, hit in enumerate((accuracy and accuracy.right) or "") if hit == "0"],
            budget=[facts.budget_row(gate) for gate in result.gates or ()],
            not_time=facts.not_time([result]),
            css=_css(),
            schedule=Markup(pictures.schedule(result)),
            legend=_legend(result),
            groups=_groups(result),
            costs={cost.index: cost for cost in result.per_op},
            flash=_flash(result),
            ram=_ram(result),
            parity=_parity(result),
            confusion=Markup(pictures.confusion(accuracy)) if accuracy and drawn else None,
            mistakes=_mistakes(result),
            closer=closer,
            facts_of=facts,
        )
    )


def _sound(result: Result) -> bool | None:
    """Whether all that there is to check was checked and held; None if something could not be checked."""
    held = checks(result)
    if False in held.values() or gates.missed(result.gates or ()):
        return False
    unlabelled = result.accuracy is None and result.unjudged is None
    return True if all(good or (key == "accuracy" and unlabelled) for key, good in held.items()) else None


def render_runs(results: Sequence[Result]) -> str:
    """The page of several runs of one model, their figures side by side."""
    return (
        _environment()
        .get_template("comparison.html.j2")
        .render(
            results=results,
            names=[result.engine for result in results],
            rows=facts.side_by_side(results),
            sentences=facts.versus(results),
            costs_by_result=[{cost.index: cost for cost in result.per_op} for result in results],
            not_time=facts.not_time(results),
            css=_css(),
        )
    )


def page(template: str, **content: Any) -> str:
    """A page of another template of this room, with the style sheet."""
    return _environment().get_template(template).render(css=_css(), zip=zip, **content)


def render_failure(failure: Failure) -> str:
    """The page of a run that failed: what, where, and how far it came."""
    phases = [(name, failure.done.get(name), name == failure.phase) for name in PHASES]
    shown = [phase for phase in phases if phase[1] is not None or phase[2] or phase[0] in _ALWAYS]
    return _environment().get_template("failure.html.j2").render(failure=failure, phases=shown, css=_css())


def render_inline(result: Result) -> str:
    """The headline figures as a piece of a page, for a notebook."""
    return (
        _environment()
        .get_template("inline.html.j2")
        .render(
            result=result,
            facts=list(facts.facts(result)),
            verdict=facts.verdict(result),
            sound=_sound(result),
        )
    )


def _css() -> Markup:
    return Markup(resources.files("tinydeploy.report").joinpath("report.css").read_text("utf-8"))
