"""Layers with weights or windows, one op per model, against TFLite Micro bit for bit."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import native
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_builder import ModelBuilder
from nightly import turn

from tinydeploy.boards import lookup
from tinydeploy.boards.board import Board
from tinydeploy.engines.aot.objective import GOALS
from tinydeploy.engines.aot.pipeline import AotEngine
from tinydeploy.host import paths
from tinydeploy.model.readers import tflite_model

ACTIVATIONS = st.sampled_from(["NONE", "RELU", "RELU6", "RELU_N1_TO_1"])
ZERO_POINTS = st.integers(-128, 127)
BATCH = 8  # models compiled together


@st.composite
def sizes(draw: st.DrawFn) -> dict[str, Any]:
    """A window of `kernel` over an `input`, its options, and the `output` that they give: (height, width)."""
    same = draw(st.booleans())
    kernel, stride, dilation, size = (
        [draw(st.integers(1, limit)) for _ in range(2)] for limit in (4, 3, draw(st.sampled_from([1, 3])), 9)
    )
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    if not same:
        size = [max(s, r) for s, r in zip(size, reach, strict=True)]
    places = size if same else [s - r + 1 for s, r in zip(size, reach, strict=True)]
    output = [-(-p // s) for p, s in zip(places, stride, strict=True)]
    padding = "SAME" if same else "VALID"
    options = {"stride_h": stride[0], "stride_w": stride[1], "padding": padding}
    dilations = {"dilation_h_factor": dilation[0], "dilation_w_factor": dilation[1]}
    return {"kernel": kernel, "input": size, "output": output, "options": options, "dilations": dilations}


def layer(
    draw: st.DrawFn,
    kind: str,
    input_shape: tuple[int, ...],
    weights_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    axis: int,
    **options: Any,
) -> bytes:
    """A model of one op with random weights and scales; the outputs use some part of the int8 range."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    channels = weights_shape[axis]
    model = ModelBuilder()
    input_scale = float(np.float32(10 ** draw(st.floats(-4, 2))))
    per_channel = draw(st.booleans())
    weight_scales = np.float32(10 ** random.uniform(-4, 0, channels if per_channel else 1))
    # How far accumulators go, in output steps: mostly about the int8 range, sometimes nowhere or far beyond.
    depth = prod(weights_shape) / channels
    spread = 2.0 ** draw(st.sampled_from([-3, 5, 6, 7, 8, 9, 20, 28]))
    output_scale = max(1e-8, input_scale * float(weight_scales.mean()) * 74 * 104 * depth**0.5 / spread)
    x = model.tensor(input_shape, scale=input_scale, zero_point=draw(ZERO_POINTS))
    w = model.tensor(
        weights_shape,
        scale=weight_scales.tolist(),
        zero_point=draw(st.sampled_from([0, 0, 0, -128, 9])),
        axis=axis,
        data=random.integers(-128, 127, weights_shape, endpoint=True),
    )
    y = model.tensor(output_shape, scale=output_scale, zero_point=draw(ZERO_POINTS))
    inputs = [x, w]
    limit = draw(st.sampled_from([None, 0, 100, 20_000, 2**31 - 1]))
    if limit is not None:
        bias = random.integers(-limit, limit, channels, endpoint=True)
        bias_scales = (input_scale * weight_scales).tolist()
        inputs.append(model.tensor((channels,), "int32", scale=bias_scales, data=bias))
    elif kind != "DEPTHWISE_CONV_2D" and draw(st.booleans()):  # there TFLite Micro crashes on an absent bias
        inputs.append(-1)
    model.op(kind, inputs, [y], fused_activation_function=draw(ACTIVATIONS), **options)
    return model.build([x], [y])


@st.composite
def convolutions(draw: st.DrawFn) -> bytes:
    window = draw(sizes())
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    depth, channels = draw(st.integers(1, 9)), draw(st.integers(1, 9)) * groups
    batches = draw(st.integers(1, 2))
    return layer(
        draw,
        "CONV_2D",
        (batches, *window["input"], depth * groups),
        (channels, *window["kernel"], depth),
        (batches, *window["output"], channels),
        axis=0,
        **window["options"],
        **window["dilations"],
    )


