"""Whole models through the aot engine, natively, against TFLite Micro: the shared ones, the repository's own,
random small networks, and graphs whose tensors share memory in unusual ways.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import native
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from model_builder import ModelBuilder
from nightly import turn

from tinydeploy.engines.aot.pipeline import AotEngine
from tinydeploy.errors import ModelError
from tinydeploy.model.readers import tflite_model

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "models" / "mlperf-tiny"
ARENAS = {"kws": (9_792, 8_384), "vww": (28_160, 27_760), "ic": (32_768, 32_768), "ad": (768, 768)}
OWN = ["digits/digits", "mnist/mnist", "motion/motion", "motion/motion_lstm"]


@pytest.mark.parametrize("name", turn([*ARENAS], "kws"))
def test_shared_models(name: str) -> None:
    path = SHARED / f"{name}.tflite"
    if not path.exists():
        pytest.skip(f"{SHARED} is not there: the models are not part of the repository")
    native.assert_parity([path.read_bytes()], samples=18)
    plan = AotEngine().generate(tflite_model.load(path), native.PORTABLE).arena
    assert plan is not None
    assert (plan.bytes, plan.lower_bound) == ARENAS[name]


@pytest.mark.parametrize("name", turn(OWN, "digits/digits", "motion/motion_lstm"))
def test_own_models(name: str) -> None:
    native.assert_parity([(ROOT / "models" / f"{name}.tflite").read_bytes()], samples=18)


class Network:
    """A random network of the usual layers, layer by layer."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.model = ModelBuilder()
        self.random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def quantization(self) -> dict[str, Any]:
        scale = float(self.random.uniform(0.02, 0.2))
        return {"scale": scale, "zero_point": int(self.random.integers(-128, 128))}

    def activation(self, shape: tuple[int, ...]) -> int:
        return self.model.tensor(shape, **self.quantization())

    def weights(self, shape: tuple[int, ...], axis: int, channels: int) -> int:
        scales = self.random.uniform(0.002, 0.02, channels)
        data = self.random.integers(-127, 128, shape)
        return self.model.tensor(shape, scale=scales.tolist(), axis=axis, data=data)

    def bias(self, channels: int) -> int:
        return self.model.tensor((channels,), "int32", data=self.random.integers(-3000, 3000, channels))

    def conv(
        self, x: int, height: int, width: int, depth: int, quantization: dict[str, Any] | None = None
    ) -> tuple[int, int]:
        channels, kernel = self.draw(st.integers(1, 8)), self.draw(st.sampled_from([1, 3]))
        w = self.weights((channels, kernel, kernel, depth), 0, channels)
        y = self.model.tensor((1, height, width, channels), **(quantization or self.quantization()))
        options: dict[str, Any] = {
            "stride_h": 1,
            "stride_w": 1,
            "padding": "SAME",
            "fused_activation_function": "RELU",
        }
        self.model.op("CONV_2D", [x, w, self.bias(channels)], [y], **options)
        return y, channels

    def depthwise(self, x: int, height: int, width: int, depth: int) -> tuple[int, int]:
        w = self.weights((1, 3, 3, depth), 3, depth)
        y = self.activation((1, height, width, depth))
        options: dict[str, Any] = {"stride_h": 1, "stride_w": 1, "padding": "SAME", "depth_multiplier": 1}
        self.model.op("DEPTHWISE_CONV_2D", [x, w, self.bias(depth)], [y], **options)
        return y, depth

    def residual(self, x: int, height: int, width: int, depth: int) -> tuple[int, int]:
        inner, _ = self.depthwise(x, height, width, depth)
        y = self.activation((1, height, width, depth))
        self.model.op("ADD", [x, inner], [y])
        return y, depth

    def branches(self, x: int, height: int, width: int, depth: int) -> tuple[int, int]:
        quantization = self.quantization()
        parts = [self.conv(x, height, width, depth, quantization) for _ in range(2)]
        channels = sum(part[1] for part in parts)
        y = self.model.tensor((1, height, width, channels), **quantization)
        self.model.op("CONCATENATION", [part[0] for part in parts], [y], axis=3)
        return y, channels


@st.composite
def networks(draw: st.DrawFn) -> bytes:
    net = Network(draw)
    height, width, depth = draw(st.integers(1, 7)), draw(st.integers(1, 7)), draw(st.integers(1, 4))
    x = start = net.activation((1, height, width, depth))
    layers = [net.conv, net.depthwise, net.residual, net.branches]
    for add in draw(st.lists(st.sampled_from(layers), min_size=1, max_size=6)):
        x, depth = add(x, height, width, depth)
    units = draw(st.integers(1, 10))
    flat = net.model.tensor((1, height * width * depth), scale=0.1)
    net.model.op("RESHAPE", [x], [flat], new_shape=[1, height * width * depth])
    w = net.weights((units, height * width * depth), 0, 1)
    y = net.activation((1, units))
    net.model.op("FULLY_CONNECTED", [flat, w, -1], [y])
    outputs = [y]
    if draw(st.booleans()):
        outputs.append(x)
    return net.model.build([start], outputs)


@native.property_settings(1)
@given(st.lists(networks(), min_size=6, max_size=6))
def test_random_networks(models: list[bytes]) -> None:
    native.assert_parity(models)


