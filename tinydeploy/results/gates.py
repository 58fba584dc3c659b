"""Gates: a result held against limits, each with how near it comes, and the phrase for one that is missed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from tinydeploy.results import drops, metric_table
from tinydeploy.results.compare import COSTS
from tinydeploy.results.estimated import NO_ENERGY, NO_TIME
from tinydeploy.results.limits import LIMITS, MILLISECONDS, Limit
from tinydeploy.results.measured import Accuracy, Gate
from tinydeploy.results.result import Result

Budget = Mapping[str, float]
"""Limits by their names, each in its unit."""


@dataclass(frozen=True)
class Missing:
    """Why a result has no such figure."""

    reason: str


Figure = float | Missing


def judged(result: Result, budget: Budget) -> Result:
    """The result with a gate for each limit; as it is without any."""
    gates = (*(result.gates or ()), *held(budget, lambda limit: figure(result, limit)))
    return replace(result, gates=gates) if gates else result


def held(budget: Budget, figure_of: Callable[[Limit], Figure]) -> tuple[Gate, ...]:
    """The gates of a budget, in the order of the table."""
    return tuple(
        _gate(limit, budget[name], figure_of(limit)) for name, limit in LIMITS.items() if name in budget
    )


def _gate(limit: Limit, value: float, found: Figure) -> Gate:
    if isinstance(found, Missing):
        return Gate(limit.name, None, value, None if limit.target else False, limit.unit.name, found.reason)
    kept = found <= value if limit.most else found >= value
    return Gate(limit.name, found, value, kept, limit.unit.name)


def phrase(gate: Gate) -> str:
    """The gate in a line: "max_flash: 71,900 bytes, limit 65,536, over by 6,364 (9.7 %)"."""
    if gate.figure is None:
        return f"{gate.name}: {gate.reason}" if gate.against == "budget" else gate.reason
    limit, unit = shown(gate.limit, gate.unit), f" {gate.unit}" if gate.unit == "bytes" else ""
    line = f"{gate.name}: {shown(gate.figure, gate.unit)}{unit}, limit {limit}"
    if gate.against != "budget":
        line += f" by {gate.against}"
    if gate.held is False:
        by = abs(gate.figure - gate.limit)
        part = (
            f" ({by / abs(gate.limit):.1%})".replace("%", " %") if gate.limit and gate.unit != "share" else ""
        )
        line += f", {'over' if gate.is_most else 'short'} by {shown(by, gate.unit)}{part}"
    return line


def shown(value: float, unit: str) -> str:
    """A figure in its unit: a share in percent, bytes and counts whole, others with four digits."""
    if unit == "share":
        return f"{100 * value:.4g} %"
    return f"{value:,.0f}" if unit in ("bytes", "count") else f"{value:,.4g} {unit}".rstrip()


def missed(gates: Iterable[Gate]) -> tuple[Gate, ...]:
    """Those that failed."""
    return tuple(gate for gate in gates if gate.held is False)


def figure(result: Result, limit: Limit) -> Figure:
    """The figure of the result that the limit is for, in the limit's unit."""
    cost = limit.name.removeprefix("max_").removesuffix("_ms")
    if cost in COSTS:
        return _cost(result, limit, cost)
    if limit.target:
        return _estimated(result, limit)
    if limit.name == "min_identical":
        parity = result.parity
        return (
            parity.identical / parity.outputs if parity else Missing("there was no reference to compare with")
        )
    if result.accuracy is None:
        return Missing(result.unjudged or "the result has no accuracy: it was run without labels")
    if limit.name == "max_accuracy_drop":
        return accuracy_drop(result.accuracy)
    if limit.name == "max_class_drop":
        drop = drops.largest(result)
        return max(0.0, drop.by) if drop else Missing("no float model's classes or groups stand beside")
    if limit.name == "max_group_drop":
        return _group_drop(result.accuracy)
    return metric_value(result.accuracy, limit.name[4:])


def _cost(result: Result, limit: Limit, name: str) -> Figure:
    found = COSTS[name](result)
    if found is None:
        return _unknown(result, name)
    return found / 1000 if limit.unit is MILLISECONDS else found


def _unknown(result: Result, what: str) -> Missing:
    return Missing(f"{result.target.kind} counts {result.unit}, and measures no {what}")


def _unestimated(result: Result, said: str) -> Missing:
    """Why there is no estimate: what the result was warned of, where it was."""
    told = [warning for warning in result.warnings if warning.startswith(said)]
    return Missing(told[0] if told else f"{said} on this board")


def _estimated(result: Result, limit: Limit) -> Figure:
    if limit.name == "max_estimated_ms":
        return result.estimate.ms if result.estimate else _unestimated(result, NO_TIME)
    if limit.name == "max_estimated_uj":
        return result.energy.uj if result.energy else _unestimated(result, NO_ENERGY)
    return _unknown(result, limit.name.removeprefix("max_").split("_")[0])


def metric_value(accuracy: Accuracy, metric: str) -> Figure:
    """The figure of a metric. "accuracy" of a classifier is its top1."""
    known = {**accuracy.also, accuracy.metric: accuracy.value}
    for name in (metric, "top1") if metric == "accuracy" else (metric,):
        if name in known:
            return known[name]
    return Missing(f"the result has {', '.join(known)}, and no {metric}")


def accuracy_drop(accuracy: Accuracy) -> Figure:
    """How much worse the metric is than the float model's, if that is known, or else the reference's."""
    other = accuracy.float_value if accuracy.float_value is not None else accuracy.reference
    if other is None:
        return Missing("neither the float model's figure nor the reference's is known")
    found = metric_table.metric(accuracy.metric)
    worse = other - accuracy.value
    return max(0.0, worse if found is None or found.higher_is_better else -worse)


def _group_drop(accuracy: Accuracy) -> Figure:
    groups = [group for group in accuracy.per_class if group.samples]
    if not groups:
        return Missing("the result has no figures by class")
    overall = sum(group.correct for group in groups) / sum(group.samples for group in groups)
    return max(0.0, overall - min(group.correct / group.samples for group in groups))
