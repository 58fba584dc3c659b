"""Element-wise, shape, reduction and quantisation ops, one op per model, against TFLite Micro bit for bit."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from math import prod
from pathlib import Path
from typing import Any

import bundle
import native
import numpy as np
import pytest
import random_graphs
from hypothesis import given, settings
from hypothesis import strategies as st
from model_builder import ModelBuilder
from nightly import turn
from tflite_micro import runtime

from tinydeploy.boards import lookup
from tinydeploy.boards.board import Board
from tinydeploy.engines.aot.arithmetic import loop_nest, tables
from tinydeploy.engines.aot.ir import Constant, Step
from tinydeploy.engines.aot.pipeline import AotEngine, lower
from tinydeploy.host import paths
from tinydeploy.model.readers import tflite_model

BATCH = 8  # models compiled together
KINDS = [
    kind
    for kind, maker in random_graphs.KINDS.items()
    if maker.__name__ not in ("conv", "fully_connected", "pool", "lstm")
]
ACTIVATIONS = st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])
ZERO_POINTS = st.one_of(st.sampled_from([-128, 127]), st.integers(-128, 127))
ALL_INT8 = np.arange(-128, 128).astype(np.int8)


def scales(low: float, high: float) -> st.SearchStrategy[float]:
    """Scales from 10**low to 10**high, evenly in the exponent."""
    return st.floats(low, high).map(lambda exponent: float(np.float32(10.0**exponent)))


def unary(
    kind: str,
    shape: Sequence[int],
    source: tuple[str, float | None, int],
    target: tuple[str, float | None, int],
    constants: Sequence[Any] = (),
    output_shape: Sequence[int] | None = None,
    **options: Any,
) -> bytes:
    """A model of one op; `source` and `target` are (type, scale, zero point), `constants` int32 inputs."""
    model = ModelBuilder()
    x = model.tensor(shape, source[0], scale=source[1], zero_point=source[2])
    rest = [model.tensor(np.shape(values), "int32", data=values) for values in constants]
    y = model.tensor(
        shape if output_shape is None else output_shape, target[0], scale=target[1], zero_point=target[2]
    )
    model.op(kind, [x, *rest], [y], **options)
    return model.build([x], [y])


def tflm_once(model: bytes, *inputs: native.Array) -> native.Array:
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=1 << 20)
    for i, values in enumerate(inputs):
        interpreter.set_input(values, i)
    interpreter.invoke()
    return np.array(interpreter.get_output(0))


def steps(model: bytes) -> tuple[Step, ...]:
    """The steps of a model of one op."""
    program, refusals = lower(tflite_model.parse(model, "model"))
    assert not refusals, refusals
    return tuple(step for _, op_steps in program.ops for step in op_steps)


def table(model: bytes) -> native.Array:
    """What the table of the model's only op gives for -128..127; without a step, it changes nothing."""
    found = steps(model)
    if not found:
        return ALL_INT8
    (step,) = found
    constant = step.args[2]
    assert step.kernel.name == "lookup"
    assert isinstance(constant, Constant)
    return np.asarray(constant.values)[ALL_INT8.view(np.uint8)]


# Tables: no compiler is needed to compare all 256 values


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(
        ["RELU", "RELU6", "LEAKY_RELU", "LOGISTIC", "TANH", "HARD_SWISH", "ELU", "ABS", "QUANTIZE"]
    ),
    scale=scales(-5, 2),
    ratio=scales(-1.9, 3),
    zero_point=ZERO_POINTS,
    output_zero_point=ZERO_POINTS,
    alpha=st.floats(0, 4, width=32),
)
def test_tables_equal_tflite_micro(
    kind: str, scale: float, ratio: float, zero_point: int, output_zero_point: int, alpha: float
) -> None:
    target: tuple[str, float, int] = ("int8", float(np.float32(scale * ratio)), output_zero_point)
    target = {"LOGISTIC": ("int8", 1 / 256, -128), "TANH": ("int8", 1 / 128, 0)}.get(kind, target)
    options: dict[str, Any] = {"alpha": alpha} if kind == "LEAKY_RELU" else {}
    model = unary(kind, (256,), ("int8", scale, zero_point), target, **options)
    np.testing.assert_array_equal(table(model), tflm_once(model, ALL_INT8))


@settings(max_examples=60, deadline=None)
@given(
    types=st.sampled_from(["int8 uint8", "int8 int16", "int8 int32", "uint8 int8"]),
    scale=scales(-5, 2),
    ratio=scales(-3, 3),
    points=st.tuples(st.integers(0, 127), st.integers(0, 127)),
)
def test_tables_between_types_equal_tflite_micro(
    types: str, scale: float, ratio: float, points: tuple[int, int]
) -> None:
    source, target = types.split()
    model = unary("QUANTIZE", (256,), (source, scale, points[0]), (target, scale * ratio, points[1]))
    inputs = ALL_INT8.view(np.dtype(source))
    np.testing.assert_array_equal(table(model), tflm_once(model, inputs))


