"""Ops of int16: every value of the functions of one element, and layers of int16 with weights of int8."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import native
import numpy as np
import pytest
import random_graphs
import small_nets
from hypothesis import given
from hypothesis import strategies as st
from model_builder import ModelBuilder
from nightly import turn

from tinydeploy import verbs
from tinydeploy.engines.aot.pipeline import AotEngine
from tinydeploy.model.graph import Graph
from tinydeploy.model.readers import tflite_model

Shape = tuple[int, ...]
ALL_INT16 = np.arange(-(2**15), 2**15).astype(np.int16)
LAYERS = [
    *("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "AVERAGE_POOL_2D", "MAX_POOL_2D"),
    *("ADD", "SUB", "MUL", "SOFTMAX", "UNIDIRECTIONAL_SEQUENCE_LSTM"),
    *("BATCH_MATMUL", "PRELU", "SQUARED_DIFFERENCE", "TRANSPOSE_CONV"),
]


def unary(kind: str, scale: float, target: float, shape: tuple[int, ...] = (65536,), **options: Any) -> bytes:
    model = ModelBuilder()
    x, y = (model.tensor(shape, "int16", scale=s) for s in (scale, target))
    model.op(kind, [x], [y], **options)
    return model.build([x], [y])


def assert_every_value(models: list[bytes], shape: tuple[int, ...] = (65536,)) -> None:
    """All of int16 through each model, as TFLite Micro has it."""
    graphs = [tflite_model.parse(model, "model") for model in models]
    sample = [[ALL_INT16.reshape(shape)]]
    for model, compiled in zip(models, native.compile_all(graphs), strict=True):
        np.testing.assert_array_equal(compiled.run(sample)[0][0], native.tflm(model, sample)[0][0])


SCALES = st.floats(-6, 0.3).map(lambda exponent: float(np.float32(10.0**exponent)))


@pytest.mark.parametrize("kind", ["LOGISTIC", "TANH"])
def test_every_value_of_the_sigmoidal_functions(kind: str) -> None:
    powers = [2.0**-n for n in range(9, 15)]
    near = [2.0**-12 * 1.0004, 2.0**-11 * 1.001]  # the first still counts as a power of two
    random = np.random.default_rng(0)
    some = [float(np.float32(10**e)) for e in random.uniform(-6, 0.4, 10 * native.FACTOR)]
    assert_every_value([unary(kind, scale, 2.0**-15) for scale in (*powers, *near, *some)])


@pytest.mark.parametrize("kind", ["ABS", "RELU", "RELU6", "LEAKY_RELU"])
@native.property_settings(3)
@given(SCALES, st.floats(0.1, 10), st.sampled_from([0.0, 0.01, 0.3, 1.5]))
def test_every_value_of_the_relu_family(kind: str, scale: float, ratio: float, alpha: float) -> None:
    options = {"alpha": alpha} if kind == "LEAKY_RELU" else {}
    assert_every_value([unary(kind, scale, float(np.float32(scale * ratio)), **options)])


@native.property_settings(4)
@given(SCALES, st.sampled_from([1.0, 0.5, 3.0]), st.sampled_from([16, 1024, 65535 // 5]))
def test_softmax(scale: float, beta: float, classes: int) -> None:
    rows = 65536 // classes
    model = unary("SOFTMAX", scale, 2.0**-15, (rows, classes), beta=beta)
    graph = tflite_model.parse(model, "model")
    random = np.random.default_rng(classes)
    inputs = [random.permutation(ALL_INT16), np.sort(ALL_INT16), (ALL_INT16 >> 7).astype(np.int16)]
    samples = [[values[: rows * classes].reshape(rows, classes)] for values in inputs]
    (compiled,) = native.compile_all([graph])
    for ours, theirs in zip(compiled.run(samples), native.tflm(model, samples), strict=True):
        np.testing.assert_array_equal(ours[0], theirs[0])


def of_int16(kind: str, first: int, count: int) -> list[bytes]:
    """The first `count` random models from this seed whose op makes int16."""
    found: list[bytes] = []
    while len(found) < count:
        model = random_graphs.make(first, kind)
        graph = tflite_model.parse(model, "model")
        if graph.tensors[graph.ops[0].outputs[0]].dtype.value == "int16":
            found.append(model)
        first += 1
    return found


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL", "SQUARED_DIFFERENCE"])
def test_element_wise_ops_of_many_values(kind: str) -> None:
    """Enough to see the last bits of the factors."""
    random = np.random.default_rng(3)
    models = []
    for _ in range(4 * native.FACTOR):
        model = ModelBuilder()
        a, b = (model.tensor((65536,), "int16", scale=10 ** random.uniform(-4, -3)) for _ in range(2))
        y = model.tensor((65536,), "int16", scale=random.uniform(1e-3, 1e-2))
        model.op(kind, [a, b], [y])
        models.append(model.build([a, b], [y]))
    native.assert_parity(models, samples=3)


@pytest.mark.parametrize("bias", [True, False])
def test_the_last_bits_of_a_layers_factor(bias: bool) -> None:
    random = np.random.default_rng(4)
    models = []
    for _ in range(4 * native.FACTOR):
        model = ModelBuilder()
        scale, weight_scale = 10 ** random.uniform(-4, -3, 2)
        x = model.tensor((30_000, 1), "int16", scale=scale)
        inputs = [x, model.tensor((1, 1), scale=weight_scale, data=[[113]])]
        if bias:
            inputs.append(model.tensor((1,), "int32", scale=scale * weight_scale, data=[77]))
        y = model.tensor((30_000, 1), "int16", scale=scale * weight_scale * random.uniform(60, 120))
        model.op("FULLY_CONNECTED", inputs, [y], quantized_bias_type="INT32")
        models.append(model.build([x], [y]))
    native.assert_parity(models, samples=3)


@pytest.mark.parametrize("kind", LAYERS)
def test_layers_of_int16(kind: str) -> None:
    native.assert_parity(of_int16(kind, 60_000, 3 * native.FACTOR), sanitize=True)


@pytest.mark.parametrize("bias", ["int64", "int32", None])
def test_sums_of_more_than_31_bits(bias: str | None) -> None:
    """Sums of 32 bits wrap around, those of 64 do not; without a bias they have 64."""
    model = ModelBuilder()
    x = model.tensor((1, 4096), "int16", scale=1e-4)
    weights = model.tensor((2, 4096), scale=[1e-2, 1e-3], data=np.full((2, 4096), [[127], [-128]]))
    y = model.tensor((1, 2), "int16", scale=2.0)
    inputs = [x, weights]
    if bias:
        inputs.append(model.tensor((2,), bias, scale=[1e-6, 1e-7], data=[2**30, -(2**30)]))
    model.op("FULLY_CONNECTED", inputs, [y])
    native.assert_parity([model.build([x], [y])])


def dsp_layers(seed: int = 7) -> bytes:
    """For kernels/conv_16x8_dsp.h: narrow sums and wide ones, odd depths and channels, borders, dilation."""
    random = np.random.default_rng(seed)
    model = ModelBuilder()
    inputs, outputs = [], []

    def layer(
        kind: str, source: tuple[int, ...], kernel: tuple[int, ...], target: tuple[int, ...], **more: Any
    ) -> None:
        axis = 3 if kind == "DEPTHWISE_CONV_2D" else 0
        channels, largest = kernel[axis], more.pop("largest", 127)
        scales = list(random.uniform(0.002, 0.02, channels))
        data = random.integers(-largest, largest + 1, kernel) if largest < 128 else np.full(kernel, -128)
        inputs.append(model.tensor(source, "int16", scale=1e-4))
        outputs.append(model.tensor(target, "int16", scale=3e-3))
        bias = random.integers(-100_000, 100_000, channels) * more.pop("bias", 1)
        given = [
            model.tensor(kernel, scale=scales, axis=axis, data=data),
            model.tensor((channels,), more.pop("dtype", "int64"), scale=scales, data=bias),
        ]
        model.op(kind, [inputs[-1], *given], [outputs[-1]], **more)

    same = {"stride_h": 1, "stride_w": 1, "padding": "SAME"}
    apart = {"stride_h": 2, "stride_w": 1, "padding": "SAME", "dilation_w_factor": 2}
    layer("CONV_2D", (1, 5, 7, 3), (5, 3, 3, 3), (1, 5, 7, 5), **same)
    layer("CONV_2D", (2, 3, 5, 8), (4, 3, 3, 8), (2, 3, 5, 4), fused_activation_function="RELU", **same)
    layer("CONV_2D", (1, 5, 6, 3), (3, 2, 3, 3), (1, 3, 6, 3), dtype="int32", **apart)
    layer("CONV_2D", (1, 3, 3, 96), (3, 3, 3, 96), (1, 3, 3, 3), largest=128, **same)
    layer("CONV_2D", (1, 3, 3, 7), (4, 1, 1, 7), (1, 3, 3, 4), bias=2**20, **same)
    layer("FULLY_CONNECTED", (1, 41), (15, 41), (1, 15), fused_activation_function="RELU6")
    layer("FULLY_CONNECTED", (1, 1025), (9, 1025), (1, 9), largest=128)
    layer("FULLY_CONNECTED", (1, 64), (8, 64), (1, 8), dtype="int32")
    layer("DEPTHWISE_CONV_2D", (1, 5, 6, 8), (1, 3, 3, 8), (1, 5, 6, 8), depth_multiplier=1, **same)
    layer("DEPTHWISE_CONV_2D", (1, 5, 6, 4), (1, 2, 3, 4), (1, 3, 6, 4), depth_multiplier=1, **apart)
    return model.build(inputs, outputs)


def test_kernels_for_the_dsp_extension() -> None:
    models = [dsp_layers(seed) for seed in range(2 * native.FACTOR)]
    native.assert_parity(models, sanitize=True, kernels=[native.DSP])
    layers = AotEngine().generate(tflite_model.parse(models[0], "model"), native.DSP).layers
    assert {layer.kernel for layer in layers} == {
        *("conv_2d_16x8_dsp", "fully_connected_16x8_dsp", "depthwise_conv_2d_16x8_dsp")
    }


def test_convolutions_in_a_small_arena() -> None:
    native.assert_parity([dsp_layers()], generate=AotEngine("ram").generate, kernels=[native.DSP])
    sources = [AotEngine(g).generate(alone(), native.DSP) for g in ("balanced", "ram")]
    assert [layer.kernel for made in sources for layer in made.layers] == ["conv_2d_16x8_dsp"] * 2
    scratch, frugal = (made.layers[0].scratch_bytes for made in sources)
    assert scratch == 4 * frugal


def alone() -> Graph:
    """A convolution whose columns are a small part of the arena, but no tiny one."""
    model = ModelBuilder()
    x, y = (model.tensor((1, 32, 24, 16), "int16", scale=1e-3) for _ in range(2))
    weights = model.tensor((16, 3, 3, 16), scale=1e-2, data=np.ones((16, 3, 3, 16)))
    model.op("CONV_2D", [x, weights], [y], stride_h=1, stride_w=1, padding="SAME")
    return tflite_model.parse(model.build([x], [y]), "alone")


@pytest.mark.parametrize(
    ("board", "make"),
    turn(
        [("mps2-an386", small_nets.layers_16x8), ("mps2-an386", dsp_layers), ("mps3-an547", dsp_layers)],
        ("mps3-an547", dsp_layers),
    ),
)
def test_kernels_for_the_dsp_extension_on_a_core(
    board: str, make: Callable[[], bytes], tmp_path: Path
) -> None:
    model = tmp_path / "layers.tflite"
    model.write_bytes(make())
    result = verbs.run(model, board=board, samples=8)[0]
    assert result.parity is not None and result.parity.identical == result.parity.outputs


def test_products_of_two_matrices_of_more_than_31_bits() -> None:
    model = ModelBuilder()
    a, b = (model.tensor(shape, "int16", scale=1e-4) for shape in ((3, 4096), (4096, 2)))
    y = model.tensor((3, 2), "int16", scale=1.0)
    model.op("BATCH_MATMUL", [a, b], [y])
    native.assert_parity([model.build([a, b], [y])])


def layer(**changes: Any) -> bytes:
    """FULLY_CONNECTED, or DEPTHWISE_CONV_2D: input_zero_point, bias_type, bias, output_scale, depthwise."""
    model = ModelBuilder()
    depthwise = changes.get("depthwise", False)
    leading = (1, 1, 1) if depthwise else (1,)
    x = model.tensor((*leading, 4), "int16", scale=1e-3, zero_point=changes.get("input_zero_point", 0))
    shape = (*leading, 4) if depthwise else (4, 4)
    weights = model.tensor(shape, scale=1e-2, data=np.ones(shape), axis=len(shape) - 1 if depthwise else 0)
    dtype = changes.get("bias_type", "int64")
    bias = model.tensor((4,), dtype, scale=1e-5, data=[changes.get("bias", 5)] * 4)
    y = model.tensor((*leading, 4), "int16", scale=changes.get("output_scale", 1e-4))
    options = {"depth_multiplier": 1, "stride_h": 1, "stride_w": 1, "padding": "VALID"} if depthwise else {}
    kind = "DEPTHWISE_CONV_2D" if depthwise else "FULLY_CONNECTED"
    model.op(kind, [x, weights, bias], [y], **options)
    return model.build([x], [y])


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (layer(input_zero_point=3), "an int16 tensor has the zero point 3, not 0"),
        (layer(bias=2**48), "its bias is too large for the fixed-point arithmetic"),
        (layer(output_scale=1e-9), "its scales are too far apart for sums of 64 bits"),
        (layer(depthwise=True, bias_type="int32"), "it takes int64 tensors, not int32"),
        (unary("LOGISTIC", 5.0, 2.0**-15, (2,)), "its scales do not suit the fixed-point arithmetic"),
        (unary("ABS", 0.1, 1e-6, (2,)), "its scales are too far apart (factor 1e+05)"),
        (unary("TANH", 0.1, 2.0**-14, (2,)), "its output has scale 6.10352e-05, not 1/32768"),
        (unary("SOFTMAX", 0.1, 0.1, (1, 2), beta=1.0), "its output has scale 0.1, not 1/32768"),
    ],
)
def test_refusals(model: bytes, reason: str) -> None:
    (refused,) = AotEngine().refusals(tflite_model.parse(model, "model"))
    assert reason in refused.reason


def test_the_layer_itself_is_not_refused() -> None:
    native.assert_parity([layer(), layer(bias_type="int32"), layer(depthwise=True)])
