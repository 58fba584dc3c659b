"""What TFLite Micro refuses, or crashes on, the aot engine refuses, and what it runs, it runs the same."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from typing import Any

import native
import numpy as np
import pytest
from model_builder import ModelBuilder

from tinydeploy.engines.aot.pipeline import AotEngine
from tinydeploy.engines.tflm.tflm_engine import TflmEngine
from tinydeploy.model.readers import tflite_model

INPUT, WEIGHTS = 0.05, 0.02


def moved(kind: str, shapes: list[tuple[int, ...]], made: tuple[int, ...], **options: Any) -> bytes:
    """An op of int8 tensors of one scale, and of constants that name axes or places."""
    model = ModelBuilder()
    x = [model.tensor(shape, scale=INPUT) for shape in shapes]
    given = map(np.asarray, options.pop("constants", []))
    constants = [model.tensor(values.shape, "int32", data=values) for values in given]
    outputs = [model.tensor(made, scale=INPUT) for _ in range(options.pop("outputs", 1))]
    model.op(kind, [*constants, *x] if kind == "SPLIT" else [*x, *constants], outputs, **options)
    return model.build(x, outputs)


A = (1, 4, 4, 3)


@pytest.mark.parametrize(
    ("blob", "reason"),
    [
        (moved("SLICE", [A], (1, 4, 4, 2), constants=[[0, 0, 0, 2], [1, 4, 4, 2]]), "beyond its input"),
        (moved("SLICE", [A], (1, 4, 4, 1), constants=[[0, 0, 0, -1], [1, 4, 4, 1]]), "beyond its input"),
        (moved("CONCATENATION", [A, A], (1, 4, 4, 6), axis=4), "axis 4 is out of range"),
        (moved("UNPACK", [(2, 4)], (4,), outputs=2, axis=-4, num=2), "axis -4 is out of range"),
        (moved("PACK", [(4,), (4,)], (2, 4), axis=7, values_count=2), "axis 7 is out of range"),
        (moved("MEAN", [A], (1, 4, 4), constants=[[-5]]), "axis -5 is out of range"),
        (moved("SPLIT", [A], (1, 4, 2, 3), outputs=2, constants=[[4]], num_splits=2), "axis 4 is out of"),
        (moved("GATHER", [A], (1, 4, 4, 2), constants=[[0, 1]], axis=9), "axis 9 is out of range"),
        (moved("SQUEEZE", [A], (4, 4, 3), squeeze_dims=[4]), "axis 4 is out of range"),
        (moved("SQUEEZE", [A], (4, 4, 3), squeeze_dims=[1]), r"takes dimension 1 away|should be \[1, 4, 3\]"),
        (moved("ADD", [A, (2,)], A), "do not broadcast"),
    ],
)
def test_an_op_that_cannot_be(blob: bytes, reason: str) -> None:
    graph = tflite_model.parse(blob, "model")
    for engine in (AotEngine(), TflmEngine()):
        refusals = engine.refusals(graph)
        assert refusals and re.search(reason, refusals[0].reason), (engine, refusals)


@dataclass
class Dense:
    """A FULLY_CONNECTED; its bias's scale is `apart` output steps from that of the products."""

    apart: float
    dtype: str = "int8"
    bias: str = "constant"
    weights: str = "constant"
    zero_point: int = 0
    output: float = 0.3
    per_channel: bool = False

    def __str__(self) -> str:
        return "-".join(str(value) for value in vars(self).values())

    def blob(self) -> bytes:
        """The .tflite file."""
        random, model, wide = np.random.default_rng(3), ModelBuilder(), self.dtype == "int16"
        x = model.tensor((2, 9), self.dtype, scale=INPUT, zero_point=0 if wide else 3)
        constant = random.integers(-128, 128, (4, 9)) if self.weights == "constant" else None
        scales = [WEIGHTS] * 4 if self.per_channel else WEIGHTS
        w = model.tensor((4, 9), scale=scales, zero_point=self.zero_point, data=constant)
        given = None if self.bias == "computed" else random.integers(-900, 900, 4)
        unit = float(np.float32(INPUT) * np.float64(np.float32(WEIGHTS))) + self.apart * self.output
        unit_or_none = None if self.bias == "unscaled" else unit
        b = model.tensor((4,), "int64" if wide else "int32", scale=unit_or_none, data=given)
        y = model.tensor((2, 4), self.dtype, scale=self.output)
        model.op("FULLY_CONNECTED", [x, w, b], [y])
        computed = [w] * (constant is None) + [b] * (self.bias == "computed")
        return model.build([x, *computed], [y])


def agree(blob: bytes, runs: bool) -> None:
    """Both engines run the model, with the same outputs, or both refuse it."""
    graph = tflite_model.parse(blob, "model")
    assert (TflmEngine().refusals(graph) == ()) == runs, TflmEngine().refusals(graph)
    assert (AotEngine().refusals(graph) == ()) == runs, AotEngine().refusals(graph)
    if runs:
        native.assert_parity([blob], kernels=(native.DSP,))


