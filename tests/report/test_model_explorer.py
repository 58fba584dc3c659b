"""Node data for Model Explorer, and what a report says of the model's edges and of the samples."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import made_up_results as made_up

from tinydeploy.report import html, model_explorer
from tinydeploy.results.result import Result
from tinydeploy.results.setting import TensorInfo


def whole() -> Result:
    result = made_up.made_up(accuracy=made_up.classifier())
    assert result.accuracy is not None
    model = dataclasses.replace(
        result.model,
        ops=tuple(dataclasses.replace(op, output=f"tensor/{op.index};x") for op in result.model.ops),
        inputs=(TensorInfo("<in>", (1, 96, 96, 3), "int8", 0.5, -128),),
        outputs=(TensorInfo("out", (1, 10), "float32", None, None),),
    )
    return dataclasses.replace(
        result,
        model=model,
        accuracy=dataclasses.replace(result.accuracy, right="1101" * 250, float_value=0.97),
        provenance=dataclasses.replace(result.provenance, command="tinydeploy run 'a b'", commit="c" * 40),
    )


def test_every_op_that_was_counted_has_its_value() -> None:
    """The fields are those of GraphNodeData and NodeDataResult in ai-edge-model-explorer 0.1.34."""
    result = whole()
    data: Mapping[str, Any] = json.loads(model_explorer.node_data(result))
    assert set(data) == {"results", "name", "gradient"} and data["name"] == "instructions"
    assert data["results"] == {f"tensor/{cost.index};x": {"value": cost.count} for cost in result.per_op}
    assert [stop["stop"] for stop in data["gradient"]] == [0, 0.5, 1]
    assert json.loads(model_explorer.node_data(made_up.made_up()))["results"] == {}


def test_what_the_report_says_besides() -> None:
    page = html.render(whole())
    for said in (
        "1×96×96×3 int8, (q + 128) × 0.5",
        "&lt;in&gt;",
        "1×10 float32",
        "the float model had <b>97.0 %</b>",
        "Wrong: 2, 6, 10,",
        "tinydeploy run &#39;a b&#39;",
        "c" * 40,
    ):
        assert said in page, said
    assert "Wrong: " not in html.render(made_up.made_up(accuracy=made_up.classifier()))
