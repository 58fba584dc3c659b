"""Ops that the aot engine leaves out: the outputs stay those of TFLite Micro, and what cannot go stays."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import bundle
import native
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_builder import ModelBuilder
from nightly import NIGHTLY, turn
from small_nets import residual

from tinydeploy.boards.board import Board
from tinydeploy.engines.aot.pipeline import AotEngine, lower
from tinydeploy.model.readers import tflite_model


def ops_left(model: bytes) -> list[int]:
    """The ops that there is code for."""
    program, refusals = lower(tflite_model.parse(model, "model"))
    assert not refusals
    return [op.index for op, _ in program.ops]


def padded(
    kind: str = "CONV_2D",
    size: Sequence[int] = (5, 6),
    pads: Sequence[int] = (0, 0, 1, 1, 1, 1, 0, 0),
    kernel: Sequence[int] = (3, 3),
    stride: Sequence[int] = (1, 1),
    dilation: Sequence[int] = (1, 1),
    padding: str = "VALID",
    value: int | None = None,
    readers: int = 1,
    extra: str = "",
    seed: int = 0,
) -> bytes:
    """PAD (PADV2 if there is a `value`), and convolutions of its output."""
    random = np.random.default_rng(seed)
    model = ModelBuilder()
    depth, channels = 4, 4 if kind == "DEPTHWISE_CONV_2D" else 5
    x = model.tensor((2, *size, depth), scale=0.1, zero_point=-11)
    shape = [n + pads[2 * i] + pads[2 * i + 1] for i, n in enumerate((2, *size, depth))]
    other_scale = 0.2 if extra == "scale" else 0.1
    y = model.tensor(shape, scale=other_scale, zero_point=-11)
    inputs = [x, model.tensor((4, 2), "int32", data=np.reshape(pads, (4, 2)))]
    if value is not None:
        inputs.append(model.tensor((), scale=0.1, zero_point=-11, data=value))
    model.op("PAD" if value is None else "PADV2", inputs, [y])
    outputs = []
    for _ in range(readers):
        depthwise = kind == "DEPTHWISE_CONV_2D"
        w_shape = (1, *kernel, shape[3]) if depthwise else (channels, *kernel, shape[3])
        count = shape[3] if depthwise else channels
        w = model.tensor(w_shape, scale=0.01, data=random.integers(-127, 128, w_shape))
        bias = model.tensor((count,), "int32", data=random.integers(-999, 999, count))
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        places = [n if padding == "SAME" else n - r + 1 for n, r in zip(shape[1:3], reach, strict=True)]
        out = [-(-p // s) for p, s in zip(places, stride, strict=True)]
        outputs.append(model.tensor((shape[0], *out, count), scale=0.15, zero_point=5))
        options: dict[str, Any] = {"depth_multiplier": 1} if depthwise else {}
        options |= {"stride_h": stride[0], "stride_w": stride[1], "padding": padding}
        options |= {"dilation_h_factor": dilation[0], "dilation_w_factor": dilation[1]}
        model.op(kind, [y, w, bias], [outputs[-1]], **options)
    return model.build([x], [*outputs, *([y] if extra == "output" else [])])


@st.composite
def paddings(draw: st.DrawFn) -> bytes:
    kernel, stride, dilation, size = (
        [draw(st.integers(1, limit)) for _ in range(2)] for limit in (4, 3, 2, 6)
    )
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = [max(n, r) for n, r in zip(size, reach, strict=True)]
    sides = [draw(st.integers(0, r - 1)) for r in reach for _ in range(2)]
    return padded(
        draw(st.sampled_from(["CONV_2D", "DEPTHWISE_CONV_2D"])),
        size,
        (0, 0, *sides, 0, 0),
        kernel,
        stride,
        dilation,
        value=draw(st.sampled_from([None, -11])),
        readers=draw(st.integers(1, 2)),
        seed=draw(st.integers(0, 99)),
    )


@native.property_settings(2)
@given(st.lists(paddings(), min_size=8, max_size=8))
def test_convolutions_do_the_padding(models: list[bytes]) -> None:
    assert all(0 not in ops_left(model) for model in models)
    native.assert_parity(models)


def test_padding_in_convolutions_reads_nothing_out_of_bounds() -> None:
    kinds = ("CONV_2D", "DEPTHWISE_CONV_2D")
    models = [
        padded(kind, pads=(0, 0, *sides, 0, 0)) for kind in kinds for sides in ((2, 0, 0, 2), (0, 2, 2, 1))
    ]
    assert all(ops_left(model) == [1] for model in models)
    native.assert_parity(models, sanitize=True)


@pytest.mark.parametrize(
    "change",
    [
        {"value": 3},
        {"padding": "SAME"},
        {"pads": (0, 0, 3, 0, 0, 0, 0, 0)},
        {"pads": (0, 0, 1, 0, 0, 0, 0, 2)},
        {"pads": (1, 0, 1, 0, 0, 0, 0, 0)},
        {"extra": "output"},
    ],
)
def test_other_paddings_stay(change: dict[str, Any]) -> None:
    model = padded(**change)
    assert ops_left(model) == [0, 1]
    native.assert_parity([model])


@pytest.mark.parametrize("zero_point", [3, 4])
def test_quantize_goes_if_it_changes_nothing(zero_point: int) -> None:
    model = ModelBuilder()
    x = model.tensor((1, 40), scale=0.1, zero_point=-7)
    y = model.tensor((1, 40), scale=0.2, zero_point=3)
    z = model.tensor((1, 40), scale=0.2, zero_point=zero_point)
    model.op("RELU", [x], [y])
    model.op("QUANTIZE", [y], [z])
    blob = model.build([x], [z])
    assert ops_left(blob) == ([0] if zero_point == 3 else [1])  # one table does both
    native.assert_parity([blob])


ACTIVATIONS = ("RELU", "RELU6", "LEAKY_RELU", "LOGISTIC", "TANH", "HARD_SWISH", "QUANTIZE")


def functions(seed: int, length: int) -> bytes:
    """A chain of functions of one element."""
    random = np.random.default_rng(seed)
    model = ModelBuilder()
    scale, zero_point = float(random.uniform(0.01, 0.2)), int(random.integers(-128, 128))
    x = y = model.tensor((1, 256), scale=scale, zero_point=zero_point)
    for number in range(length):
        kind = ACTIVATIONS[seed] if number == 0 and seed < len(ACTIVATIONS) else random.choice(ACTIVATIONS)
        options: dict[str, Any] = {"alpha": 0.3} if kind == "LEAKY_RELU" else {}
        if kind in ("LOGISTIC", "TANH"):
            scale, zero_point = (1 / 256, -128) if kind == "LOGISTIC" else (1 / 128, 0)
        elif random.random() < 0.7:
            scale, zero_point = float(random.uniform(0.5, 1.5) * scale), int(random.integers(-128, 128))
        output = model.tensor((1, 256), scale=scale, zero_point=zero_point)
        model.op(kind, [y], [output], **options)
        y = output
    return model.build([x], [y])


def test_chains_of_functions_become_one_table() -> None:
    models = [functions(seed, length) for length in (2, 3, 5) for seed in range(12 * native.FACTOR)]
    left = [len(ops_left(model)) for model in models]
    # An op that changes nothing goes before it can join.
    assert max(left) <= 3 and sum(left) < 1.2 * len(left)
    native.assert_parity(models)


def test_what_others_need_stays() -> None:
    model = ModelBuilder()
    x, y, z, v = (model.tensor((1, 40), scale=0.1, zero_point=n) for n in range(4))
    model.op("RELU", [x], [y])
    model.op("LEAKY_RELU", [y], [z], alpha=0.5)
    model.op("TANH", [z], [model.tensor((1, 40), scale=1 / 128)])
    model.op("ADD", [y, z], [v])
    blob = model.build([x], [v, z])
    assert ops_left(blob) == [0, 1, 2, 3]


@pytest.mark.parametrize("kind", ["RELU", "RELU6", "RELU_N1_TO_1"])
@pytest.mark.parametrize("how", ["same", "scale", "fused", "read"])
def test_activations_join_the_op_before(kind: str, how: str) -> None:
    random = np.random.default_rng(1)
    model = ModelBuilder()
    x = model.tensor((1, 5, 5, 4), scale=0.1, zero_point=-11)
    w = model.tensor((4, 3, 3, 4), scale=0.03, data=random.integers(-127, 128, (4, 3, 3, 4)))
    y = model.tensor((1, 5, 5, 4), scale=0.08, zero_point=-20)
    z = model.tensor((1, 5, 5, 4), scale=0.09 if how == "scale" else 0.08, zero_point=-20)
    fused = "RELU6" if how == "fused" else "NONE"
    model.op("CONV_2D", [x, w], [y], stride_h=1, stride_w=1, padding="SAME", fused_activation_function=fused)
    model.op(kind, [y], [z])
    blob = model.build([x], [y, z] if how == "read" else [z])
    assert ops_left(blob) == ([0] if how == "same" else [0, 1])
    if kind != "RELU_N1_TO_1":  # TFLite Micro does not have it
        native.assert_parity([blob])


def test_a_transposed_convolution_and_abs_take_what_follows() -> None:
    random = np.random.default_rng(1)
    model = ModelBuilder()
    x = model.tensor((1, 5, 5, 4), scale=0.1, zero_point=-11)
    w = model.tensor((4, 3, 3, 4), scale=0.03, data=random.integers(-127, 128, (4, 3, 3, 4)))
    y, z = (model.tensor((1, 10, 10, 4), scale=0.08, zero_point=-20) for _ in range(2))
    shape = model.tensor((4,), "int32", data=(1, 10, 10, 4))
    model.op("TRANSPOSE_CONV", [shape, w, x], [y], stride_h=2, stride_w=2, padding="SAME")
    model.op("RELU6", [y], [z])
    a, b = model.tensor((1, 5, 5, 4), scale=0.2), model.tensor((1, 5, 5, 4), scale=1 / 128)
    model.op("ABS", [x], [a])
    model.op("TANH", [a], [b])
    blob = model.build([x], [z, b])
    assert ops_left(blob) == [0, 3]
    native.assert_parity([blob])


def test_a_division_that_became_a_table_is_no_addition_and_does_not_clamp() -> None:
    random = np.random.default_rng(1)
    model = ModelBuilder()
    x, y, z, v = (model.tensor((1, 5, 5, 4), scale=0.08, zero_point=-20) for _ in range(4))
    two = model.tensor((1,), scale=0.5, data=[4])
    w = model.tensor((4, 1, 1, 4), scale=0.03, data=random.integers(-127, 128, (4, 1, 1, 4)))
    model.op("CONV_2D", [x, w], [y], stride_h=1, stride_w=1, padding="SAME")
    model.op("DIV", [y, two], [z])
    model.op("RELU", [z], [v])
    blob = model.build([x], [v])
    assert ops_left(blob) == [0, 2]
    native.assert_parity([blob])


@pytest.mark.parametrize("kind", ["ADD", "SUB"])
@pytest.mark.parametrize(
    ("first", "kernel"),
    turn([*product(("partner", "made"), (1, 3))], ("partner", 1), ("made", 3)),
)
def test_an_addition_joins_the_convolution_before(kind: str, first: str, kernel: int) -> None:
    models = [residual(kind, first, kernel, seed=seed) for seed in range(3 if NIGHTLY else 2)]
    assert all(ops_left(model) == [0, 1] for model in models)
    native.assert_parity(models)
    if (kernel, first) == (3, "made") or NIGHTLY:
        native.assert_parity(models[:1], sanitize=True)


KEPT = ("read", "twice", "constant", "broadcast", "grouped", "input", "later", "scale")


@pytest.mark.parametrize(
    "how",
    [
        *({"how": how} for how in KEPT),
        {"dtype": "int16"},
        {"activation": "RELU"},
        {"shape": (1, 1, 1, 6), "kernel": 1},
    ],
    ids=str,
)
def test_other_additions_stay(how: dict[str, Any]) -> None:
    blob = residual(**how)
    assert len(ops_left(blob)) == len(tflite_model.parse(blob, "model").ops)
    native.assert_parity([blob])


@pytest.mark.parametrize("activation", ["RELU", "RELU6"])
def test_an_addition_joins_with_an_activation_that_bounds_nothing(activation: str) -> None:
    model = ModelBuilder()
    x, y, z = (model.tensor((1, 5, 5, 4), scale=0.1, zero_point=n) for n in range(3))
    w = model.tensor((4, 1, 1, 4), scale=0.01, data=np.arange(-8, 8).reshape(4, 1, 1, 4))
    total, end = (model.tensor((1, 5, 5, 4), scale=6 / 255, zero_point=-128) for _ in range(2))
    model.op("CONV_2D", [x, w], [z], stride_h=1, stride_w=1, padding="SAME")
    model.op("ADD", [y, z], [total])
    model.op(activation, [total], [end])
    blob = model.build([x, y], [end])
    assert ops_left(blob) == [0]
    native.assert_parity([blob])


def test_where_an_addition_joins() -> None:
    """Not on cores with MVE, and not where code is to be shared; elsewhere the sum lies over its partner."""
    graph = tflite_model.parse(residual(shape=(1, 8, 8, 16)), "model")

    def last_kernels(goal: str, board: Board) -> list[str]:
        return [layer.kernel for layer in AotEngine(goal).generate(graph, board).layers][1:]

    assert last_kernels("balanced", native.DSP) == ["conv_2d_dsp adding"]
    assert last_kernels("size", native.DSP) == ["conv_2d_dsp shared", "add_linear"]
    assert last_kernels("speed", native.MVE) == ["conv_2d_mve", "add_linear_mve"]
    arena = AotEngine().generate(graph, native.PORTABLE).arena
    assert arena is not None and arena.bytes == 2 * 1024


def concatenation(seed: int) -> bytes:
    """Some tensors, made and then joined, of which others are read as well, joined twice or inputs."""
    random = np.random.default_rng(seed)
    model = ModelBuilder()
    x = model.tensor((1, 6, 16), scale=0.1)
    values = [x]
    for _ in range(6):
        chosen = [int(random.choice(values)) for _ in range(2)]
        y = model.tensor((1, 6, 16), scale=0.1)
        model.op("ADD", [chosen[0], chosen[-1]], [y])
        values.append(y)
    parts = [int(random.choice(values)) for _ in range(3)]
    joined = model.tensor((1, 18, 16), scale=0.1)
    model.op("CONCATENATION", parts, [joined], axis=1)
    more = model.tensor((1, 24, 16), scale=0.1)
    model.op("CONCATENATION", [joined, int(random.choice(values))], [more], axis=1)
    end = model.tensor((1, 24, 16), scale=0.1)
    model.op("ADD", [more, more], [end])
    last = model.tensor((1, 6, 16), scale=0.1)
    model.op("ADD", [int(random.choice(values)), int(random.choice(values))], [last])
    return model.build([x], [end, last])


def test_concatenations_in_place() -> None:
    models = [concatenation(seed) for seed in range(20 * native.FACTOR)]
    copies = [
        bundle.code(AotEngine().generate(tflite_model.parse(model, "model"), native.DSP)).count("copy_rows<")
        for model in models
    ]
    assert sum(copies) < 4 * len(models)  # of five each
    native.assert_parity(models)


def test_a_concatenation_of_what_is_made_for_it_costs_nothing() -> None:
    model = ModelBuilder()
    x, a, b = (model.tensor((1, 4, 16), scale=0.1) for _ in range(3))
    y = model.tensor((1, 8, 16), scale=0.1)
    model.op("ADD", [x, x], [a])
    model.op("MUL", [x, x], [b])
    model.op("CONCATENATION", [a, b], [y], axis=1)
    blob = model.build([x], [y])
    sources = AotEngine().generate(tflite_model.parse(blob, "model"), native.PORTABLE)
    assert sources.profiled_ops == (0, 1)
    assert sources.arena is not None and sources.arena.bytes == 128 + 64
    native.assert_parity([blob], sanitize=True)