@pytest.mark.parametrize(("source", "target"), [(0.05, 0.05), (0.01, 0.02), (1.0, 0.1)])
def test_relu_n1_to_1_is_its_definition(source: float, target: float) -> None:
    # TFLite Micro does not have this op, so the real function is the reference.
    model = unary("RELU_N1_TO_1", (256,), ("int8", source, 3), ("int8", target, -7))
    real = np.clip(source * (ALL_INT8.astype(float) - 3), -1, 1)
    expected = np.clip(np.floor(real / target + 0.5) - 7, -128, 127)
    assert np.abs(table(model).astype(float) - expected).max() <= (0 if source >= target else 1)


@given(st.integers(-(2**31), 0))
def test_the_exponential_is_close_to_the_real_one(raw: int) -> None:
    result = tables.exp_on_negative_values(np.array([raw], np.int64), 5)
    assert result[0] / 2**31 == pytest.approx(np.exp(raw / 2**26), abs=1e-6)


# Arithmetic


@st.composite
def binary(draw: st.DrawFn) -> bytes:
    """Arithmetic over scales from nearly equal to far apart, shapes equal or broadcast, constants."""
    kind = draw(st.sampled_from(["ADD", "SUB", "MUL", "SQUARED_DIFFERENCE"]))
    output = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    shapes = [[n if draw(st.integers(0, 3)) else 1 for n in output] for _ in range(2)]
    shapes[0] = shapes[0][draw(st.integers(0, len(output) - 1)) :]
    a_scale, b_scale = draw(scales(-5, 2)), draw(scales(-5, 2))
    larger = max(a_scale, b_scale)
    reach = {"MUL": a_scale * b_scale * 100, "SQUARED_DIFFERENCE": larger * larger * 100}.get(kind, larger)
    model = ModelBuilder()
    inputs = []
    operands = []
    for shape, scale in zip(shapes, (a_scale, b_scale), strict=True):
        constant = draw(st.integers(0, 3)) == 0
        data = np.resize(ALL_INT8[:: draw(st.sampled_from([1, 17, 255]))], shape) if constant else None
        operands.append(model.tensor(shape, scale=scale, zero_point=draw(ZERO_POINTS), data=data))
        inputs += [] if constant else [operands[-1]]
    y = model.tensor(
        np.broadcast_shapes(*shapes), scale=reach * draw(scales(-2, 2)), zero_point=draw(ZERO_POINTS)
    )
    unused = model.tensor((1,), scale=1.0)
    fused = draw(ACTIVATIONS)
    options = {} if kind == "SQUARED_DIFFERENCE" else {"fused_activation_function": fused}
    model.op(kind, operands, [y], **options)
    return model.build(inputs or [unused], [y])


@native.property_settings(5)
@given(st.lists(binary(), min_size=BATCH, max_size=BATCH))
def test_arithmetic_equals_tflite_micro(models: list[bytes]) -> None:
    native.assert_parity(models)


@st.composite
def comparison(draw: st.DrawFn) -> bytes:
    """All pairs of int8 values that an op compares, at two scales below 1: equal, near or far apart."""
    kinds = ["EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"]
    scale = draw(scales(-6, -0.01))
    model = ModelBuilder()
    x = model.tensor((256, 1), scale=scale, zero_point=draw(ZERO_POINTS))
    ratio = draw(st.sampled_from([1.0, 0.5, 0.999, draw(scales(-6, 0))]))
    y = model.tensor((256,), scale=scale * ratio, zero_point=draw(ZERO_POINTS), data=ALL_INT8)
    z = model.tensor((256, 256), "bool")
    model.op(draw(st.sampled_from(kinds)), [x, y], [z])
    return model.build([x], [z])


@native.property_settings(2)
@given(st.lists(comparison(), min_size=4, max_size=4))
def test_comparisons_equal_tflite_micro(models: list[bytes]) -> None:
    for model in models:
        (compiled,) = native.compile_all([tflite_model.parse(model, "model")])
        np.testing.assert_array_equal(
            compiled.run([[ALL_INT8.reshape(256, 1)]])[0][0], tflm_once(model, ALL_INT8.reshape(256, 1))
        )


@st.composite
def prelu(draw: st.DrawFn) -> bytes:
    """Every int8 value under four slopes."""
    model = ModelBuilder()
    scale, slope = draw(scales(-4, 2)), draw(scales(-4, 1))
    x = model.tensor((64, 4, 4), scale=scale, zero_point=draw(ZERO_POINTS))
    points = draw(ZERO_POINTS)
    slopes = draw(st.lists(st.integers(-128, 127), min_size=4, max_size=4))
    alpha = model.tensor((1, 1, 4), scale=slope, zero_point=points, data=slopes)
    y = model.tensor((64, 4, 4), scale=scale * draw(scales(-2, 2)), zero_point=draw(ZERO_POINTS))
    model.op("PRELU", [x, alpha], [y])
    return model.build([x], [y])


