"""How far the figures of single classes and groups lie below the float model's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinydeploy.results import metric_table
from tinydeploy.results.result import Result


@dataclass(frozen=True)
class Drop:
    """`what` ("class 3", "group left") has a figure of `after`, and the float model one of `before`."""

    what: str
    before: float
    after: float
    by: float


def drops(result: Result) -> Iterator[Drop]:
    """Each class's recall and each group's metric beside the float model's; `by` is how much worse."""
    look = result.closer
    if look is None or look.floats is None:
        return
    if result.accuracy is not None:
        for own, before in zip(result.accuracy.per_class, look.floats.recalls, strict=False):
            if before is not None and own.recall is not None:
                yield Drop(f"class {own.label}", before, own.recall, before - own.recall)
    known = metric_table.metric(result.accuracy.metric) if result.accuracy else None
    sign = -1 if known is not None and not known.higher_is_better else 1
    for group in look.groups:
        if group.value is not None and group.float_value is not None:
            by = sign * (group.float_value - group.value)
            yield Drop(f"group {group.group}", group.float_value, group.value, by)


def largest(result: Result) -> Drop | None:
    """The largest of them; None where no float model stands beside, or there are neither."""
    return max(drops(result), key=lambda drop: drop.by, default=None)
