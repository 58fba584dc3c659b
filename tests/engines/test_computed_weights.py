"""Layers whose weights or bias are computed at run time, as TFLite Micro runs them, bit for bit."""

from __future__ import annotations

from itertools import product
from typing import Any

import native
import numpy as np
import pytest
from model_builder import ModelBuilder

from tinydeploy.engines.aot.pipeline import GOALS, AotEngine
from tinydeploy.model.readers import tflite_model

WAYS = ("none", "constant", "computed")


def layer(
    kind: str,
    dtype: str = "int8",
    bias: str = "constant",
    constant_input: bool = False,
    zero_point: int = 0,
    per_channel: bool = False,
    seed: int = 0,
    **options: Any,
) -> bytes:
    """A layer whose weights are an input of the model."""
    random = np.random.default_rng(seed)
    wide = dtype == "int16"
    model = ModelBuilder()
    dense, depthwise = kind == "FULLY_CONNECTED", kind == "DEPTHWISE_CONV_2D"
    shape = (3, 10) if dense else (2, 5, 6, 3)
    channels = 6 if depthwise else 5
    weights_shape = (5, 10) if dense else (1, 3, 2, 6) if depthwise else (5, 3, 2, 3)
    axis = 3 if depthwise else 0
    scale = random.uniform(0.005, 0.02, channels).tolist() if per_channel else 0.013
    quantised = {"scale": 3e-4 if wide else 0.05, "zero_point": 0 if wide else 3}
    data = random.integers(-128, 128, shape) if constant_input else None
    x = model.tensor(shape, dtype, **quantised, data=data)
    w = model.tensor(weights_shape, scale=scale, zero_point=zero_point, axis=axis)
    inputs = ([] if constant_input else [x]) + [w]
    third = []
    if bias != "none":
        values = random.integers(-3000, 3000, channels) if bias == "constant" else None
        scales = (quantised["scale"] * np.atleast_1d(scale)).tolist()
        third = [model.tensor((channels,), "int64" if wide else "int32", scale=scales, data=values)]
        inputs += third if bias == "computed" else []
    stride = 2 if kind == "TRANSPOSE_CONV" else 1
    output = (3, 5) if dense else (2, 5 * stride, 6 * stride, channels)
    y = model.tensor(output, dtype, scale=2e-3 if wide else 0.3, zero_point=0 if wide else -4)
    operands = [x, w, *third]
    if kind == "TRANSPOSE_CONV":
        operands = [model.tensor((4,), "int32", data=output), w, x, *third]
    if not dense:
        options = {"padding": "SAME", "stride_h": stride, "stride_w": stride, **options}
    if depthwise:
        options["depth_multiplier"] = 2
    model.op(kind, operands, [y], fused_activation_function="RELU", **options)
    return model.build(inputs, [y])


KINDS = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")


@pytest.mark.parametrize("kind", KINDS)
def test_weights_and_biases_of_all_kinds(kind: str) -> None:
    blobs = [
        layer(kind, dtype, bias, zero_point=zero_point, per_channel=per_channel)
        for dtype, bias, per_channel, zero_point in product(("int8", "int16"), WAYS, (False, True), (0, 7))
        if not (kind == "DEPTHWISE_CONV_2D" and bias == "none")  # TFLite Micro crashes
        if not (zero_point and (per_channel or kind != "FULLY_CONNECTED"))
    ]
    blobs += [layer(kind, dtype, "computed", constant_input=True) for dtype in ("int8", "int16")]
    native.assert_parity(blobs, kernels=(native.DSP,))


def test_sanitizers_find_nothing() -> None:
    # A bias of 64 bits has to leave room for the fixed-point arithmetic: the samples would not.
    ways = (("int8", "computed"), ("int16", "constant"))
    blobs = [layer(kind, dtype, bias) for kind in KINDS for dtype, bias in ways]
    native.assert_parity(blobs, sanitize=True, kernels=(native.PORTABLE,))


def network() -> bytes:
    """Weights made by other layers, and what passes do to convolutions around them."""
    random = np.random.default_rng(1)
    model = ModelBuilder()
    x = model.tensor((1, 6, 6, 3), scale=0.05, zero_point=-7)
    made = model.tensor((1, 108), scale=0.04)
    flat = model.tensor((1, 108), scale=0.05, zero_point=-7)
    dense = model.tensor((108, 108), scale=0.01, data=random.integers(-127, 128, (108, 108)))
    model.op("RESHAPE", [x, model.tensor((2,), "int32", data=[1, 108])], [flat], new_shape=[1, 108])
    model.op("FULLY_CONNECTED", [flat, dense], [made])
    weights = model.tensor((4, 3, 3, 3), scale=0.04)
    model.op("RESHAPE", [made, model.tensor((4,), "int32", data=[4, 3, 3, 3])], [weights])
    padded = model.tensor((1, 8, 8, 3), scale=0.05, zero_point=-7)
    pads = model.tensor((4, 2), "int32", data=[[0, 0], [1, 1], [1, 1], [0, 0]])
    model.op("PAD", [x, pads], [padded])
    y, sums, other = (model.tensor((1, 6, 6, 4), scale=s, zero_point=9) for s in (0.4, 0.5, 0.3))
    model.op("CONV_2D", [padded, weights], [y], padding="VALID", stride_h=1, stride_w=1)
    model.op("ADD", [y, other], [sums])
    relu = model.tensor((1, 6, 6, 4), scale=0.5, zero_point=9)
    model.op("RELU", [sums], [relu])
    same = model.tensor((1, 1), scale=0.9)
    model.op("FULLY_CONNECTED", [flat, flat], [same])
    return model.build([x, other], [relu, same])


@pytest.mark.parametrize("goal", GOALS)
def test_a_network_that_makes_its_weights(goal: str) -> None:
    native.assert_parity([network()], generate=AotEngine(goal).generate, kernels=(native.DSP, native.MVE))


def test_an_offset_of_constant_weights_is_taken() -> None:
    model = ModelBuilder()
    x, y = model.tensor((2, 9), scale=0.05, zero_point=3), model.tensor((2, 4), scale=0.3)
    data = np.random.default_rng(2).integers(-128, 128, (4, 9))
    model.op("FULLY_CONNECTED", [x, model.tensor((4, 9), scale=0.02, zero_point=-11, data=data)], [y])
    native.assert_parity([model.build([x], [y])], kernels=(native.PORTABLE,))


def test_what_does_not_fit_is_refused() -> None:
    model = ModelBuilder()
    x, w = model.tensor((2, 9), scale=0.05), model.tensor((4, 8), scale=0.02)
    y = model.tensor((2, 4), scale=0.3)
    model.op("FULLY_CONNECTED", [x, w], [y])
    graph = tflite_model.parse(model.build([x, w], [y]), "model")
    assert [r.reason for r in AotEngine().refusals(graph)] == ["its weights do not fit its input"]
