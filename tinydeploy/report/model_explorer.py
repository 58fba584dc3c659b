"""Figures of the ops as node data for Model Explorer, by the names of their output tensors."""

from __future__ import annotations

import json
from typing import Any

from tinydeploy.results.result import Result

_STOPS = ((0.0, "#e9eae5"), (0.5, "#7fb5af"), (1.0, "#0d6a6a"))


def node_data(result: Result) -> str:
    """The counts of all ops in Model Explorer's JSON of one graph: its GraphNodeData."""
    names = {op.index: op.output for op in result.model.ops}
    values: dict[str, Any] = {}
    for cost in result.per_op:
        name = names.get(cost.index)
        if name:
            values[name] = {"value": cost.count}
    gradient = [{"stop": stop, "bgColor": colour} for stop, colour in _STOPS]
    return json.dumps({"results": values, "name": result.unit, "gradient": gradient}, indent=2) + "\n"
