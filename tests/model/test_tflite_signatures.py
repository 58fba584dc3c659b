"""A file with several functions: one is chosen, and it is what every engine and the reference run."""

from __future__ import annotations

from pathlib import Path

import native
import numpy as np
import pytest
from click.testing import CliRunner
from model_builder import ModelBuilder

from tinydeploy import verbs
from tinydeploy.cli import tinydeploy
from tinydeploy.engines.tflm.tflm_engine import TflmEngine
from tinydeploy.errors import ModelError, UsageError
from tinydeploy.host.reference import Reference
from tinydeploy.model import logits
from tinydeploy.model.readers import tflite_model


def function(model: ModelBuilder, name: str, kind: str) -> tuple[int, int]:
    """One op and a SOFTMAX on four numbers, as a function of the file."""
    x, y = (model.tensor((1, 4), scale=0.1, zero_point=n, name=name) for n in (3, -5))
    z = model.tensor((1, 4), scale=1 / 256, zero_point=-128)
    model.op(kind, [x], [y])
    model.op("SOFTMAX", [y], [z], beta=1.0)
    model.signature(name, [x], [z])
    return x, z


def two_functions() -> bytes:
    model = ModelBuilder()
    x, y = function(model, "first", "RELU")
    with model.subgraph():
        function(model, "second", "ABS")
    return model.build([x], [y])


def with_variable(initialiser_first: bool) -> bytes:
    """A first function, and a second that accumulates in a variable with an initialiser of its own."""
    model = ModelBuilder()
    x, y = function(model, "first", "RELU")

    def handle() -> int:
        index = model.tensor((), "resource")
        model.op("VAR_HANDLE", [], [index], shared_name="sum")
        return index

    def initialise() -> int:
        with model.subgraph() as index:
            start = model.tensor((1, 4), data=[1, 2, 3, 4], scale=0.1)
            model.op("ASSIGN_VARIABLE", [handle(), start], [])
        return index

    start = initialise() if initialiser_first else 3
    with model.subgraph():
        model.op("CALL_ONCE", [], [], init_subgraph_index=start)
        a, before, after = (model.tensor((1, 4), scale=0.1) for _ in range(3))
        variable = handle()
        model.op("READ_VARIABLE", [variable], [before])
        model.op("ADD", [a, before], [after])
        model.op("ASSIGN_VARIABLE", [variable, after], [])
        model.signature("second", [a], [after])
    if not initialiser_first:
        with model.subgraph():  # that nothing reaches
            b, c = model.tensor((1,), "float32"), model.tensor((1,), "float32")
            model.op("EXP", [b], [c])
        initialise()
    return model.build([x], [y])


def kinds(model: bytes, name: str | None = None) -> list[str]:
    return [op.kind for op in tflite_model.parse(model, "m.tflite", name).ops]


def test_the_first_is_the_default() -> None:
    blob = two_functions()
    assert kinds(blob) == kinds(blob, "first") == ["RELU", "SOFTMAX"]
    assert kinds(blob, "second") == ["ABS", "SOFTMAX"]
    graph = tflite_model.parse(blob, "m.tflite", "second")
    assert (graph.signature, graph.tensors[graph.inputs[0]].name) == ("second", "second")
    assert graph.sha256 == tflite_model.parse(blob, "m.tflite").sha256


@pytest.mark.parametrize("initialiser_first", [False, True])
def test_each_runs_as_tflite_micro_runs_it_alone(initialiser_first: bool) -> None:
    blob = with_variable(initialiser_first)
    x = np.array([[[-3, 0, 40, 100]]], np.int8)
    for name, expected in (("first", None), ("second", [[-2, 2, 43, 104], [-5, 2, 83, 127]])):
        graph = tflite_model.parse(blob, "m.tflite", name)
        alone = tflite_model.parse(graph.content, "alone.tflite")
        assert [op.kind for op in alone.ops] == [op.kind for op in graph.ops]
        samples = [[x[0]], [x[0]]]
        theirs = native.tflm(graph.content, samples)
        ours = native.compile_all([graph])[0].run(samples)
        assert all(np.array_equal(a[0], b[0]) for a, b in zip(ours, theirs, strict=True))
        if expected is not None:
            assert [output[0].reshape(-1).tolist() for output in ours] == expected


def test_what_no_function_reaches_is_not_read() -> None:
    """The second function's op is one that nothing can run, and the first does not care."""
    model = ModelBuilder()
    x, y = function(model, "first", "RELU")
    with model.subgraph():
        a, b = model.tensor((1,), "uint32"), model.tensor((1,), "uint32")
        model.op("WHILE", [a], [b])
        model.signature("second", [a], [b])
    blob = model.build([x], [y])
    graph = tflite_model.parse(blob, "m.tflite")
    assert TflmEngine().refusals(graph) == ()
    with Reference(graph.content) as reference:
        assert reference.run([np.zeros((1, 1, 4), np.int8)])[0].shape == (1, 1, 4)
    with pytest.raises(ModelError, match="op 0 is WHILE: a loop") as caught:
        tflite_model.parse(blob, "m.tflite", "second")
    assert "unroll=True" in caught.value.hint


def test_a_name_that_there_is_not() -> None:
    with pytest.raises(UsageError, match="no signature 'third'") as caught:
        kinds(two_functions(), "third")
    assert caught.value.hint == "its signatures are first, second"
    model = ModelBuilder()
    x, y = (model.tensor((1, 4), scale=0.1) for _ in range(2))
    model.op("RELU", [x], [y])
    with pytest.raises(UsageError, match="no signature 'first'") as caught:
        kinds(model.build([x], [y]), "first")
    assert "leave --signature out" in caught.value.hint


def test_logits_of_the_second() -> None:
    graph = logits.without_softmax(tflite_model.parse(two_functions(), "m.tflite", "second"))
    assert [op.kind for op in graph.ops] == ["ABS"] and graph.signature == "second"


def test_the_verbs_take_it(tmp_path: Path) -> None:
    file = tmp_path / "m.tflite"
    file.write_bytes(two_functions())
    assert [op.op for op in verbs.inspect(file, signature="second").ops] == ["ABS", "SOFTMAX"]
    (tmp_path / "tinydeploy.toml").write_text('signature = "second"\n')
    shown = CliRunner().invoke(tinydeploy, ["inspect", str(file), "--json"]).output
    assert '"signature": "second"' in shown
    result, _ = verbs.run(file, signature="second", samples=3, out=tmp_path / "out")
    assert result.model.signature == "second" and result.to_json()["model"]["signature"] == "second"
    assert result.parity is not None and result.parity.identical == result.parity.outputs
