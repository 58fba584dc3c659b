"""`quantize` from float .tflite files: what is made runs, what is lost is told, what is wrong is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import flatbuffers
import float_nets
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from model_builder import ModelBuilder

from tinydeploy import verbs
from tinydeploy.errors import DataError, ModelError, ToolError, UsageError
from tinydeploy.model import card as cards
from tinydeploy.model.graph import DType
from tinydeploy.model.readers import tflite_model
from tinydeploy.prepare import calibration_set, extras, repair
from tinydeploy.prepare.float_host import BINS, FloatHost, Range
from tinydeploy.prepare.float_model import FloatModel
from tinydeploy.prepare.making import Made
from tinydeploy.prepare.tflite_quantizer import Quantizer

CALIBRATED, TESTED = 120, 100


@pytest.fixture(scope="module")
def unequal() -> bytes:
    return float_nets.classifier(unequal=True)


@pytest.fixture(scope="module")
def data(unequal: bytes) -> tuple[Any, Any]:
    return float_nets.labelled(unequal, CALIBRATED, 1), float_nets.labelled(unequal, TESTED, 9)


@pytest.fixture
def model(tmp_path: Path, unequal: bytes) -> Path:
    path = tmp_path / "net-float.tflite"
    path.write_bytes(unequal)
    return path


def quantized(model: Path, data: Any, **options: Any) -> Made:
    given, (x, y) = data
    groups = np.array(["a", "b"])[np.arange(len(y)) % 2]
    return verbs.quantize(model, given, out=model.parent / "out", data=(x, y, groups), **options)


def value(made: Made) -> float:
    assert made.quantized is not None and made.quantized.int8_side.accuracy is not None
    return made.quantized.int8_side.accuracy.value


def test_a_float_model_becomes_an_int8_one(model: Path, data: Any) -> None:
    told: list[str] = []
    made = quantized(model, data, notice=told.append, labels=["n", "e", "s", "w"])
    assert made.path == model.parent / "out" / "net.tflite"
    graph = tflite_model.load(made.path)
    assert {graph.tensors[i].dtype for i in (*graph.inputs, *graph.outputs)} == {DType.INT8}
    assert told[0].startswith("calibration: arrays x, y") and "4 classes: n (" in told[1]
    found = made.quantized
    assert found is not None and found.float_side.accuracy is not None
    assert found.float_side.accuracy.value == 1.0 and 0.5 < value(made) < 1.0
    assert [group.group for group in found.int8_side.groups] == ["a", "b"]
    by_group = sum(group.samples * (group.value or 0) for group in found.int8_side.groups)
    assert by_group == pytest.approx(TESTED * value(made))
    assert [layer.op for layer in found.layers] == ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"]
    for layer in found.layers:
        assert layer.snr_db is not None and layer.snr_db > 0 and sum(layer.counts) > 0
        assert layer.alone is not None and layer.alone <= 1.0
    assert min(layer.alone or 0 for layer in found.layers) >= value(made) - 0.05
    saved = json.loads((model.parent / "out" / "net.quantize.json").read_text())
    assert saved["int8_side"]["accuracy"]["value"] == value(made)
    assert saved["layers"][0]["snr_db"] == found.layers[0].snr_db


def test_tensors_of_any_name_are_looked_at(model: Path, data: Any) -> None:
    """litert-torch names tensors by a chain of modules: longer than a name is shown, and of several lines."""
    whole = schema.ModelT.InitFromPackedBuf(model.read_bytes(), 0)
    for number, tensor in enumerate(whole.subgraphs[0].tensors):
        tensor.name = ("torch.nn.modules.Sequential/\n" * 9 + f"é;{number}").encode()
    builder = flatbuffers.Builder()
    builder.Finish(whole.Pack(builder), file_identifier=b"TFL3")
    model.write_bytes(builder.Output())
    made = quantized(model, data, weights="mixed", max_loss=1.0)
    assert made.quantized is not None and len(made.quantized.layers) == 3
    for layer in made.quantized.layers:
        assert layer.snr_db is not None and sum(layer.counts) > 0
    assert sum(layer.int4 for layer in made.quantized.layers) == 2


def test_the_card_tells_what_was_made(model: Path, data: Any) -> None:
    (model.parent / "model.toml").write_text(
        'licence = "MIT"\n[input]\nmean = 0\nscale = 255\n[training]\nsamples = 5\n'
    )
    made = quantized(model, data, labels=["n", "e", "s", "w"])
    card = cards.load(made.path)
    assert card is not None and cards.doubts(card, made.path.read_bytes()) == ""
    assert (card.licence, card.labels, card.training.samples) == ("MIT", ("n", "e", "s", "w"), 5)
    assert card.preparation.scale == (255.0,) and card.range == (0.0, 1.0)
    assert card.calibration.samples == CALIBRATED and len(card.calibration.sha256) == 64
    assert card.made == "tinydeploy quantize net-float.tflite"
    assert card.figure is not None and (card.figure.metric, card.figure.value) == ("top1", 1.0)


def test_repairs_are_kept_if_they_are_good(model: Path, data: Any) -> None:
    plain = value(quantized(model, data))
    made = quantized(model, data, repair=True)
    assert made.quantized is not None
    first, *others = made.quantized.repairs
    assert first.step == "equalisation of 1 pairs of layers" and first.kept
    assert first.before == plain and first.after > plain
    assert value(made) == max(step.after for step in (first, *others) if step.kept) > plain


@pytest.mark.parametrize(
    ("options", "types"),
    [
        ({"activations": "int16"}, {DType.INT16}),
        ({"float_io": True}, {DType.FLOAT32}),
        ({"weights": "int4"}, {DType.INT8}),
        ({"weights": "mixed", "max_loss": 1.0}, {DType.INT8}),
        ({"weights": "mixed", "max_loss": -1.0}, {DType.INT8}),
    ],
)
def test_other_kinds_of_quantisation(model: Path, data: Any, options: Any, types: set[DType]) -> None:
    made = quantized(model, data, **options)
    graph = tflite_model.load(made.path)
    assert {graph.tensors[i].dtype for i in (*graph.inputs, *graph.outputs)} == types
    four = sum(tensor.is_int4 for tensor in graph.tensors)
    wanted = 2 if options.get("weights") == "int4" or options.get("max_loss") == 1.0 else 0
    assert four == wanted
    assert made.quantized is not None and sum(layer.int4 for layer in made.quantized.layers) >= wanted
    assert value(made) > 0.3


def test_without_labels_the_outputs_noise_is_told(model: Path, data: Any) -> None:
    (x, _), _ = data
    made = verbs.quantize(model, (x,), out=model.parent / "out", repair=True)
    found = made.quantized
    assert found is not None and found.int8_side.accuracy is None
    assert all(layer.alone is None and layer.snr_db is not None for layer in found.layers)
    assert found.repairs[0].kept and found.repairs[0].after > found.repairs[0].before


def test_the_experiment_compares_calibration_sets(model: Path, data: Any) -> None:
    made = quantized(model, data, experiment="calibration")
    assert [(trial.samples, trial.classes) for trial in made.trials] == [(120, 4), (20, 4), (120, 4)]
    (x, _), test = data
    with pytest.raises(UsageError, match="needs classes"):
        quantized(model, ((x,), test), experiment="calibration")


# What is wrong with a calibration set


def test_doubtful_calibration_sets_are_told(model: Path, data: Any) -> None:
    (x, y), (test_x, test_y) = data

    def warned(given: Any) -> str:
        made = quantized(model, (given, (test_x, test_y)))
        assert made.quantized is not None
        return "\n".join(made.quantized.warnings)

    one = y == 1
    assert "every calibration sample is of the class '1'" in warned((x[one], y[one]))
    assert "lacks 1 of 4 classes: 1" in warned((x[~one], y[~one]))
    assert "samples calibrate: ranges want 100 to 1,000" in warned((x[:50], y[:50]))
    both = np.concatenate([x, test_x[:7]]), np.concatenate([y, test_y[:7]])
    assert "7 of 127 calibration samples are in the test set" in warned(both)
    outlier = x.copy()
    outlier[0, 0, 0] = 1000
    assert "outliers rule the range of" in warned((outlier, y))
    assert warned((x, y)) == ""
    digest = cards.load(model.parent / "out" / "net.tflite")
    assert digest is not None
    (model.parent / "model.toml").write_text(f'[training]\nsha256 = "{digest.calibration.sha256}"\n')
    assert "is the training set" in warned((x, y))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x, y: (x[:, :6], y), "has shape"),
        (lambda x, y: (np.where(x > 0.5, np.nan, x), y), "NaN or infinite"),
        (lambda x, y: (x, y + 1), "labels 1 to 4 for 4 classes"),
        (lambda x, y: (x, y[:5]), "5 labels for"),
        (lambda x, y: (x, y, y[:5]), r"group has shape \[5\]"),
        (lambda x, y: (x[:0], y[:0]), "no samples"),
        (lambda x, y: ((x * 255).astype(np.uint8), y), "uint8 where the model takes float32"),
    ],
)
def test_wrong_calibration_sets_write_nothing(model: Path, data: Any, change: Any, words: str) -> None:
    given, _ = data
    with pytest.raises(DataError, match=words):
        verbs.quantize(model, change(*given), out=model.parent / "out")
    assert not (model.parent / "out").exists()


def test_what_cannot_be_quantised(tmp_path: Path, model: Path, data: Any) -> None:
    given, _ = data
    made = quantized(model, data)
    with pytest.raises(ModelError, match="is quantised already"):
        verbs.quantize(made.path, given, out=tmp_path / "again")
    with pytest.raises(UsageError, match="is the model itself"):
        verbs.quantize(model, given, out=model)
    with pytest.raises(UsageError, match="needs data to calibrate"):
        verbs.quantize(model, out=tmp_path / "again")
    builder = ModelBuilder()
    x, y = builder.tensor((1, 4), "float32", name="x"), builder.tensor((1, 4), "float32", name="y")
    builder.op("LEAKY_RELU", [x], [y], alpha=0.1)
    leaky = tmp_path / "leaky.tflite"
    leaky.write_bytes(builder.build([x], [y]))
    with pytest.raises(ModelError, match="in float: LEAKY_RELU"):
        verbs.quantize(leaky, (np.zeros((3, 4), np.float32),), out=tmp_path / "again")
    (tmp_path / "weights.pth").write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(ModelError, match="a PyTorch file"):
        verbs.quantize(tmp_path / "weights.pth", given, out=tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_missing_extra_is_named(model: Path, data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for package, extra in {"ai_edge_quantizer": "quantize", "onnx": "onnx", "litert_torch": "torch"}.items():
        with pytest.raises(ToolError) as error:
            extras.need(package)
        assert error.value.hint == f"pip install 'tinydeploy[{extra}]'"
    with pytest.raises(ToolError, match="needs ai-edge-quantizer"):
        quantized(model, data)


def test_files_of_the_users_are_left_alone(model: Path, data: Any) -> None:
    out = model.parent / "out"
    out.mkdir()
    (out / "net.tflite").write_text("mine")
    with pytest.raises(UsageError, match=r"net\.tflite"):
        quantized(model, data)
    assert [path.name for path in out.iterdir()] == ["net.tflite"]


# The parts


def test_equalisation_changes_nothing_in_real_numbers(unequal: bytes) -> None:
    quantizer, host = Quantizer(), FloatHost()
    before = FloatModel.parse(quantizer.settle(unequal), "net")
    after, pairs = repair.equalised(before)
    x = [float_nets.images(20)[:, None]]
    same = host.run(before.content, x)[0], host.run(after.content, x)[0]
    assert pairs == 1
    np.testing.assert_allclose(same[0], same[1], atol=1e-5)
    first = np.abs(after.weights(after.layers[0])).max(axis=(1, 2, 3))
    second = np.abs(after.weights(after.layers[1])).max(axis=(0, 1, 2))
    np.testing.assert_allclose(first, second, rtol=1e-3)


def test_biases_take_back_a_mean_error(unequal: bytes) -> None:
    quantizer, host = Quantizer(), FloatHost()
    model = FloatModel.parse(quantizer.settle(unequal), "net")
    x = [float_nets.images(20)[:, None]]
    dense = model.layers[-1]
    wrong = model.replaced({dense.inputs[2]: model.bias(dense) + 1})  # type: ignore[operator]
    corrected, _ = repair.bias_corrected(wrong, lambda changed: host.noise(model.content, changed.content, x))
    np.testing.assert_allclose(corrected.bias(dense), model.bias(dense), atol=1e-5)  # type: ignore[arg-type]


def test_clipping_gives_up_outliers() -> None:
    counts = np.zeros(BINS, np.int64)
    counts[: BINS // 10] = 1000
    counts[-1] = 1
    ruled = Range("t", 0.0, 100.0, counts)
    clipped = repair.clipped([ruled], 4)[0]
    assert clipped.low == 0 and 9 <= clipped.high < 60
    assert calibration_set.ruled_by_outliers([ruled]) == ["t"]
    even = replace(ruled, counts=np.full(BINS, 100))
    assert repair.clipped([even], 8)[0].high == 100 and calibration_set.ruled_by_outliers([even]) == []