@native.property_settings(2)
@given(st.lists(prelu(), min_size=BATCH, max_size=BATCH))
def test_prelu_equals_tflite_micro(models: list[bytes]) -> None:
    native.assert_parity(models)


def test_l2_normalization_of_any_length() -> None:
    # Rows of one value, of zeros, and of lengths that need each of the shifts before the square root.
    models = [
        unary("L2_NORMALIZATION", (24, depth), ("int8", 0.1, point), ("int8", 1 / 128, 0))
        for depth in (1, 2, 3, 10, 64, 300)
        for point in (-128, 0, 127)
    ]
    models.append(unary("L2_NORMALIZATION", (1, 9000), ("int8", 0.1, -128), ("int8", 1 / 128, 0)))
    native.assert_parity(models, samples=4)
    for row in ([0, 0], [1, 0], [1, 1], [0, -2], [-128, 127], [127, 127]):
        model = unary("L2_NORMALIZATION", (1, 2), ("int8", 0.1, 0), ("int8", 1 / 128, 0))
        values = np.array([row], np.int8)
        ours = native.run(tflite_model.parse(model, "model"), [values])[0]
        np.testing.assert_array_equal(ours, tflm_once(model, values))


@st.composite
def mean(draw: st.DrawFn) -> bytes:
    shape = [*draw(st.lists(st.integers(1, 5), max_size=4)), draw(st.sampled_from([1, 2, 3, 4, 5, 8, 12]))]
    axes = draw(st.lists(st.integers(-len(shape), len(shape) - 1), min_size=1, max_size=4))
    keep = draw(st.booleans())
    gone = {axis % len(shape) for axis in axes}
    output = [1 if axis in gone else n for axis, n in enumerate(shape) if keep or axis not in gone]
    dtype = draw(st.sampled_from(["int8", "int8", "int16"]))
    scale = draw(scales(-4, 2))
    source = (dtype, scale, draw(ZERO_POINTS))
    target = (dtype, scale * draw(scales(-3, 3)), draw(ZERO_POINTS))
    return unary(
        draw(st.sampled_from(["MEAN", "SUM"])), shape, source, target, [axes], output, keep_dims=keep
    )


@native.property_settings(2)
@given(st.lists(mean(), min_size=BATCH, max_size=BATCH))
def test_mean_and_sum_equal_tflite_micro(models: list[bytes]) -> None:
    native.assert_parity(models)


@pytest.mark.parametrize("value", [-128, 127])
@pytest.mark.parametrize("count", [256, 257, 258])
def test_means_of_many_equal_values(count: int, value: int) -> None:
    """257 values of a channel still share a word with another channel's."""
    quantized = ("int8", 0.05, 3)
    window = {"padding": "VALID", "filter_height": count, "filter_width": 1, "stride_h": 1, "stride_w": 1}
    for model in (
        unary("MEAN", (1, count, 1, 8), quantized, quantized, [[1, 2]], (1, 8)),
        unary("AVERAGE_POOL_2D", (1, count, 1, 8), quantized, quantized, (), (1, 1, 1, 8), **window),
    ):
        values = np.full((1, count, 1, 8), value, np.int8)
        values[..., 5] = 1  # between two that are full
        ours = native.compile_all([tflite_model.parse(model, "model")], board=native.DSP)[0].run([[values]])
        np.testing.assert_array_equal(ours[0][0], tflm_once(model, values))


# (a's, b's, the output's) scale and zero point, SUB or ADD, the fused activation, the kernel that is chosen.
SUMS = [
    ((0.05, 3), (0.05, -7), (0.08, 0), "ADD", "NONE", "add_linear"),
    ((0.05, 3), (0.0121, 100), (0.0371, -128), "SUB", "RELU", "add_linear"),
    ((0.9, -128), (0.002, 127), (0.31, 17), "ADD", "RELU6", "add_linear"),
    ((0.01, 0), (0.01, 0), (2.5, 0), "SUB", "NONE", "add_linear"),
    # Halves are rounded away from zero on both sides of it: the line is a little steeper than the ratio.
    ((0.05, 0), (0.05, 0), (0.1, 0), "ADD", "NONE", "add_linear"),
    # The rescalings' own rounding shows: no line does that.
    ((0.60341096, -37), (0.41206327, 28), (0.73532295, 35), "ADD", "NONE", "add"),
]


@pytest.mark.parametrize("board", [native.PORTABLE, native.MVE], ids=lambda board: board.id)
@pytest.mark.parametrize("case", SUMS)
def test_the_sums_of_every_pair(case: tuple[Any, ...], board: Board) -> None:
    *ends, kind, activation, kernel = case
    model = ModelBuilder()
    a, b, y = (model.tensor((256, 256), scale=scale, zero_point=point) for scale, point in ends)
    model.op(kind, [a, b], [y], fused_activation_function=activation)
    blob = model.build([a, b], [y])
    x = np.arange(-128, 128, dtype=np.int8)
    pairs = np.repeat(x[:, np.newaxis], 256, axis=1), np.repeat(x[np.newaxis], 256, axis=0)
    assert [step.kernel.name for step in steps(blob)] == [kernel]
    ours = native.compile_all([tflite_model.parse(blob, "model")], board=board)[0].run([pairs])
    np.testing.assert_array_equal(ours[0][0], tflm_once(blob, *pairs))


