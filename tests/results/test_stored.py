"""A result.json read again, an older one, and what is none."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import made_up_results as made_up
import pytest

from tinydeploy.errors import UsageError
from tinydeploy.report import console, html
from tinydeploy.results import stored
from tinydeploy.results.result import SCHEMA, Result
from tinydeploy.results.setting import Edit, Layer

OLD = Path(__file__).with_name("result-1.json")  # as version 1 was written, of a run of models/motion


def whole() -> Result:
    """A result in which nothing is left out."""
    result = made_up.on_a_board(made_up.made_up(made_up.mobilenet_v2(), accuracy=made_up.classifier()))
    layer = Layer(0, "conv_2d", 12, instructions=900)
    return dataclasses.replace(
        result,
        model=dataclasses.replace(result.model, edits=(Edit("logits", "without its SOFTMAX"),)),
        per_op=tuple(dataclasses.replace(cost, layer=layer) for cost in result.per_op),
    )


@pytest.mark.parametrize("made", [made_up.made_up, made_up.regression, made_up.flawed, whole])
def test_it_is_what_was_written(made: Any, tmp_path: Path) -> None:
    result = made()
    (tmp_path / "result.json").write_text(json.dumps(result.to_json()))
    assert stored.read(tmp_path) == stored.read(tmp_path / "result.json") == result
    assert html.render(stored.read(tmp_path)) == html.render(result)


def test_one_of_version_1_is_read() -> None:
    old = json.loads(OLD.read_text())
    assert old["schema"] == "tinydeploy.result/1" != SCHEMA
    result = stored.read(OLD)
    assert result.to_json()["schema"] == SCHEMA
    assert result.counts.median == old["instructions"]["median"]
    assert result.model.edits == ()
    for cost, before in zip(result.per_op, old["per_op"], strict=True):
        assert (cost.count, cost.macs, cost.stack_bytes) == (
            before["instructions"],
            before["macs"],
            before["stack_bytes"],
        )
        assert cost.layer is not None and cost.layer.kernel == before["kernel"]
    assert console.summary(result)


def test_one_of_version_1_from_a_board_whose_model_was_changed(tmp_path: Path) -> None:
    old = json.loads(OLD.read_text())
    old["model"]["note"] = "TILE as CONCATENATION; without its last SOFTMAX: the outputs are logits"
    old |= {"cycles": old.pop("instructions"), "time_us": _micros()}
    for cost in old["per_op"]:
        cost |= {"cycles": cost.pop("instructions"), "time_us": 1.25}
    result = stored.parse(json.dumps(old), "old.json")
    assert result.time_us is not None and result.time_us.median == 1.5
    assert result.per_op[0].time_us == 1.25
    assert [edit.words for edit in result.model.edits] == [
        "TILE as CONCATENATION",
        "without its last SOFTMAX: the outputs are logits",
    ]


def _micros() -> dict[str, float]:
    return dict.fromkeys(("median", "p95", "p99", "min", "max"), 1.5) | {"runs": 3}


def _without(text: str, key: str) -> str:
    content = json.loads(text)
    del content[key]
    return json.dumps(content)


GOOD = json.dumps(made_up.made_up().to_json())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is no JSON, or not all of it"),
        (GOOD[:-200], "is no JSON, or not all of it"),
        ("[" * 100_000, "nested too deeply"),
        (GOOD.replace("1336", "NaN"), "NaN is no number"),
        ("[]", "is no result of tinydeploy"),
        ("{}", "is no result of tinydeploy"),
        ('{"schema": {"a": 1}}', "is no result of tinydeploy"),
        (GOOD.replace(SCHEMA, "tinydeploy.result/99"), "is a 'tinydeploy.result/99'"),
        (GOOD.replace(SCHEMA, "tinydeploy.runs/1"), "is a 'tinydeploy.runs/1'"),
        (_without(GOOD, "build"), "is not a whole result: it: 'build' is a required property"),
        (GOOD.replace('"stack_bytes": 1336', '"stack_bytes": "1336"'), "stack_bytes: '1336' is not of type"),
        (GOOD.replace('"searched"', '"guessed"').replace('"planned"', '"guessed"'), "arena.method"),
        (_without(OLD.read_text(), "model"), "is not a whole result of tinydeploy.result/1: 'model'"),
        (_without(OLD.read_text(), "build"), "'build' is a required property"),
        ('{"schema": "tinydeploy.result/1", "model": 3, "per_op": 4}', "is not a whole result"),
    ],
)
def test_anything_else_is_refused_in_a_line(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    file.write_text(text)
    with pytest.raises(UsageError) as refused:
        stored.read(file)
    assert told in refused.value.message and str(file) in refused.value.message
    assert "\n" not in refused.value.message and len(refused.value.message) < 400


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        stored.read(tmp_path)
    (tmp_path / "result.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        stored.read(tmp_path)
    (tmp_path / "runs" / "aot").mkdir(parents=True)
    (tmp_path / "runs" / "aot" / "result.json").write_text(GOOD)
    with pytest.raises(UsageError) as refused:
        stored.read(tmp_path / "runs")
    assert str(tmp_path / "runs" / "aot") in refused.value.hint
