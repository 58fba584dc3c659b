"""The table of metrics: what each is called, and which way is better."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """`words` is its name for people; a `share` (of samples, of labels …) is shown in percent."""

    words: str
    share: bool = False
    higher_is_better: bool = True


METRICS = {
    "top1": Metric("Accuracy (top-1)", share=True),
    "accuracy": Metric("Accuracy", share=True),
    "balanced_accuracy": Metric("Balanced accuracy", share=True),
    "precision": Metric("Precision", share=True),
    "recall": Metric("Recall", share=True),
    "f1": Metric("F1"),
    "macro_f1": Metric("Macro F1"),
    "auc": Metric("ROC AUC"),
    "mean_iou": Metric("Mean IoU", share=True),
    "subset_accuracy": Metric("Subset accuracy", share=True),
    "hamming_accuracy": Metric("Hamming accuracy", share=True),
    "mae": Metric("Mean absolute error", higher_is_better=False),
    "rmse": Metric("Root mean squared error", higher_is_better=False),
    "r2": Metric("R²"),
}


def metric(name: str) -> Metric | None:
    """The metric of this name; any top-k goes by top2, top3 …; None if there is none."""
    if name not in METRICS and (k := top_k(name)) is not None:
        return Metric(f"Top-{k} accuracy", share=True)
    return METRICS.get(name)


def top_k(name: str) -> int | None:
    """The k of a metric's name topK; None of another's."""
    found = re.fullmatch(r"top([1-9]\d{0,5})", name)
    return int(found[1]) if found else None


def unit(name: str) -> str:
    """The unit of the metric's figures: a "share", or none."""
    found = metric(name)
    return "share" if found is not None and found.share else ""


def words(name: str) -> str:
    """The metric's name for people."""
    found = metric(name)
    return found.words if found else name