@st.composite
def softmax(draw: st.DrawFn) -> bytes:
    target = draw(st.sampled_from([("int8", 1 / 256, -128), ("int16", 1 / 65536, -32768)]))
    shape = [draw(st.integers(1, 4)), draw(st.sampled_from([1, 2, 3, 10, 101, 500]))]
    source = ("int8", draw(scales(-4, 2)), draw(ZERO_POINTS))
    return unary("SOFTMAX", shape, source, target, beta=draw(st.sampled_from([1.0, 0.1, 10.0])))


@native.property_settings(2)
@given(st.lists(softmax(), min_size=BATCH, max_size=BATCH))
def test_softmax_equals_tflite_micro(models: list[bytes]) -> None:
    native.assert_parity(models)


def log_softmax(scale: float, depth: int, zero_point: int, rows: int = 64) -> bytes:
    return unary("LOG_SOFTMAX", (rows, depth), ("int8", scale, zero_point), ("int8", 1 / 16, 127))


def test_log_softmax_equals_tflite_micro() -> None:
    # Sums from 1 to 4,095 and differences from all that count to none, at scales over eight decades.
    random = np.random.default_rng(0)
    scales = [1e-7, 0.03125, 0.1, 1.0, 40.0, *10 ** random.uniform(-4, 1.5, 6 * native.FACTOR)]
    depths = [1, 2, 3, 10, 50, 400]
    models = [
        log_softmax(float(np.float32(scale)), depths[i % len(depths)], int(random.integers(-128, 128)))
        for i, scale in enumerate(scales)
    ]
    models.append(log_softmax(1e-4, 4095, 0, rows=2))
    native.assert_parity(models, samples=4)


@st.composite
def requantization(draw: st.DrawFn) -> bytes:
    """QUANTIZE and DEQUANTIZE of what no table serves."""
    pairs = ["float32 int8", "float32 int16", "int16 int8", "int16 int16", "int16 int32"]
    pairs += ["int32 int8", "int32 int16", "int8 float32", "uint8 float32", "int16 float32"]
    source, target = draw(st.sampled_from(pairs)).split()
    points = {"float32": 0, "uint8": 200, "int32": 0}
    scale = draw(scales(-4, 0)) * (1e-6 if source == "int32" else 1.0)
    ratio = draw(scales(-3, 4)) * (1e6 if source == "int32" else 1.0)
    a = (source, None if source == "float32" else scale, points.get(source, draw(ZERO_POINTS)))
    b = (target, None if target == "float32" else scale * ratio, points.get(target, draw(ZERO_POINTS)))
    return unary("QUANTIZE" if target != "float32" else "DEQUANTIZE", (300,), a, b)


@native.property_settings(3)
@given(st.lists(requantization(), min_size=BATCH, max_size=BATCH))
def test_requantization_equals_tflite_micro(models: list[bytes]) -> None:
    native.assert_parity(models)


def test_quantize_rounds_ties_away_and_saturates() -> None:
    ties = np.arange(-140.0, 140.0, 0.5, np.float32)
    nearly = np.nextafter(ties, np.float32(np.inf))
    values = np.concatenate([ties, nearly, -nearly])
    model = unary("QUANTIZE", values.shape, ("float32", None, 0), ("int8", 1.0, 5))
    (compiled,) = native.compile_all([tflite_model.parse(model, "model")], sanitize=True)
    np.testing.assert_array_equal(compiled.run([[values]])[0][0], tflm_once(model, values))

    # Beyond int32, TFLite Micro's result depends on the processor. Ours saturates, and NaN is zero.
    model = unary("QUANTIZE", (6,), ("float32", None, 0), ("int8", 0.5, 5))
    (compiled,) = native.compile_all([tflite_model.parse(model, "model")], sanitize=True)
    beyond = np.array([1e20, -1e20, np.inf, -np.inf, np.nan, 3.4e38], np.float32)
    assert compiled.run([[beyond]])[0][0].tolist() == [127, -128, 127, -128, 5, 127]


# Every kind: shapes, axes, constants and options as they come, under the sanitizers


@pytest.mark.parametrize("kind", KINDS)
def test_one_op_equals_tflite_micro(kind: str) -> None:
    native.assert_parity(
        [random_graphs.make(seed, kind) for seed in range(10_000, 10_000 + 3 * native.FACTOR)]
    )


def test_no_op_reads_or_writes_out_of_bounds() -> None:
    native.assert_parity([random_graphs.make(20_000, kind) for kind in random_graphs.KINDS], sanitize=True)


