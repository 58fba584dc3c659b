"""The options that set limits: a row for each of the table of limits, for command line, file and Python."""

from __future__ import annotations

from typing import TypedDict

from tinydeploy.evaluate.option import Option
from tinydeploy.results.limits import BYTES, COUNT, LIMITS, Limit, parser


def _limit(limit: Limit) -> Option:
    return Option(
        limit.name,
        limit.help,
        kind=float,
        metavar={BYTES: "SIZE", COUNT: "N"}.get(limit.unit, "NUMBER"),
        key=f"budget.{limit.name}",
        parse=parser(limit),
    )


BUDGET = tuple(map(_limit, LIMITS.values()))
BUILT_LIMITS = ("max_flash", "max_ram", "max_arena")
BUILT_BUDGET = tuple(option for option in BUDGET if option.name in BUILT_LIMITS)


class BuildBudget(TypedDict, total=False):
    """What a firmware may take: bytes, or a size such as "64K"."""

    max_flash: float | str
    max_ram: float | str
    max_arena: float | str


class Budgeted(BuildBudget, total=False):
    """What a result is held against; see results.limits. A limit is a number, or as a budget writes it."""

    max_stack: float | str
    max_instructions: float | str
    max_cycles: float | str
    max_latency_ms: float | str
    max_estimated_ms: float | str
    max_estimated_uj: float | str
    max_energy_uj: float | str
    min_accuracy: float | str
    min_balanced_accuracy: float | str
    min_precision: float | str
    min_recall: float | str
    min_f1: float | str
    min_macro_f1: float | str
    min_auc: float | str
    min_mean_iou: float | str
    min_subset_accuracy: float | str
    min_hamming_accuracy: float | str
    max_mae: float | str
    max_rmse: float | str
    min_r2: float | str
    max_accuracy_drop: float | str
    max_class_drop: float | str
    max_group_drop: float | str
    min_identical: float | str
