"""Results of earlier schemas, brought up to the next one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_UNITS = {"instructions": "instructions", "cycles": "cycles", "time_us": "microseconds"}
_LAYER = ("kernel", "constant_bytes", "scratch_bytes", "stripes", "patches", "repeated_outputs")


def _from_1(old: dict[str, Any]) -> dict[str, Any]:
    """Counts had a key for each unit, ops their layer's figures one by one, and edits were a sentence.

    Of an op only the median was kept, so its spread is that of one run. What a layer saved is not known: 0.
    """
    new = {key: value for key, value in old.items() if key not in _UNITS}
    model = {key: value for key, value in old["model"].items() if key != "note"}
    note = old["model"]["note"]
    model["edits"] = [{"kind": "note", "words": words} for words in note.split("; ") if words]
    counted = [{"unit": unit, "spread": old[key]} for key, unit in _UNITS.items() if key in old]
    per_op = [_op_from_1(cost) for cost in old["per_op"]]
    return new | {"schema": "tinydeploy.result/2", "model": model, "counted": counted, "per_op": per_op}


def _op_from_1(old: dict[str, Any]) -> dict[str, Any]:
    new = {key: value for key, value in old.items() if key not in (*_UNITS, *_LAYER)}
    ranks = ("median", "p95", "p99", "min", "max")
    new["counted"] = [
        {"unit": unit, "spread": dict.fromkeys(ranks, old[key]) | {"runs": 1}}
        for key, unit in _UNITS.items()
        if key in old
    ]
    if "kernel" in old:
        layer = {key: old[key] for key in _LAYER if key in old}
        new["layer"] = {"op": old["index"], "saved_bytes": 0} | layer
    return new


UPGRADES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"tinydeploy.result/1": _from_1}
"""By the schema of an older result, what makes the next one's of it."""