@pytest.mark.parametrize(
    ("layer", "runs"),
    [
        (Dense(0), True),
        (Dense(0.0199), True),
        (Dense(0.0201), False),
        (Dense(-0.003, output=0.05), True),
        (Dense(0.0201, "int16", output=0.02), False),
        (Dense(0.0199, "int16", output=0.02), True),
        (Dense(0.5, bias="computed"), False),
        (Dense(0.5, weights="computed"), False),
        (Dense(0.5, zero_point=7), False),
        (Dense(0.01, zero_point=7), True),
        (Dense(0.5, per_channel=True), True),
        (Dense(0, bias="unscaled"), True),
        (Dense(0, bias="unscaled", output=0.01), False),
    ],
    ids=str,
)
def test_a_dense_layers_bias_is_in_units_of_its_products(layer: Dense, runs: bool) -> None:
    agree(layer.blob(), runs)


def test_the_refusal_names_both_scales() -> None:
    (refusal,) = AotEngine().refusals(tflite_model.parse(Dense(0.5).blob(), "model"))
    assert "has the scale 0.151 where input and weights make 0.001" in refusal.reason


def convolution(kind: str, dtype: str, third: tuple[int, ...], computed: bool = False) -> bytes:
    """A convolution with the inputs `third` behind its weights, whose zero point is not 0."""
    model, depthwise = ModelBuilder(), kind == "DEPTHWISE_CONV_2D"
    random, wide = np.random.default_rng(5), dtype == "int16"
    scale = 1e-3 if wide else 0.05
    x = model.tensor((1, 5, 5, 2), dtype, scale=scale, zero_point=0 if wide else -9)
    shape = (1, 3, 3, 2) if depthwise else (2, 3, 3, 2)
    data = None if computed else random.integers(-128, 128, shape)
    points = [5, -20] if not computed else 11
    w = model.tensor(
        shape,
        scale=0.02 if computed else [0.02, 0.01],
        zero_point=points,
        axis=3 if depthwise else 0,
        data=data,
    )
    y = model.tensor((1, 5, 5, 2), dtype, scale=8 * scale, zero_point=0 if wide else 4)
    operands = [x, w, *third]
    if kind == "TRANSPOSE_CONV":
        operands = [model.tensor((4,), "int32", data=[1, 5, 5, 2]), w, x, *third]
    more = {"depth_multiplier": 1} if depthwise else {}
    model.op(kind, operands, [y], padding="SAME", stride_h=1, stride_w=1, **more)
    return model.build([x, w] if computed else [x], [y])


@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"])
@pytest.mark.parametrize("dtype", ["int8", "int16"])
def test_a_bias_given_as_missing(kind: str, dtype: str) -> None:
    """The index -1 in its place, on which TFLite Micro crashes in one of the kinds; and no place for it."""
    for third, computed in product(((), (-1,)), (False, True)):
        agree(convolution(kind, dtype, third, computed), runs=not (third and kind == "DEPTHWISE_CONV_2D"))


@pytest.mark.parametrize(
    ("model", "runs"),
    [
        (moved("BROADCAST_TO", [(1, 4)], (3, 4), constants=[[3, 4]]), True),
        (moved("BROADCAST_TO", [(1, 4)], (3, 4), constants=[[[3], [4]]]), False),
        (moved("SQUEEZE", [(3, 1, 1, 5)], (3, 5), squeeze_dims=[1, -2]), True),
        (moved("SQUEEZE", [(3, 1, 1, 5)], (3, 5)), True),
        (moved("SQUEEZE", [(3, 1, 1, 5)], (3, 1, 5), squeeze_dims=[1, 2]), False),
        (moved("SQUEEZE", [(8, 8)], (8, 8), squeeze_dims=[0]), False),
        (moved("SQUEEZE", [(8, 1)], (8,), squeeze_dims=[2]), False),
        (moved("SQUEEZE", [(3, 1, 5), (3, 1, 5)], (3, 5)), False),
        (moved("EXPAND_DIMS", [(7,)], (1, 7), constants=[[0]]), True),
        (moved("EXPAND_DIMS", [(7,)], (1, 7), constants=[0]), True),
        (moved("EXPAND_DIMS", [(7,)], (1, 7), constants=[[[0]]]), False),
        (moved("EXPAND_DIMS", [(7,), (7,)], (1, 7), constants=[[0]]), False),
        (moved("MIRROR_PAD", [(4,)], (6,), constants=[[[1, 1]]], mode="REFLECT"), True),
        (moved("MIRROR_PAD", [(4,)], (6,), constants=[[[[1], [1]]]], mode="REFLECT"), False),
        (moved("MIRROR_PAD", [(4, 4)], (6, 6), constants=[[1, 1, 1, 1]], mode="REFLECT"), False),
    ],
)
def test_the_ranks_and_the_number_of_what_an_op_is_given(model: bytes, runs: bool) -> None:
    agree(model, runs)


def test_an_elu_beyond_int32_is_refused() -> None:
    """TFLite Micro turns floats of any size into integers there, and what it gets hangs on the machine."""
    for scale, runs in ((1e-10, False), (1e-8, True)):
        model = ModelBuilder()
        x, y = model.tensor((1, 9), scale=0.09, zero_point=15), model.tensor((1, 9), scale=scale)
        model.op("ELU", [x], [y])
        blob = model.build([x], [y])
        assert (AotEngine().refusals(tflite_model.parse(blob, "model")) == ()) == runs
        if runs:
            native.assert_parity([blob])
