"""Samples: what is quantised, what is refused, what is warned of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from model_builder import ModelBuilder

from tinydeploy import samples, tflite_model
from tinydeploy.errors import DataError
from tinydeploy.graph import DType, Graph, Quantization, Tensor
from tinydeploy.reference import Reference


def image_model(dtype: str = "int8", classes: int = 3) -> Graph:
    """Input [1, 4, 4, 1] of scale 1/64, output [1, classes]."""
    model = ModelBuilder()
    scale = {} if dtype == "float32" else {"scale": 1 / 64, "zero_point": -10 if dtype == "int8" else 118}
    x = last = model.tensor((1, 4, 4, 1), dtype, **scale)
    if dtype != "int8":
        last = model.tensor((1, 4, 4, 1), scale=1 / 64, zero_point=-10)
        model.op("QUANTIZE", [x], [last])
    weights = model.tensor((classes, 16), data=np.ones((classes, 16)), scale=1.0)
    y = model.tensor((1, classes), scale=0.5)
    model.op("FULLY_CONNECTED", [last, weights, -1], [y])
    return tflite_model.parse(model.build([x], [y]), "m.tflite")


GRAPH = image_model()
SPREAD = np.linspace(-1.8, 2.1, 5 * 16, dtype=np.float32).reshape(5, 4, 4)


def saved(folder: Path, **arrays: Any) -> Path:
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return path


def refusal(folder: Path, graph: Graph = GRAPH, **arrays: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        samples.load(saved(folder, **arrays), graph)
    assert "\n" not in caught.value.message and "data.npz" in caught.value.message
    return caught.value


def test_floats_are_quantised(tmp_path: Path) -> None:
    loaded = samples.load(saved(tmp_path, x=SPREAD, y=np.array([0, 1, 2, 0, 1])), GRAPH)
    (x,) = loaded.inputs
    assert (x.shape, x.dtype, loaded.count) == ((5, 1, 4, 4, 1), np.int8, 5)
    assert np.abs((x.reshape(5, 4, 4).astype(float) + 10) / 64 - SPREAD).max() <= 0.5 / 64 + 1e-6
    assert loaded.labels is not None and loaded.labels.tolist() == [0, 1, 2, 0, 1]
    assert loaded.is_classification and loaded.warnings == ()
    assert "data.npz" in loaded.source and "sha256" in loaded.source


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 1), (1, 4, 4), (1, 4, 4, 1)])
def test_leading_and_trailing_ones_may_be_left_out(tmp_path: Path, shape: tuple[int, ...]) -> None:
    loaded = samples.load(saved(tmp_path, x=SPREAD.reshape(5, *shape)), GRAPH)
    assert loaded.inputs[0].shape == (5, 1, 4, 4, 1)
    assert loaded.labels is None and not loaded.is_classification


def test_a_limit(tmp_path: Path) -> None:
    loaded = samples.load(saved(tmp_path, x=SPREAD, y=np.arange(5) % 3), GRAPH, limit=2)
    assert loaded.count == 2 and loaded.labels is not None and len(loaded.labels) == 2


def test_integers_of_the_models_type_stay(tmp_path: Path) -> None:
    codes = np.arange(-128, -128 + 16 * 15, 1, dtype=np.int64).reshape(15, 4, 4).astype(np.int8)
    loaded = samples.load(saved(tmp_path, x=codes), GRAPH)
    np.testing.assert_array_equal(loaded.inputs[0].reshape(15, 4, 4), codes)


def test_a_float_model_takes_floats(tmp_path: Path) -> None:
    loaded = samples.load(saved(tmp_path, x=SPREAD.astype(np.float64)), image_model("float32"))
    assert loaded.inputs[0].dtype == np.float32
    np.testing.assert_array_equal(loaded.inputs[0].reshape(SPREAD.shape), SPREAD)


def test_several_inputs(tmp_path: Path) -> None:
    model = ModelBuilder()
    a, b, y = (model.tensor((1, 2), scale=1.0) for _ in range(3))
    model.op("ADD", [a, b], [y])
    graph = tflite_model.parse(model.build([a, b], [y]), "m.tflite")
    x0, x1 = np.array([[-100.0, 100.0]]), np.array([[100.0, -100.0]])
    loaded = samples.load(saved(tmp_path, x0=x0, x1=x1), graph)
    assert [x.tolist() for x in loaded.inputs] == [[[[-100, 100]]], [[[100, -100]]]]
    assert "no array 'x1'" in refusal(tmp_path, graph, x0=x0).message
    assert "x1 has 2 samples, x0 has 1" in refusal(tmp_path, graph, x0=x0, x1=np.zeros((2, 2))).message


def test_regression_labels(tmp_path: Path) -> None:
    loaded = samples.load(saved(tmp_path, x=SPREAD, y=np.zeros((5, 3))), GRAPH)
    assert loaded.labels is not None and not loaded.is_classification
    assert (loaded.labels.dtype, loaded.labels.shape) == (np.float32, (5, 1, 3))
    one_output = image_model(classes=1)
    loaded = samples.load(saved(tmp_path, x=SPREAD, y=np.arange(5)), one_output)
    assert loaded.labels is not None and loaded.labels.dtype == np.float32


# What is refused


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"z": SPREAD}, "no array 'x': it holds z"),
        ({"x": SPREAD[:0]}, "holds no samples"),
        ({"x": np.float32(3)}, "shape [] where the model takes"),
        ({"x": SPREAD.reshape(5, 16)}, "shape [5, 16] where the model takes [n, 1, 4, 4, 1] or [n, 4, 4, 1]"),
        ({"x": SPREAD * np.nan}, "NaN or infinite"),
        ({"x": SPREAD + np.inf}, "NaN or infinite"),
        ({"x": SPREAD.astype(np.int64)}, "is int64 where the model takes int8"),
        ({"x": SPREAD.astype(np.uint8)}, "is uint8 where the model takes int8"),
        ({"x": SPREAD.astype(np.complex64)}, "is complex64"),
        ({"x": SPREAD.astype(str)}, "where the model takes int8"),
        ({"x": SPREAD.astype(bool)}, "is bool where the model takes int8"),
        ({"x": SPREAD, "y": np.arange(4)}, "y has 4 labels for 5 samples"),
        ({"x": SPREAD, "y": np.array(1)}, "y has 1 labels for 5 samples"),
        ({"x": SPREAD, "y": np.arange(5)}, "labels 0 to 4 for a model of 3 classes"),
        ({"x": SPREAD, "y": np.arange(5) - 1}, "labels -1 to 3"),
        (
            {"x": SPREAD, "y": np.arange(5.0)},
            "float64 of shape [5] where the model's output has shape [1, 3]",
        ),
        ({"x": SPREAD, "y": np.full((5, 3), np.nan)}, "NaN"),
        ({"x": SPREAD, "y": np.array(list("abcde"))}, "class numbers (integers) or wanted values"),
    ],
)
def test_refusals(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    assert message in refusal(tmp_path, **arrays).message


def test_pixels_get_a_hint(tmp_path: Path) -> None:
    assert "(x.astype(int) - 128)" in refusal(tmp_path, x=np.zeros((5, 4, 4), np.uint8)).hint


def test_a_float_model_refuses_integers_and_huge_values(tmp_path: Path) -> None:
    graph = image_model("float32")
    assert "takes float32" in refusal(tmp_path, graph, x=np.zeros((5, 4, 4), np.int8)).message
    assert "beyond float32" in refusal(tmp_path, graph, x=np.full((5, 4, 4), 1e300)).message


def test_unreadable_files(tmp_path: Path) -> None:
    whole = saved(tmp_path, x=SPREAD).read_bytes()
    bad = tmp_path / "bad.npz"
    for content in (b"", b"PK\x03\x04", b"x = 1", whole[:100], whole[:-30], whole[:90] + whole[95:]):
        bad.write_bytes(content)
        with pytest.raises(DataError, match=r"bad\.npz"):
            samples.load(bad, GRAPH)
    with pytest.raises(DataError, match="no such data file"):
        samples.load(tmp_path / "absent.npz", GRAPH)
    np.save(tmp_path / "one.npy", SPREAD)
    with pytest.raises(DataError, match="is a single array"):
        samples.load(tmp_path / "one.npy", GRAPH)
    np.savez(bad, x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="Python objects"):
        samples.load(bad, GRAPH)


# What is warned of


def test_data_that_hardly_touch_the_range(tmp_path: Path) -> None:
    (warning,) = samples.load(saved(tmp_path, x=SPREAD / 100), GRAPH).warnings
    assert "hardly touches the input's range" in warning and "(the input holds -1.844 to 2.141)" in warning


def test_data_that_saturate(tmp_path: Path) -> None:
    (warning,) = samples.load(saved(tmp_path, x=SPREAD * 100), GRAPH).warnings
    assert "saturates the input" in warning and "scaled as in training" in warning


def test_random_samples_are_seeded_and_cover_the_range() -> None:
    one, two, other = (samples.random(GRAPH, 64, seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one.inputs[0], two.inputs[0])
    assert (one.inputs[0] != other.inputs[0]).any()
    assert one.inputs[0].shape == (64, 1, 4, 4, 1)
    assert (one.inputs[0].min(), one.inputs[0].max()) == (-128, 127)
    assert one.labels is None and one.source == "random, seed 7"
    (floats,) = samples.random(image_model("float32"), 64, 0).inputs
    assert floats.dtype == np.float32 and -1.85 < floats.min() < -1.8 and 2.1 < floats.max() < 2.15
    (pixels,) = samples.random(image_model("uint8"), 64, 0).inputs
    assert pixels.dtype == np.uint8 and pixels.max() == 255


# Arithmetic


@given(
    hnp.arrays(np.float32, 16, elements=st.floats(-1e6, 1e6, width=32)),
    st.floats(2**-20, 2**10, width=32),
    st.integers(-128, 127),
)
def test_quantize_stays_within_half_a_step(values: np.ndarray, scale: float, zero_point: int) -> None:
    tensor = Tensor(0, "", (16,), DType.INT8, Quantization((scale,), (zero_point,)))
    codes, _ = samples.quantize(values, tensor)
    exact = np.clip(values.astype(np.float64) / scale + zero_point, -128, 127)
    assert np.abs(codes - exact).max() <= 0.5 + 1e-6 * np.abs(values / scale).max()


def test_quantize_and_dequantize_are_tflite_micros() -> None:
    scale, zero_point = float(np.float32(0.0371)), 5
    model = ModelBuilder()
    x = model.tensor((1, 4096), "float32")
    q = model.tensor((1, 4096), scale=scale, zero_point=zero_point)
    y = model.tensor((1, 4096), "float32")
    model.op("QUANTIZE", [x], [q])
    model.op("DEQUANTIZE", [q], [y])
    blob = model.build([x], [y])
    halves = (np.arange(-2048, 2048) * 0.5 * scale / 4).astype(np.float32).reshape(1, 1, 4096)
    tensor = tflite_model.parse(blob, "m").tensors[q]
    with Reference(blob) as host:
        (expected,) = host.run([halves])
    codes, _ = samples.quantize(halves, tensor)
    np.testing.assert_array_equal(samples.dequantize(codes, tensor), expected)


def test_positions_are_drawn_from_what_they_pick() -> None:
    model = ModelBuilder()
    positions = model.tensor((5,), "int32")
    table = model.tensor((3, 2), scale=1.0, data=np.zeros((3, 2)))
    y = model.tensor((5, 2), scale=1.0)
    model.op("EMBEDDING_LOOKUP", [positions, table], [y])
    graph = tflite_model.parse(model.build([positions], [y]), "m.tflite")
    (drawn,) = samples.random(graph, 50, seed=1).inputs
    assert drawn.dtype == np.int32 and sorted(set(drawn.ravel().tolist())) == [0, 1, 2]


def test_labels_of_a_model_that_names_the_class(tmp_path: Path) -> None:
    model = ModelBuilder()
    x, y = model.tensor((1, 3), scale=1.0), model.tensor((1,), "int32")
    model.op("ARG_MAX", [x, model.tensor((1,), "int32", data=[1])], [y])
    graph = tflite_model.parse(model.build([x], [y]), "m.tflite")
    codes = np.arange(-126, 129, 85).astype(np.int8).reshape(1, 3).repeat(2, axis=0)
    loaded = samples.load(saved(tmp_path, x=codes, y=np.array([0, 2])), graph)
    assert loaded.is_classification
    refused = refusal(tmp_path, graph, x=codes, y=np.array([0, 3]))
    assert "labels 0 to 3 for a model of 3 classes" in refused.message
