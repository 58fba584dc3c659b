"""A classifier without its SOFTMAX: a choice, told in the result, and still TFLite Micro's outputs."""

from pathlib import Path

import jsonschema
import numpy as np
import pytest
from model_builder import ModelBuilder

from tinydeploy import verbs
from tinydeploy.errors import UsageError
from tinydeploy.host.reference import Reference
from tinydeploy.model import logits, samples
from tinydeploy.model.readers import tflite_model
from tinydeploy.results.result import schema

MODELS = Path(__file__).resolve().parents[2] / "models"


def test_the_softmax_is_gone_and_the_class_stays() -> None:
    whole = tflite_model.load(MODELS / "mnist" / "mnist.tflite")
    bare = logits.without_softmax(whole)
    assert [op.kind for op in bare.ops] == [op.kind for op in whole.ops[:-1]]
    assert bare.outputs == (whole.ops[-1].inputs[0],)
    assert bare.sha256 != whole.sha256
    inputs = samples.load(MODELS / "mnist" / "test.npz", whole, 50).inputs
    outputs = []
    for graph in (whole, bare):
        with Reference(graph.content) as reference:
            reference.begin(inputs)
            outputs.append(reference.run(inputs)[0].reshape(50, -1).astype(np.int64))
    chances, scores = outputs
    rows = np.arange(50)
    assert (chances[rows, scores.argmax(axis=1)] == chances.max(axis=1)).all()
    assert not np.array_equal(chances, scores)


def test_a_run_without_it_says_so(tmp_path: Path) -> None:
    data = MODELS / "mnist" / "test.npz"
    result, folder = verbs.run(MODELS / "mnist", data=data, samples=20, logits=True, out=tmp_path)
    assert result.parity is not None and result.accuracy is not None
    assert result.parity.identical == result.parity.outputs == 200
    assert result.accuracy.metric == "top1"
    jsonschema.validate(result.to_json(), schema())
    assert result.to_json()["model"]["edits"] == [vars(logits.EDIT)]
    assert logits.EDIT.words in (folder / "report.html").read_text()


def test_random_inputs_are_compared_by_class_too(tmp_path: Path) -> None:
    result, _ = verbs.run(MODELS / "digits", samples=2, logits=True, out=tmp_path)
    assert result.parity is not None
    assert result.parity.top1_agreement == 1.0


@pytest.mark.parametrize("last", ["RELU", "SOFTMAX"])
def test_a_model_that_does_not_end_so_is_refused(last: str) -> None:
    model = ModelBuilder()
    x, y, z = (model.tensor((1, 4), scale=1 / 256, zero_point=-128) for _ in range(3))
    model.op("SOFTMAX", [x], [y], beta=1.0)
    model.op(last, [y], [z])
    graph = tflite_model.parse(model.build([x], [y, z] if last == "SOFTMAX" else [z]), "model")
    with pytest.raises(UsageError, match="does not end in a SOFTMAX"):
        logits.without_softmax(graph)