def test_broadcasting_takes_up_to_five_loops() -> None:
    def model(rank: int) -> bytes:
        a, b = [2, 1] * rank, [1, 3] * rank
        builder = ModelBuilder()
        x, y = (builder.tensor(shape[:rank], scale=0.1) for shape in (a, b))
        z = builder.tensor(np.broadcast_shapes(a[:rank], b[:rank]), scale=0.2)
        builder.op("ADD", [x, y], [z])
        return builder.build([x, y], [z])

    native.assert_parity([model(rank) for rank in range(1, 6)], sanitize=True)
    assert "6 loops" in refusal(model(6))


@pytest.mark.parametrize("options", list(itertools.product([False, True], repeat=2)))
def test_resize_picks_tflite_micros_pixels(options: tuple[bool, bool]) -> None:
    names = dict(zip(("align_corners", "half_pixel_centers"), options, strict=True))
    for source, target in itertools.product([1, 2, 3, 5, 8, 13], [1, 2, 3, 4, 6, 7, 9, 16, 25]):
        model = unary(
            "RESIZE_NEAREST_NEIGHBOR",
            (1, source, 1, 1),
            ("int8", 1.0, 0),
            ("int8", 1.0, 0),
            [[target, 1]],
            (1, target, 1, 1),
            **names,
        )
        (step,) = steps(model)
        rows = step.args[2]
        assert isinstance(rows, Constant)
        picked = tflm_once(model, np.arange(source, dtype=np.int8).reshape(1, source, 1, 1))
        assert rows.values.tolist() == picked.ravel().tolist(), (source, target)


def test_resize_bilinear_blends_tflite_micros_pixels() -> None:
    options = [{}, {"align_corners": True}, {"half_pixel_centers": True}]
    values = np.array([-128, 127, -127, 126, 3, -90, 127, -128], np.int8)
    source = ("int8", 1.0, 0)
    graphs, expected, inputs = [], [], []
    for names, extent in itertools.product(options, [1, 2, 3, 5, 8]):
        model = ModelBuilder()
        x = model.tensor((1, extent, 1, 1), scale=1.0)
        outputs = []
        for target in (1, 2, 3, 4, 6, 7, 9, 16, 25, 40):
            outputs.append(model.tensor((1, target, 1, 1), scale=1.0))
            size = model.tensor((2,), "int32", data=[target, 1])
            model.op("RESIZE_BILINEAR", [x, size], [outputs[-1]], **names)
        blob = model.build([x], outputs)
        graphs.append(tflite_model.parse(blob, f"{names} of {extent}"))
        inputs.append([values[:extent].reshape(1, extent, 1, 1)])
        expected.append(native.tflm(blob, [inputs[-1]])[0])
    for compiled, sample, theirs in zip(native.compile_all(graphs), inputs, expected, strict=True):
        for mine, reference in zip(compiled.run([sample])[0], theirs, strict=True):
            np.testing.assert_array_equal(mine, reference, compiled.graph.path)

    # The rounded scale leads TFLite Micro beyond this input. We stay on its last pixel.
    model = unary("RESIZE_BILINEAR", (1, 1, 1, 1), source, source, [[97, 1]], (1, 97, 1, 1))
    (compiled,) = native.compile_all([tflite_model.parse(model, "model")], sanitize=True)
    assert set(compiled.run([[np.full((1, 1, 1, 1), 77, np.int8)]])[0][0].ravel().tolist()) == {77}


@pytest.mark.parametrize("edges", [((0, 0), (0, 0)), ((1, 0), (0, 2)), ((3, 2), (2, 4)), ((0, 5), (7, 5))])
def test_space_to_batch_pads_with_the_zero_point(edges: tuple[tuple[int, int], ...]) -> None:
    # TFLite Micro pads with whatever its memory holds, so the definition is the reference.
    block, zero_point = (2, 3), -77
    values = np.arange(-60, 60).astype(np.int8).reshape(2, 5, 4, 3)
    if not any(map(sum, edges)):
        values = values.reshape(2, 10, 6, 1)
    padded = np.pad(values, ((0, 0), *edges, (0, 0)), constant_values=zero_point)
    if any(extent % size for extent, size in zip(padded.shape[1:3], block, strict=True)):
        rest = [-extent % size for extent, size in zip(padded.shape[1:3], block, strict=True)]
        edges = tuple((before, after + n) for (before, after), n in zip(edges, rest, strict=True))
        padded = np.pad(values, ((0, 0), *edges, (0, 0)), constant_values=zero_point)
    images = [padded[:, y::2, x::3] for y in range(2) for x in range(3)]
    expected = np.concatenate(images)
    kind = ("int8", 0.1, zero_point)
    model = unary("SPACE_TO_BATCH_ND", values.shape, kind, kind, [block, edges], expected.shape)
    (ours,) = native.run(tflite_model.parse(model, "model"), [values], sanitize=True)
    np.testing.assert_array_equal(ours, expected)
    back = unary("BATCH_TO_SPACE_ND", expected.shape, kind, kind, [block, edges], values.shape)
    (again,) = native.run(tflite_model.parse(back, "model"), [expected], sanitize=True)
    np.testing.assert_array_equal(again, values)
    np.testing.assert_array_equal(again, tflm_once(back, expected))