@native.property_settings(1)
@given(st.lists(networks(), min_size=4, max_size=4))
def test_sanitizers_find_nothing(models: list[bytes]) -> None:
    native.assert_parity(models, sanitize=True)


def reshape(model: ModelBuilder, x: int, shape: tuple[int, ...]) -> int:
    y = model.tensor(shape, scale=0.1)
    model.op("RESHAPE", [x], [y], new_shape=list(shape))
    return y


def relu(model: ModelBuilder, x: int, shape: tuple[int, ...]) -> int:
    y = model.tensor(shape, scale=0.1)
    model.op("RELU", [x], [y])
    return y


def test_chains_of_reshapes_share_memory() -> None:
    model = ModelBuilder()
    x = model.tensor((1, 12), scale=0.1)
    a = reshape(model, reshape(model, x, (3, 4)), (2, 6))
    y = relu(model, a, (2, 6))
    z = reshape(model, reshape(model, y, (12,)), (4, 3))
    blob = model.build([x], [z])
    native.assert_parity([blob])
    plan = AotEngine().generate(tflite_model.parse(blob, "model"), native.PORTABLE).arena
    assert plan is not None
    assert sorted(len(place.tensors) for place in plan.placements) == [3, 3]


def test_an_input_may_be_an_output_by_another_name() -> None:
    model = ModelBuilder()
    x = model.tensor((1, 12), scale=0.1)
    y = reshape(model, x, (3, 4))
    z = relu(model, y, (3, 4))
    native.assert_parity([model.build([x], [y, z])])


def test_a_value_may_be_two_outputs() -> None:
    model = ModelBuilder()
    x = model.tensor((1, 12), scale=0.1)
    y = relu(model, x, (1, 12))
    native.assert_parity([model.build([x], [y, reshape(model, y, (12,)), reshape(model, y, (4, 3))])])


def test_a_constant_may_be_reshaped_and_be_an_output() -> None:
    model = ModelBuilder()
    x = model.tensor((2, 3), scale=0.1)
    constant = model.tensor((6,), scale=0.1, data=[1, -2, 3, -4, 5, -6])
    y = reshape(model, constant, (2, 3))
    z = model.tensor((2, 3), scale=0.2)
    model.op("ADD", [x, y], [z])
    native.assert_parity([model.build([x], [z, y])])


def test_several_inputs_and_an_unused_one() -> None:
    model = ModelBuilder()
    a, b, unused = (model.tensor((1, 9), scale=0.1, zero_point=i) for i in range(3))
    y = model.tensor((1, 9), scale=0.15)
    model.op("SUB", [a, b], [y])
    native.assert_parity([model.build([a, unused, b], [y])])


def test_equal_constants_are_stored_once() -> None:
    model = ModelBuilder()
    x = model.tensor((1, 5), scale=0.1)
    for _ in range(2):
        w = model.tensor((5, 5), scale=0.1, data=np.arange(25))
        y = model.tensor((1, 5), scale=0.1)
        model.op("FULLY_CONNECTED", [x, w], [y])
        x = y
    blob = model.build([0], [x])
    native.assert_parity([blob])
    sources = AotEngine().generate(tflite_model.parse(blob, "model"), native.PORTABLE)
    data = sources.model["model/src/model_data.cpp"]
    assert len(re.findall(r"const int8_t \w+_weights\[25\]", data)) == 1


def test_names_never_reach_the_code() -> None:
    evil = '*/ "); system("x"); // \n#include "/etc/passwd"'
    model = ModelBuilder(description=evil)
    x, z = (model.tensor((1, 4), scale=0.1, name=name) for name in (evil, "\\"))
    y = model.tensor((1, 4), scale=0.1, name="system")
    model.op("ADD", [x, z], [y])
    graph = tflite_model.parse(model.build([x, z], [y]), evil.replace("/", "|"))
    sources = AotEngine().generate(graph, native.PORTABLE)
    for text in sources.files.values():
        code = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
        assert not re.search(r"\bsystem\b|/etc", code)
    native.compile_all([graph])


def test_the_same_model_gives_the_same_sources() -> None:
    blob = ModelBuilder()
    x = blob.tensor((1, 4), scale=0.1)
    relu(blob, x, (1, 4))
    model = blob.build([x], [1])
    first, second = (
        AotEngine().generate(tflite_model.parse(model, "model"), native.PORTABLE) for _ in range(2)
    )
    assert first.files == second.files
    assert first.arena == second.arena


def test_a_refused_op_ends_the_generation() -> None:
    model = ModelBuilder()
    x = model.tensor((1, 4), scale=0.1)
    y = model.tensor((1, 4), scale=0.1)
    model.op("RELU", [x], [y])
    z = model.tensor((1, 4), scale=0.1)
    model.op("COS", [y], [z])
    graph = tflite_model.parse(model.build([x], [z]), "model")
    assert [refusal.op for refusal in AotEngine().refusals(graph)] == [1]
    with pytest.raises(ModelError, match=r"op 1, COS: TFLite Micro refuses it"):
        AotEngine().generate(graph, native.PORTABLE)


def test_hooks_stand_for_ops_that_cost_something() -> None:
    model = ModelBuilder()
    x = model.tensor((1, 4), scale=0.1)
    y = relu(model, reshape(model, x, (2, 2)), (2, 2))
    sources = AotEngine().generate(tflite_model.parse(model.build([x], [y]), "model"), native.PORTABLE)
    assert sources.profiled_ops == (1,)
