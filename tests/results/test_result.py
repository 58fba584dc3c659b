"""result.json against its schema."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import made_up_results as made_up
import pytest

from tinydeploy.results import result as results
from tinydeploy.results.result import Result

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
import result_schema

RESULTS: dict[str, Callable[[], Result]] = {
    "image": made_up.made_up,
    "classifier": lambda: made_up.made_up(made_up.mobilenet_v2(), accuracy=made_up.classifier()),
    "regression": made_up.regression,
    "searched": lambda: made_up.made_up(searched=True, labelled=False),
    "flawed": made_up.flawed,
}


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = results.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", RESULTS)
def test_results_follow_the_schema(name: str, validator: jsonschema.Draft202012Validator) -> None:
    plain = RESULTS[name]().to_json()
    validator.validate(plain)
    assert json.loads(json.dumps(plain)) == plain


def test_what_was_not_measured_has_no_key() -> None:
    plain = made_up.made_up().to_json()
    assert "accuracy" not in plain
    assert "fails_at" not in plain["arena"]


def test_every_named_key_is_there() -> None:
    plain = made_up.made_up(accuracy=made_up.classifier()).to_json()
    assert plain["schema"] == "tinydeploy.result/2"
    named = {
        "model": "path sha256 file_bytes macs ops",
        "board": "id core clock_hz",
        "target": "kind version link",
        "build": "compiler flags platformio flash_bytes ram_bytes flash_budget ram_budget model_flash_bytes "
        "runtime_flash_bytes",
        "arena": "bytes method passes_at probes",
        "accuracy": "metric value samples per_class reference",
        "parity": "reference outputs identical off_by_one worse top1_agreement",
        "provenance": "versions host started duration_s",
    }
    for section, keys in named.items():
        assert set(keys.split()) <= set(plain[section])
    assert set(plain["per_op"][0]) == {"index", "op", "counted", "macs", "stack_bytes"}
    (count,) = plain["counted"]
    assert count["unit"] == "instructions" and set(count["spread"]) == {
        *["median", "p95", "p99", "min", "max", "runs"]
    }
    assert {"engine", "stack_bytes"} <= set(plain)
    assert made_up.made_up(searched=True).to_json()["arena"]["fails_at"] > 0


def _objects(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Paths of all objects in a JSON value, but of those whose keys are free."""
    if isinstance(value, list):
        return [found for i, item in enumerate(value[:1]) for found in _objects(item, (*path, i))]
    if not isinstance(value, dict) or path[-1:] in (("versions",), ("phases_s",), ("also",)):
        return []
    return [path, *(found for key, item in value.items() for found in _objects(item, (*path, key)))]


OBJECTS = _objects(RESULTS["classifier"]().to_json())


def _at(plain: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        plain = plain[step]
    return plain


@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: ".".join(map(str, path)) or "top")
def test_no_object_takes_an_unknown_key(
    path: tuple[str | int, ...], validator: jsonschema.Draft202012Validator
) -> None:
    plain = RESULTS["classifier"]().to_json()
    _at(plain, path)["latency_ms"] = 1
    assert not validator.is_valid(plain)


OPTIONAL = {
    *("accuracy", "parity", "passes_at", "fails_at", "touched_bytes", "lower_bound"),
    *("reference@accuracy", "output@accuracy", "chance@accuracy", "top1_agreement", "stack_bytes@0"),
    *("precision@0", "recall@0", "f1@0"),  # undefined of a class without samples, or that is never taken
}


@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: ".".join(map(str, path)) or "top")
def test_every_key_of_a_measured_thing_is_required(
    path: tuple[str | int, ...], validator: jsonschema.Draft202012Validator
) -> None:
    plain = RESULTS["classifier"]().to_json()
    for key in _at(plain, path):
        less = copy.deepcopy(plain)
        del _at(less, path)[key]
        optional = key in OPTIONAL or f"{key}@{path[-1] if path else ''}" in OPTIONAL
        assert validator.is_valid(less) == optional, key


def _set(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]

    def change(plain: dict[str, Any]) -> None:
        _at(plain, tuple(steps))[last] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("schema", "tinydeploy.result/1"),
        _set("model.sha256", "AB" * 32),
        _set("model.macs", -1),
        _set("board.clock_hz", 0),
        _set("build.flash_bytes", 1.5),
        _set("build.flags", "-O2"),
        _set("build.largest_symbols.0.region", "eeprom"),
        _set("arena.method", "guessed"),
        _set("arena.passes_at", None),
        _set("counted.0.spread.median", "19 M"),
        _set("counted.0.spread.median", 19.5),
        _set("counted.0.spread.runs", 0),
        _set("counted.0.unit", "seconds"),
        _set("counted", []),
        _set("per_op.0.counted", []),
        _set("accuracy.metric", "accurate"),
        _set("parity.top1_agreement", 100),
        _set("warnings", "none"),
        _set("provenance.started", "yesterday"),
        _set("provenance.phases_s", {"build": -1}),
    ],
)
def test_altered_results_are_refused(
    change: Callable[[dict[str, Any]], None], validator: jsonschema.Draft202012Validator
) -> None:
    plain = RESULTS["classifier"]().to_json()
    change(plain)
    assert not validator.is_valid(plain)


class TestInstructionsOrCycles:
    """An emulator gives instructions, a board cycles and microseconds; never both, nor a mix."""

    def board(self) -> dict[str, Any]:
        return made_up.on_a_board(made_up.made_up()).to_json()

    def test_a_board_gives_cycles_and_time(self, validator: jsonschema.Draft202012Validator) -> None:
        validator.validate(self.board())

    @pytest.mark.parametrize("missing", [0, 1])
    def test_one_without_the_other(self, missing: int, validator: jsonschema.Draft202012Validator) -> None:
        top, op = self.board(), self.board()
        del top["counted"][missing]
        del op["per_op"][0]["counted"][missing]
        assert not validator.is_valid(top)
        assert not validator.is_valid(op)

    def test_both(self, validator: jsonschema.Draft202012Validator) -> None:
        top, op = self.board(), self.board()
        (count,) = made_up.made_up().to_json()["counted"]
        top["counted"].append(count)
        op["per_op"][0]["counted"].append(count)
        assert not validator.is_valid(top)
        assert not validator.is_valid(op)

    def test_ops_in_instructions_under_a_total_in_cycles(
        self, validator: jsonschema.Draft202012Validator
    ) -> None:
        plain = self.board()
        plain["per_op"] = made_up.made_up().to_json()["per_op"]
        assert not validator.is_valid(plain)


def test_the_schema_is_made_from_the_dataclasses() -> None:
    assert result_schema.FILE.read_text() == result_schema.text(), "python scripts/result_schema.py"