def test_positions_beyond_the_table_take_its_nearest_row() -> None:
    # TFLite Micro reads wherever GATHER's position leads, and fails in EMBEDDING_LOOKUP.
    positions = np.array([-(2**31), -1, 0, 2, 3, 2**31 - 1], np.int32)
    for kind in ("GATHER", "EMBEDDING_LOOKUP"):
        model = ModelBuilder()
        where = model.tensor((6,), "int32")
        rows = model.tensor((3, 2), scale=0.1, data=[[1, 2], [3, 4], [5, 6]])
        y = model.tensor((6, 2), scale=0.1)
        model.op(kind, [rows, where] if kind == "GATHER" else [where, rows], [y])
        graph = tflite_model.parse(model.build([where], [y]), kind)
        (picked,) = native.run(graph, [positions], sanitize=True)
        assert picked[:, 0].tolist() == [1, 1, 1, 5, 5, 5]


def test_a_constant_factor_makes_a_product_of_matrices_a_layer() -> None:
    def model(zero_point: int, adj_x: bool) -> bytes:
        builder = ModelBuilder()
        a = builder.tensor((2, 6, 6), scale=0.1, zero_point=3)
        values = np.arange(-24, 24).reshape(6, 8)
        b = builder.tensor((6, 8), scale=0.02, zero_point=zero_point, data=values)
        y = builder.tensor((2, 6, 8), scale=0.2, zero_point=-5)
        builder.op("BATCH_MATMUL", [a, b], [y], adj_x=adj_x)
        return builder.build([a], [y])

    kernels = {(0, False): "fully_connected", (4, False): "batch_matmul", (0, True): "batch_matmul"}
    for case, kernel in kernels.items():
        assert [step.kernel.name for step in steps(model(*case))] == [kernel]
    native.assert_parity([model(*case) for case in kernels])


def test_a_store_of_bools_may_not_touch_an_input_of_integers() -> None:
    # C++ takes the two to be apart, so the compiler may reorder them; bytes it takes to touch anything.
    model = ModelBuilder()
    x, y = model.tensor((64,), "int32"), model.tensor((64,), "int32")
    z = model.tensor((64,), "bool")
    model.op("EQUAL", [x, y], [z])
    plan = AotEngine().generate(tflite_model.parse(model.build([x, y], [z]), "model"), native.PORTABLE).arena
    assert plan is not None and plan.bytes == 2 * 256 + 64


def test_ops_that_move_nothing_cost_nothing() -> None:
    source = ("int8", 0.1, 3)
    assert steps(unary("RESHAPE", (2, 6), source, source, [[3, 4]], (3, 4))) == ()
    assert steps(unary("EXPAND_DIMS", (2, 6), source, source, [0], (1, 2, 6))) == ()
    assert steps(unary("SQUEEZE", (2, 1, 6), source, source, [], (2, 6))) == ()
    assert steps(unary("CAST", (2, 6), ("bool", None, 0), ("int8", 1.0, 0))) == ()
    assert steps(unary("TRANSPOSE", (2, 1, 6), source, source, [[1, 0, 2]], (1, 2, 6))) == ()


# Loops


@given(st.data())
def test_fused_loops_visit_the_same_elements(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 4), max_size=5))
    order = data.draw(st.permutations(range(len(shape))))
    whole = loop_nest.contiguous(shape)
    walk = tuple(whole[axis] for axis in order)
    extents = [shape[axis] for axis in order]
    loops, (fused,) = loop_nest.fuse(extents, walk)

    def offsets(shape: Sequence[int], steps: Sequence[int]) -> list[int]:
        return [sum(map(int.__mul__, at, steps)) for at in itertools.product(*map(range, shape))]

    assert offsets(loops, fused) == offsets(extents, walk)
    assert 1 not in loops
    assert loop_nest.fuse(shape, whole) == (((prod(shape),), ((1,),)) if prod(shape) > 1 else ((), ((),)))


@given(st.lists(st.integers(1, 3), max_size=4), st.data())
def test_broadcast_strides_are_numpys(output: list[int], data: st.DataObject) -> None:
    shape = [n if data.draw(st.booleans()) else 1 for n in output][data.draw(st.integers(0, len(output))) :]
    expected = np.broadcast_to(np.arange(prod(shape)).reshape(shape), output).ravel().tolist()
    walk = loop_nest.broadcast(shape, output)
    places = itertools.product(*map(range, output))
    assert [sum(map(int.__mul__, at, walk)) for at in places] == expected


# Refusals


def refusal(model: bytes) -> str:
    """Why the engine refuses the model's first op; a crash of the lowering would raise."""
    refusals = AotEngine().refusals(tflite_model.parse(model, "model"))
    assert refusals, "the model was not refused"
    return refusals[0].reason


