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

from tinydeploy.errors import DataError
from tinydeploy.host.reference import Reference
from tinydeploy.model import preprocessing_hints, samples
from tinydeploy.model.graph import DType, Graph, Quantization, Tensor
from tinydeploy.model.readers import tflite_model


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
    assert loaded.judge is not None and loaded.judge.truth.tolist() == [[0], [1], [2], [0], [1]]
    assert loaded.warnings == () and loaded.unjudged == ""
    assert "data.npz" in loaded.source and "sha256" in loaded.source


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 1), (1, 4, 4), (1, 4, 4, 1)])
def test_leading_and_trailing_ones_may_be_left_out(tmp_path: Path, shape: tuple[int, ...]) -> None:
    loaded = samples.load(saved(tmp_path, x=SPREAD.reshape(5, *shape)), GRAPH)
    assert loaded.inputs[0].shape == (5, 1, 4, 4, 1)
    assert loaded.judge is None and loaded.unjudged == ""


def test_a_limit_is_spread_by_class_and_says_so(tmp_path: Path) -> None:
    y = np.sort(np.arange(30) % 3)
    x = np.linspace(-1.8, 2.1, 30 * 16, dtype=np.float32).reshape(30, 4, 4)
    loaded = samples.load(saved(tmp_path, x=x, y=y), GRAPH, limit=6)
    assert loaded.judge is not None and loaded.judge.truth.reshape(-1).tolist() == [0, 0, 1, 1, 2, 2]
    assert loaded.source.endswith("; 6 of its 30 samples, spread by class, seed 0")
    whole = samples.load(saved(tmp_path, x=x, y=y), GRAPH)
    assert "samples, spread" not in whole.source
    rows = [np.flatnonzero((whole.inputs[0] == row).all(axis=(1, 2, 3, 4)))[0] for row in loaded.inputs[0]]
    assert (y[rows] == loaded.judge.truth.reshape(-1)).all()  # an input keeps its label
    unlabelled = samples.load(saved(tmp_path, x=x), GRAPH, limit=6)
    assert unlabelled.source.endswith("; 6 of its 30 samples, spread over the file, seed 0")


@given(st.lists(st.integers(0, 6), min_size=1, max_size=200), st.integers(1, 200), st.booleans())
def test_spread(classes: list[int], count: int, stratified: bool) -> None:
    strata = np.array(classes)
    count = min(count, len(strata))
    rows = samples.spread(len(strata), count, strata if stratified else None)
    assert len(rows) == count and (np.diff(rows) > 0).all() and 0 <= rows[0] <= rows[-1] < len(strata)
    assert (rows == samples.spread(len(strata), count, strata if stratified else None)).all()
    if stratified:
        sizes, taken = (np.bincount(numbers, minlength=7) for numbers in (strata, strata[rows]))
        present = int((sizes > 0).sum())
        assert (taken > 0).sum() == present or count < present
        # No class has much more than its share, but for the one sample that each is sure of.
        assert (taken <= np.maximum(1, np.ceil(sizes * count / len(strata)) + 1)).all()
    else:
        edges = np.arange(count + 1) * len(strata) // count
        assert ((edges[:-1] <= rows) & (rows < edges[1:])).all()


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