@st.composite
def depthwise_convolutions(draw: st.DrawFn) -> bytes:
    window = draw(sizes())
    depth, multiplier = draw(st.integers(1, 9) | st.just(1)), draw(st.sampled_from([1, 1, 2, 3, 8]))
    batches = draw(st.integers(1, 2))
    return layer(
        draw,
        "DEPTHWISE_CONV_2D",
        (batches, *window["input"], depth),
        (1, *window["kernel"], depth * multiplier),
        (batches, *window["output"], depth * multiplier),
        axis=3,
        depth_multiplier=multiplier,
        **window["options"],
        **window["dilations"],
    )


@st.composite
def depthwise_3x3(draw: st.DrawFn) -> bytes:
    """What kernels for particular cores take: 3×3 windows, channels by fours, sizes up to a few pairs."""
    same, height, width = draw(st.booleans()), draw(st.integers(1, 8)), draw(st.integers(1, 9))
    if not same:
        height, width = max(height, 3), max(width, 3)
    stride = [draw(st.integers(1, 4)), draw(st.integers(1, 2))]
    places = (height, width) if same else (height - 2, width - 2)
    output = [-(-place // step) for place, step in zip(places, stride, strict=True)]
    depth, batches = draw(st.sampled_from([4, 8, 12])), draw(st.integers(1, 2))
    return layer(
        draw,
        "DEPTHWISE_CONV_2D",
        (batches, height, width, depth),
        (1, 3, 3, depth),
        (batches, *output, depth),
        axis=3,
        stride_h=stride[0],
        stride_w=stride[1],
        padding="SAME" if same else "VALID",
        depth_multiplier=1,
    )


@st.composite
def fully_connected(draw: st.DrawFn) -> bytes:
    depth, channels = draw(st.integers(1, 170)), draw(st.integers(1, 20))
    batches = draw(st.sampled_from([(), (1,), (3,), (2, 2), (1, 2, 2)]))
    keep = draw(st.booleans())
    output = (*(batches if keep else (prod(batches),)), channels)
    return layer(
        draw, "FULLY_CONNECTED", (*batches, depth), (channels, depth), output, axis=0, keep_num_dims=keep
    )


@st.composite
def pools(draw: st.DrawFn) -> bytes:
    window = draw(sizes().filter(lambda window: set(window["dilations"].values()) == {1}))
    batches, depth = draw(st.integers(1, 2)), draw(st.integers(1, 9) | st.just(12))
    scale, zero_point = draw(st.sampled_from([0.01, 0.05, 0.5])), draw(ZERO_POINTS)
    model = ModelBuilder()
    x = model.tensor((batches, *window["input"], depth), scale=scale, zero_point=zero_point)
    y = model.tensor((batches, *window["output"], depth), scale=scale, zero_point=zero_point)
    model.op(
        draw(st.sampled_from(["AVERAGE_POOL_2D", "MAX_POOL_2D"])),
        [x],
        [y],
        filter_height=window["kernel"][0],
        filter_width=window["kernel"][1],
        fused_activation_function=draw(ACTIVATIONS),
        **window["options"],
    )
    return model.build([x], [y])


@native.property_settings(12 // BATCH)
@given(st.lists(convolutions(), min_size=BATCH, max_size=BATCH))
def test_convolutions(models: list[bytes]) -> None:
    native.assert_parity(models)


@native.property_settings(12 // BATCH)
@given(st.lists(depthwise_convolutions(), min_size=BATCH, max_size=BATCH))
def test_depthwise_convolutions(models: list[bytes]) -> None:
    native.assert_parity(models)


@pytest.mark.parametrize(("dtype", "kernel"), [("int8", "conv_2d_dsp"), ("int16", "conv_2d_16x8_dsp")])
def test_a_depthwise_convolution_of_one_channel_is_a_convolution(dtype: str, kernel: str) -> None:
    wide = dtype == "int16"
    random = np.random.default_rng(3)
    model = ModelBuilder()
    x = model.tensor((2, 13, 10, 1), dtype, scale=1e-3 if wide else 0.1, zero_point=0 if wide else -7)
    scales = random.uniform(0.005, 0.02, 5).tolist()
    w = model.tensor((1, 6, 4, 5), scale=scales, axis=3, data=random.integers(-128, 128, (1, 6, 4, 5)))
    b = model.tensor((5,), "int64" if wide else "int32", data=random.integers(-3000, 3000, 5))
    y = model.tensor((2, 7, 5, 5), dtype, scale=2e-3 if wide else 0.2, zero_point=0 if wide else 11)
    options = {"padding": "SAME", "stride_h": 2, "stride_w": 2, "depth_multiplier": 5}
    model.op("DEPTHWISE_CONV_2D", [x, w, b], [y], fused_activation_function="RELU6", **options)
    blob = model.build([x], [y])
    layers = AotEngine().generate(tflite_model.parse(blob, "model"), native.DSP).layers
    assert [layer.kernel for layer in layers] == [kernel]
    native.assert_parity([blob])


@native.property_settings(12 // BATCH)
@given(st.lists(depthwise_3x3(), min_size=BATCH, max_size=BATCH))
def test_depthwise_3x3(models: list[bytes]) -> None:
    native.assert_parity(models)


@native.property_settings(12 // BATCH)
@given(st.lists(fully_connected(), min_size=BATCH, max_size=BATCH))
def test_fully_connected(models: list[bytes]) -> None:
    native.assert_parity(models)


@native.property_settings(12 // BATCH)
@given(st.lists(pools(), min_size=BATCH, max_size=BATCH))
def test_pools(models: list[bytes]) -> None:
    native.assert_parity(models)


@native.property_settings(1)
@given(
    st.tuples(
        *(convolutions() for _ in range(3)),
        *(depthwise_convolutions() for _ in range(2)),
        *(depthwise_3x3() for _ in range(2)),
        fully_connected(),
        pools(),
    )
)
def test_sanitizers_find_nothing(models: tuple[bytes, ...]) -> None:
    native.assert_parity(models, sanitize=True)


def convolution(**change: Any) -> bytes:
    """A plain 3×3 convolution, with one thing changed."""
    model = ModelBuilder()
    x = model.tensor((1, 4, 4, 2), change.get("input", "int8"), scale=0.1)
    w = model.tensor(
        (4, 3, 3, change.get("depth", 2)),
        scale=change.get("scales", 0.1),
        axis=change.get("axis", 0),
        data=np.ones((4, 3, 3, change.get("depth", 2)), np.int8) if change.get("constant", True) else None,
    )
    y = model.tensor(
        (1, *change.get("output", (4, 4)), 4), change.get("input", "int8"), scale=change.get("to", 0.1)
    )
    activation = change.get("activation", "NONE")
    model.op(
        "CONV_2D", [x, w], [y], stride_h=1, stride_w=1, padding="SAME", fused_activation_function=activation
    )
    return model.build([x] if change.get("constant", True) else [x, w], [y])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"scales": [0.1] * 3, "axis": 1}, "another axis"),
        ({"output": (3, 3)}, "window"),
        ({"to": 1e-30}, "far apart"),
        ({"activation": "TANH"}, "TANH"),
        ({"depth": 3}, "multiple"),
    ],
)
def test_refusals_say_why(change: dict[str, Any], reason: str) -> None:
    (refusal,) = AotEngine().refusals(tflite_model.parse(convolution(**change), "model"))
    assert refusal.op == 0
    assert reason in refusal.reason


def test_the_plain_convolution_is_not_refused() -> None:
    native.assert_parity([convolution()])


def test_channels_whose_output_never_changes() -> None:
    # Training leaves channels with a scale near zero, and biases far beyond what a window can add.
    model = ModelBuilder()
    x = model.tensor((1, 3, 3, 8), scale=0.05, zero_point=-128)
    weights = np.random.default_rng(1).integers(-127, 128, (4, 1, 1, 8))
    weights[1:] = 0
    scales = [0.01, 1e-10, 1e-10, 1e-9]
    w = model.tensor((4, 1, 1, 8), scale=scales, axis=0, data=weights)
    b = model.tensor((4,), "int32", data=[100, 1 << 30, -(1 << 30), 5])
    y = model.tensor((1, 3, 3, 4), scale=0.03, zero_point=-20)
    model.op("CONV_2D", [x, w, b], [y], stride_h=1, stride_w=1, padding="VALID")
    blob = model.build([x], [y])
    native.assert_parity([blob])
    (layer,) = AotEngine().generate(tflite_model.parse(blob, "model"), native.DSP).layers
    assert layer.kernel == "pointwise_dsp"


@pytest.mark.parametrize("goal", turn(GOALS, "balanced", "speed"))
@pytest.mark.parametrize(
    "board", turn(["mps2-an386", "mps2-an500", "mps2-an505", "mps3-an547"], "mps2-an386", "mps3-an547")
)
def test_kernels_that_take_every_register_compile(board: str, goal: str, tmp_path: Path) -> None:
    # Inline assembly that leaves no register free is refused by GCC if the code around it needs one.
    target = lookup.board(board)
    for depth, channels, kernel, size in (
        (3, 8, 3, 9),
        (4, 5, 1, 3),
        (8, 16, 1, 6),
        (16, 16, 3, 5),
        (64, 3, 5, 2),
    ):
        model = ModelBuilder()
        x = model.tensor((2, size, size, depth), scale=0.1)
        shape = (channels, kernel, kernel, depth)
        w = model.tensor(shape, scale=[0.01] * channels, axis=0, data=np.ones(shape))
        y = model.tensor((2, size, size, channels), scale=0.3)
        model.op("CONV_2D", [x, w], [y], stride_h=1, stride_w=1, padding="SAME")
        sources = AotEngine(goal).generate(tflite_model.parse(model.build([x], [y]), "model"), target)
        folder = tmp_path / f"{depth}-{channels}"
        for path, text in sources.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        assert complaints(target, folder / "model/src/model.cpp", paths.FIRMWARE / "runtime") == ""


def complaints(target: Board, source: Path, headers: Path) -> str:
    """What the board's compiler says of `source`."""
    flags = ["-std=c++17", "-O2", "-ffreestanding", "-fno-exceptions", "-Wall", "-Wextra", "-Werror"]
    compiler = [f"{target.core.toolchain}g++", *target.core.flags, *flags, f"-I{headers}"]
    command = [*compiler, "-c", str(source), "-o", str(source.with_suffix(".o"))]
    return subprocess.run(command, capture_output=True, text=True, timeout=300).stderr


@pytest.mark.parametrize("board", turn(["mps2-an386", "mps2-an500", "mps2-an505"], "mps2-an386"))
def test_the_loop_of_four_pixels_compiles_for_all_flags(board: str, tmp_path: Path) -> None:
    """Its multiplication takes all 14 registers, whatever the code around it is made of."""

    def compiled(outputs: str, flags: range) -> str:
        """What the compiler says of the loops for layers with these flags, see kernels/dsp.h."""
        calls = [
            f"template void convolve_columns<{flag}, {first}, {block}, {more}, 4, {outputs}>("
            f"const uint32_t*, const uint32_t*, const int8_t*, const int32_t*, int8_t*, const {outputs}&);"
            for flag, (first, block), more in product(flags, ((1, 1), (1, 8), (3, 8)), ("true", "false"))
        ]
        source = tmp_path / f"{outputs[:3]}{flags.start}.cpp"
        source.write_text("\n".join(['#include "conv_dsp.h"', "namespace tinydeploy {", *calls, "}"]))
        return complaints(lookup.board(board), source, paths.FIRMWARE / "kernels")

    forms = [(name, range(at, at + 8)) for name in ("Outputs", "AddingOutputs<21>") for at in range(0, 32, 8)]
    with ThreadPoolExecutor(2) as pool:
        assert "".join(pool.map(lambda form: compiled(*form), forms)) == ""