def joined(
    kind: str,
    shapes: Sequence[Sequence[int]],
    output: Sequence[int],
    *,
    dtype: str = "int8",
    scale: float = 0.1,
    output_type: str = "int8",
    output_scale: float = 0.1,
    **options: Any,
) -> bytes:
    model = ModelBuilder()
    inputs = [model.tensor(shape, dtype, scale=scale) for shape in shapes]
    y = model.tensor(output, output_type, scale=output_scale)
    model.op(kind, inputs, [y], **options)
    return model.build(inputs, [y])


INT8 = ("int8", 0.1, 0)
REFUSED = {
    "three dimensions of 2, 3": joined("ADD", [(2,), (3,)], (3,)),
    "its output's scale is too far below": joined("ADD", [(2,), (2,)], (2,), output_scale=1e-8),
    "the fused activation TANH": joined("ADD", [(2,), (2,)], (2,), fused_activation_function="TANH"),
    "it has 3 inputs": joined("MUL", [(2,), (2,), (2,)], (2,)),
    "it takes int8 tensors, not int16": unary("HARD_SWISH", (2,), ("int16", 0.1, 0), ("int16", 0.1, 0)),
    "scale or zero point differs": joined("CONCATENATION", [(2,), (2,)], (4,), output_scale=0.2),
    "do not add up": joined("CONCATENATION", [(2,), (2,)], (5,)),
    "more than TFLite Micro's 10": joined("CONCATENATION", [(1,)] * 11, (11,)),
    "axis 2 is out of range": joined("CONCATENATION", [(2,), (2,)], (4,), axis=2),
    "do not stack up": joined("PACK", [(2,), (2,)], (3, 2), values_count=2),
    "zero point is 0, not -128": unary("LOGISTIC", (2,), INT8, ("int8", 1 / 256, 0)),
    "its output has scale 0.1 and zero point 0": unary("SOFTMAX", (1, 2), INT8, INT8, beta=1.0),
    "4096 classes": unary("SOFTMAX", (1, 4096), INT8, ("int8", 1 / 256, -128), beta=1.0),
    "beta * scale is": unary("SOFTMAX", (1, 2), ("int8", 1e-9, 0), ("int8", 1 / 256, -128), beta=1.0),
    "its slope -1 is negative": unary("LEAKY_RELU", (2,), INT8, INT8, alpha=-1.0),
    "the scales are 10 and 0.01": unary("HARD_SWISH", (2,), ("int8", 10.0, 0), ("int8", 0.01, 0)),
    "not 1/16 and 127": unary("LOG_SOFTMAX", (1, 2), INT8, INT8),
    "4096 classes,": log_softmax(0.1, 4096, 0),
    "it begins at element": unary("GATHER_ND", (4,), INT8, INT8, [[[4]]], (1,)),
    "2 coordinates, more than 1": unary("GATHER_ND", (4,), INT8, INT8, [[[0, 0]]], (1,)),
    "axis 2 is out of": unary("CUMSUM", (2, 3), INT8, INT8, [2], (2, 3)),
    "an int32 tensor is quantised": joined("ADD", [(2,), (2,)], (2,), dtype="int32", output_type="int32"),
    "for an input of [3]": joined("ADD_N", [(2,), (3,)], (2,)),
    "not a permutation": unary("TRANSPOSE", (2, 3), INT8, INT8, [[0, 0]], (2, 2)),
    "a padding is negative": unary("PAD", (4,), INT8, INT8, [[[-1, 0]]], (3,)),
    "a stride is 0": unary("STRIDED_SLICE", (4,), INT8, INT8, [[0], [4], [0]], (4,)),
    "ellipsis_mask": unary("STRIDED_SLICE", (4,), INT8, INT8, [[0], [4], [1]], (4,), ellipsis_mask=1),
    "not (2,)": unary("STRIDED_SLICE", (4,), INT8, INT8, [[0], [2], [1]], (4,)),
    "has the shape (1,), not (3,)": unary("MEAN", (2, 3), INT8, INT8, [[0]], (1,)),
    "it takes int32 tensors, not int64": unary("ARG_MAX", (2, 3), INT8, ("int64", None, 0), [[1]], (2,)),
    "it takes int8 tensors, not int32": unary(
        "ARG_MAX", (3,), ("int32", None, 0), ("int32", None, 0), [[0]], ()
    ),
    "has the shape (3,), not (2,)": unary("ARG_MAX", (2, 3), INT8, ("int32", None, 0), [[1]], (3,)),
    "an input's scale is 1:": joined("LESS", [(2,), (2,)], (2,), scale=1.0, output_type="bool"),
    "it takes bool tensors, not int8": joined("LOGICAL_AND", [(2,), (2,)], (2,)),
    "int8 or int32 or int64 tensors, not int16": joined("LESS", [(2,), (2,)], (2,), dtype="int16"),
    "are quantised differently": unary("REDUCE_MAX", (4,), INT8, ("int8", 0.2, 0), [[0]], ()),
    "output has scale 0.1 and zero point 0, not 1/128": unary("L2_NORMALIZATION", (1, 2), INT8, INT8),
    "squares' sum may overflow": unary("L2_NORMALIZATION", (1, 33100), INT8, ("int8", 1 / 128, 0)),
    "both align_corners and": unary(
        "RESIZE_BILINEAR",
        (1, 2, 2, 1),
        INT8,
        INT8,
        [[4, 4]],
        (1, 4, 4, 1),
        align_corners=True,
        half_pixel_centers=True,
    ),
    "it takes positions -1 to 3 of 4": unary("GATHER", (4,), INT8, INT8, [[-1, 3]], (2,)),
    "not the shares of the input's (5,)": unary("SPLIT_V", (5,), INT8, INT8, [[4], 0], (4,), num_splits=1),
    "it begins at (3,), and reaches beyond": unary("SLICE", (4,), INT8, INT8, [[3], [2]], (2,)),
    "for blocks of 2×2": unary("SPACE_TO_DEPTH", (1, 3, 4, 1), INT8, INT8, [], (1, 1, 2, 4), block_size=2),
    "for blocks of (2,)": unary("BATCH_TO_SPACE_ND", (3, 1, 1), INT8, INT8, [[2], [[0, 0]]], (1, 2, 1)),
    "100 places, more than 64": unary(
        "BATCH_TO_SPACE_ND", (100, 1, 1), INT8, INT8, [[100], [[0, 0]]], (1, 100, 1)
    ),
    "81 copies, more than 27": unary(
        "MIRROR_PAD", (2,) * 4, INT8, INT8, [[[1, 1]] * 4], (4,) * 4, mode="SYMMETRIC"
    ),
    "its block size is 0": unary("DEPTH_TO_SPACE", (1, 1, 1, 4), INT8, INT8, [], (1, 2, 2, 1)),
    "it pads 2 elements by 2 and 0": unary("MIRROR_PAD", (2,), INT8, INT8, [[[2, 0]]], (4,), mode="REFLECT"),
    "does not broadcast to (3,)": unary("BROADCAST_TO", (2,), INT8, INT8, [[3]], (3,)),
    "int8 or int16 or int32 tensors, not int64": unary("CAST", (2,), INT8, ("int64", None, 0)),
    "(1, 2, 3) and (1, 2, 3) do not go together": joined("BATCH_MATMUL", [(1, 2, 3)] * 2, (1, 2, 3)),
    "axis 7 is out of range": unary("MEAN", (2, 3), INT8, INT8, [[7]], (3,)),
    "too far apart": unary("QUANTIZE", (2,), ("int8", 1e6, 0), ("int8", 1e-6, 0)),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_cannot_be_compiled_is_refused_with_its_reason(reason: str) -> None:
    expected = "do not broadcast" if reason.startswith("three") else reason
    assert expected in refusal(REFUSED[reason])


def test_a_value_computed_at_run_time_is_refused() -> None:
    model = ModelBuilder()
    x = model.tensor((4, 2), scale=0.1)
    axis = model.tensor((1,), "int32")
    y = model.tensor((2,), scale=0.1)
    model.op("MEAN", [x, axis], [y])
    assert refusal(model.build([x, axis], [y])) == "its axis is computed at run time"


# Cross compilers


@pytest.mark.parametrize("board", turn(["nucleo_g071rb", "mps2-an386", "qemu-virt-rv32"], "mps2-an386"))
def test_cross_compilers_warn_of_nothing_and_keep_every_call(board: str, tmp_path: Path) -> None:
    # GCC 12 drops calls of kernels whose stores it has lost sight of; the generated code is to prevent that.
    target = lookup.board(board)
    flags = ["-std=c++17", "-O2", "-ffreestanding", "-fno-exceptions", "-Wall", "-Wextra", "-Werror"]

    def missing_calls(kind: str) -> list[str]:
        folder = tmp_path / kind
        graph = tflite_model.parse(random_graphs.make(30_000, kind), kind)
        sources = AotEngine().generate(graph, target)
        for path, text in sources.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        (source,) = (path for path in sources.model if path.endswith(f"/{bundle.called(sources)}.cpp"))
        compiler = [
            f"{target.core.toolchain}g++",
            *target.core.flags,
            *flags,
            f"-I{paths.FIRMWARE / 'runtime'}",
        ]
        tool([*compiler, "-c", source, "-o", "model.o"], folder)
        listing = tool([f"{target.core.toolchain}objdump", "-drC", "model.o"], folder)
        functions = set(re.findall(r"void (op\d+_\w+)\(uint8_t\* arena\)", (folder / source).read_text()))
        return [
            name
            for name in functions
            if not re.search(rf"^\s.*{name}\(unsigned char\*\)(>|$)", listing, re.MULTILINE)
        ]

    def tool(command: list[str], folder: Path) -> str:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    with ThreadPoolExecutor(2) as pool:
        assert [name for names in pool.map(missing_calls, random_graphs.KINDS) for name in names] == []