# What is refused


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"z": SPREAD}, "no array 'x': it holds z"),
        ({"y": np.arange(5)}, "no array 'x': it holds y"),
        ({"x": SPREAD[:0]}, "holds no samples"),
        ({"x": np.float32(3)}, "shape [] where the model takes"),
        ({"x": SPREAD.reshape(5, 16)}, "shape [5, 16] where the model takes [n, 1, 4, 4, 1] or [n, 4, 4, 1]"),
        ({"x": SPREAD * np.nan}, "NaN or infinite"),
        ({"x": SPREAD + np.inf}, "NaN or infinite"),
        ({"x": SPREAD.astype(np.int64)}, "is int64 where the model takes int8"),
        ({"x": SPREAD.astype(np.uint8)}, "is uint8 where the model takes int8"),
        ({"x": SPREAD.astype(np.complex64)}, "is complex64"),
        ({"x": SPREAD.astype(str)}, "is text (<U32) where the model takes int8"),
        ({"x": SPREAD.astype(bool)}, "is bool where the model takes int8"),
        ({"x": SPREAD, "y": np.arange(4)}, "y has 4 labels for 5 samples"),
        ({"x": SPREAD, "y": np.array(1)}, "y has a single value for 5 samples"),
        ({"x": SPREAD, "y": np.arange(5)}, "labels 0 to 4 for 3 classes"),
        ({"x": SPREAD, "y": np.arange(5) - 1}, "labels -1 to 3"),
        ({"x": SPREAD, "y": np.arange(5.0)}, "labels 0 to 4 for 3 classes"),
        ({"x": SPREAD, "y": np.arange(5) / 4}, "y holds fractions"),
        ({"x": SPREAD, "y": np.zeros((5, 7))}, "y of shape [5, 7] is no class numbers"),
        ({"x": SPREAD, "y": np.full((5, 3), np.nan)}, "NaN"),
        ({"x": SPREAD, "y": np.array(list("abcde"))}, "y has 5 different names for 3 classes"),
    ],
)
def test_refusals(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    assert message in refusal(tmp_path, **arrays).message


def test_a_float_model_refuses_integers_and_huge_values(tmp_path: Path) -> None:
    graph = image_model("float32")
    assert "takes float32" in refusal(tmp_path, graph, x=np.zeros((5, 4, 4), np.int8)).message
    assert "beyond float32" in refusal(tmp_path, graph, x=np.full((5, 4, 4), 1e300)).message


# What fits instead

SHAPES: list[tuple[tuple[int, ...], tuple[int, ...], str]] = [
    ((5, 3, 8, 6), (1, 8, 6, 3), "x.transpose(0, 2, 3, 1)"),
    ((3, 8, 6), (1, 8, 6, 3), "x.transpose(1, 2, 0)[None]"),
    ((8, 6, 3), (1, 8, 6, 3), "x[None]"),
    ((28, 28), (1, 28, 28, 1), "x[None]"),
    ((5, 784), (1, 28, 28, 1), "x.reshape(-1, 28, 28, 1)"),
    ((784,), (1, 28, 28, 1), "x.reshape(-1, 28, 28, 1)"),
    ((5, 28, 28, 1, 1), (1, 28, 28, 1), "x.reshape(-1, 28, 28, 1)"),
    ((8, 6, 3, 5), (1, 8, 6, 3), "np.moveaxis(x, -1, 0)"),
    ((5, 6, 8, 3), (1, 8, 6, 3), "x.transpose(0, 2, 1, 3)"),
    ((5, 6, 100), (1, 100, 6), "x.transpose(0, 2, 1)"),
    ((4,), (1, 4), "x[None]"),
    ((5, 2, 2), (1, 4), "x.reshape(-1, 4)"),
    ((), (1, 4), ""),
    ((5, 28, 28, 3), (1, 28, 28, 1), "the model takes 1 channels, not 3: convert them as in training"),
    ((5, 32, 32, 3), (1, 28, 28, 1), "resize to 28×28×1 as in training"),
    ((5, 7), (1, 4), ""),
]


@pytest.mark.parametrize(("given_shape", "shape", "hint"), SHAPES)
def test_what_makes_a_shape_fit(given_shape: tuple[int, ...], shape: tuple[int, ...], hint: str) -> None:
    assert not preprocessing_hints.fits(given_shape, shape)
    assert preprocessing_hints.of_shape("x", given_shape, shape) == hint


@given(st.lists(st.integers(1, 4), max_size=4), st.lists(st.integers(1, 4), max_size=4))
def test_what_is_said_to_fit_fits(given_shape: list[int], shape: list[int]) -> None:
    told = preprocessing_hints.of_shape("x", tuple(given_shape), (1, *shape))
    if told.startswith(("x", "np")) and not preprocessing_hints.fits(tuple(given_shape), (1, *shape)):
        made = eval(told, {"np": np, "x": np.zeros(given_shape)})
        assert preprocessing_hints.fits(made.shape, (1, *shape))


def of_range(low: float, high: float) -> Graph:
    """An int8 input that holds the values from `low` to `high`."""
    scale = (high - low) / 255
    model = ModelBuilder()
    x = model.tensor((1, 4), scale=scale, zero_point=round(-128 - low / scale))
    y = model.tensor((1, 4), scale=scale)
    model.op("RELU", [x], [y])
    return tflite_model.parse(model.build([x], [y]), "m.tflite")


@pytest.mark.parametrize(
    ("low", "high", "dtype", "hint"),
    [
        (0, 1, "uint8", "x.astype('float32') / 255 makes of pixels what the input holds"),
        (0, 1, "int64", "x.astype('float32') / 255 makes of pixels what the input holds"),
        (-1, 1, "uint8", "x.astype('float32') / 127.5 - 1 makes of pixels what the input holds"),
        (0, 255, "uint8", "x.astype('float32') makes of pixels what the input holds"),
        (-3, 7, "uint8", "x.astype('float32'), scaled as in training (the input holds -2."),
        (0, 1, "str", "x.astype('float32') if the text holds numbers"),
        (0, 1, "bool", "x.astype('float32')"),
    ],
)
def test_what_makes_a_type_fit(tmp_path: Path, low: float, high: float, dtype: str, hint: str) -> None:
    x = np.arange(20).reshape(5, 4) * 12
    assert refusal(tmp_path, of_range(low, high), x=x.astype(dtype)).hint.startswith(hint)


def test_codes_of_another_integer_type(tmp_path: Path) -> None:
    told = refusal(tmp_path, of_range(0, 1), x=np.arange(-10, 10).reshape(5, 4))
    assert "or x.astype('int8') if these are the model's codes already" in told.hint


@pytest.mark.parametrize(
    ("y", "hint"),
    [
        (np.zeros((3, 5)), "y.T"),
        (np.zeros((1, 5)), "y[0]"),
        (np.zeros(15), "y.reshape(5, 3) if each sample has 3"),
        (np.zeros(4), "x and y belong together"),
    ],
)
def test_labels_of_another_length(tmp_path: Path, y: np.ndarray, hint: str) -> None:
    assert hint in refusal(tmp_path, x=SPREAD, y=y).hint


# What is warned of


def test_data_that_hardly_touch_the_range(tmp_path: Path) -> None:
    (warning,) = samples.load(saved(tmp_path, x=SPREAD / 100), GRAPH).warnings
    assert "hardly touches the input's range" in warning and "(the input holds -1.844 to 2.141)" in warning


def test_data_that_saturate(tmp_path: Path) -> None:
    (warning,) = samples.load(saved(tmp_path, x=SPREAD * 100), GRAPH).warnings
    assert "saturates the input" in warning and "scaled as in training" in warning


@pytest.mark.parametrize(
    ("low", "high", "values", "word", "way"),
    [
        (0, 1, np.linspace(0, 255, 20), "saturates", "x / 255"),
        (-1, 1, np.linspace(0, 255, 20), "saturates", "x / 127.5 - 1"),
        (0, 255, np.linspace(0, 1, 20), "hardly touches", "x * 255"),
        (0, 1, np.linspace(-1, 1, 20), "saturates", "(x + 1) / 2"),
        (0, 255, np.linspace(-1, 1, 20), "hardly touches", "(x + 1) * 127.5"),
        (0, 1, np.linspace(-30, 900, 20), "saturates", "was it scaled as in training?"),
    ],
)
def test_what_would_fill_the_input(
    tmp_path: Path, low: float, high: float, values: np.ndarray, word: str, way: str
) -> None:
    x = values.reshape(5, 4).astype(np.float32)
    warning = samples.load(saved(tmp_path, x=x), of_range(low, high)).warnings[0]
    assert word in warning and way in warning
    if way.startswith(("x", "(")):
        better = eval(way, {"x": x}).astype(np.float32)
        assert samples.load(saved(tmp_path, x=better), of_range(low, high)).warnings == ()


def test_random_samples_are_seeded_and_cover_the_range() -> None:
    one, two, other = (samples.random(GRAPH, 64, seed) for seed in (7, 7, 8))
    np.testing.assert_array_equal(one.inputs[0], two.inputs[0])
    assert (one.inputs[0] != other.inputs[0]).any()
    assert one.inputs[0].shape == (64, 1, 4, 4, 1)
    assert (one.inputs[0].min(), one.inputs[0].max()) == (-128, 127)
    assert one.judge is None and one.source == "random, seed 7"
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
