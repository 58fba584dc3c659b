"""LiteRT's opinion on the reference: where both agree, where TFLite Micro is wrong, where LiteRT has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_nets
from model_builder import ModelBuilder

from tinydeploy import verbs
from tinydeploy.evaluate import second_opinion
from tinydeploy.evaluate.second_opinion import Opinion, ask
from tinydeploy.host.reference import Reference
from tinydeploy.model.readers import tflite_model
from tinydeploy.model.samples import random

MODELS = Path(__file__).resolve().parents[2] / "models"
needs_litert = pytest.mark.skipif(
    not second_opinion.available(), reason="not run: ai-edge-litert is not installed (tinydeploy[litert])"
)


def opinion(model: bytes, samples: int = 8) -> Opinion:
    inputs = random(tflite_model.parse(model, "m.tflite"), samples, 0).inputs
    with Reference(model) as reference:
        return ask(model, inputs, reference.run(inputs))


def model_of(kind: str, shape: tuple[int, ...], made: tuple[int, ...], *constants: Any) -> bytes:
    model = ModelBuilder()
    x, y = model.tensor(shape, scale=0.1), model.tensor(made, scale=0.1)
    arrays = [model.tensor(np.shape(a), "int32", data=np.array(a)) for a in constants]
    model.op(kind, [x, *arrays], [y])
    return model.build([x], [y])


@needs_litert
@pytest.mark.parametrize("name", ["digits/digits", "motion/motion_lstm"])
def test_both_agree(name: str) -> None:
    found = opinion((MODELS / f"{name}.tflite").read_bytes())
    assert found.parity is not None and found.warnings == ()
    assert found.parity.worse == 0 and found.parity.identical > 0
    assert found.parity.reference.startswith("LiteRT 2.")


@needs_litert
def test_a_reference_that_is_wrong() -> None:
    """As in a dilated convolution of an open batch: TFLite Micro believes shapes that are too small."""
    model = ModelBuilder()
    shapes = ((1, 8, 4), (1, 4, 4), (1, 4, 4), (1, 8, 4))
    x, folded, positive, y = (model.tensor(shape, scale=0.1) for shape in shapes)
    block, edges = (model.tensor(np.shape(a), "int32", data=np.array(a)) for a in ([2], [[0, 0]]))
    model.op("SPACE_TO_BATCH_ND", [x, block, edges], [folded])
    model.op("RELU", [folded], [positive])
    model.op("BATCH_TO_SPACE_ND", [positive, block, edges], [y])
    found = opinion(model.build([x], [y]))
    assert found.parity is not None and found.parity.worse > 0
    (warning,) = found.warnings
    assert warning.startswith("TFLite Micro, the reference, is itself off: ")


@needs_litert
def test_each_sample_starts_afresh() -> None:
    for initial in (True, False):
        found = opinion(small_nets.streaming(initial))
        assert found.parity is None or found.parity.worse == 0
        assert found.parity is not None or "LiteRT" in found.warnings[0]


@needs_litert
def test_what_litert_refuses_is_no_failure() -> None:
    model = model_of("RELU", (1, 4), (1, 4))
    inputs = [np.zeros((2, 1, 4), np.int8)]
    found = ask(b"no model at all" + model, inputs, inputs)
    assert found.parity is None
    assert found.warnings[0].startswith("no second opinion: LiteRT cannot run the model: ")
    other = ask(model, inputs, [np.zeros((2, 1, 5), np.int8)])
    assert other.parity is None and "other shapes" in other.warnings[0]


@needs_litert
def test_a_run_tells_it(tmp_path: Path) -> None:
    result, folder = verbs.run(MODELS / "digits", board="mps2-an385", out=tmp_path / "out")
    assert result.second_opinion is not None
    assert result.second_opinion.identical == result.second_opinion.outputs > 0
    assert "Reference with LiteRT" in (folder / "report.html").read_text()


def test_without_litert_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_opinion, "available", lambda: False)
    assert ask(b"", [], []) == Opinion()
