"""The kernels of the Cortex-M55 as its own instructions, many layers in one firmware, in QEMU.

Their portable form is in every test that calls native.assert_parity.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import flatbuffers
import native
import numpy as np
import pytest
import random_graphs
from hypothesis import given
from hypothesis import strategies as st
from model_builder import ModelBuilder
from nightly import turn
from test_aot_conv import convolutions, depthwise_3x3, depthwise_convolutions, fully_connected
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from tinydeploy import verbs
from tinydeploy.engines.aot.pipeline import AotEngine
from tinydeploy.model.readers import tflite_model

MOST_TENSORS = 60  # inputs and outputs that a firmware of this kind can name


def side_by_side(models: Sequence[bytes]) -> bytes:
    """One model that holds the ops of all, with the inputs and the outputs of all."""
    whole, *others = (schema.ModelT.InitFromPackedBuf(model, 0) for model in models)
    graph = whole.subgraphs[0]
    for other in others:
        (added,) = other.subgraphs
        buffers, tensors, codes = len(whole.buffers), len(graph.tensors), len(whole.operatorCodes)
        for tensor in added.tensors:
            tensor.name = f"{tensors}-{tensor.name.decode()}"
            tensor.buffer += buffers
        for op in added.operators:
            op.opcodeIndex += codes
            op.inputs = [index if index < 0 else index + tensors for index in op.inputs]
            op.outputs = [index + tensors for index in op.outputs]
        whole.buffers += other.buffers
        whole.operatorCodes += other.operatorCodes
        graph.tensors += added.tensors
        graph.operators += added.operators
        graph.inputs = [*graph.inputs, *(index + tensors for index in added.inputs)]
        graph.outputs = [*graph.outputs, *(index + tensors for index in added.outputs)]
    assert len(graph.inputs) + len(graph.outputs) <= MOST_TENSORS
    builder = flatbuffers.Builder(1024)
    builder.Finish(whole.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def kernels(model: bytes) -> set[str]:
    graph = tflite_model.parse(model, "model")
    return {layer.kernel for layer in AotEngine().generate(graph, native.MVE).layers}


def assert_parity_in_qemu(model: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(model)
        result, _ = verbs.run(path, board=native.MVE.id, samples=6, out=Path(folder) / "out")
    assert result.parity is not None
    assert result.parity.identical == result.parity.outputs > 0


def several(models: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[bytes]]:
    # Hypothesis would start with the simplest model, twenty times.
    return st.lists(models, min_size=20, max_size=20).filter(lambda drawn: len({*drawn}) > 10)


LAYERS = {
    "conv_2d_mve": convolutions(),
    "depthwise_conv_2d_mve": depthwise_convolutions() | depthwise_3x3(),
    "fully_connected_mve": fully_connected(),
}


@pytest.mark.parametrize("kernel", turn([*LAYERS], "depthwise_conv_2d_mve"))
def test_random_layers(kernel: str) -> None:
    layers = LAYERS[kernel]

    @native.property_settings(1)
    @given(several(layers))
    def run(models: list[bytes]) -> None:
        model = side_by_side(models)
        assert kernel in kernels(model)
        assert_parity_in_qemu(model)

    run()


def test_random_sums() -> None:
    model = side_by_side([random_graphs.make(seed, "ADD") for seed in range(10)])
    model = side_by_side([model, *(random_graphs.make(seed, "SUB") for seed in range(8))])
    assert "add_linear_mve" in kernels(model)
    assert_parity_in_qemu(model)


def test_every_number_of_chunks_channels_and_pixels() -> None:
    # The inner loop goes by 16 inputs, four of them at a time, by four channels and by two pixels.
    random = np.random.default_rng(3)
    model = ModelBuilder()
    ends = []
    for number, depth in enumerate((1, 15, 16, 17, 32, 47, 64, 80, 95, 96, 112, 128, 144, 150, 208, 272)):
        rows, channels = 1 + number % 3, 1 + number % 6
        x = model.tensor((rows, depth), scale=0.1, zero_point=int(random.integers(-128, 128)))
        weights = random.choice([-128, 127, *random.integers(-128, 128, 6)], (channels, depth))
        w = model.tensor((channels, depth), scale=0.01, data=weights)
        y = model.tensor((rows, channels), scale=0.1 * depth**0.5, zero_point=int(random.integers(-128, 128)))
        model.op("FULLY_CONNECTED", [x, w, -1], [y])
        ends.append((x, y))
    assert_parity_in_qemu(model.build([x for x, _ in ends], [y for _, y in ends]))


def depthwise(kernel: tuple[int, int], dilation: int, multiplier: int) -> bytes:
    random = np.random.default_rng(5)
    model = ModelBuilder()
    x = model.tensor((2, 11, 13, 9), scale=0.1, zero_point=-7)
    shape = (1, *kernel, 9 * multiplier)
    w = model.tensor(shape, scale=[0.01] * 9 * multiplier, axis=3, data=random.integers(-128, 128, shape))
    b = model.tensor((9 * multiplier,), "int32", data=random.integers(-999, 999, 9 * multiplier))
    y = model.tensor((2, 11, 13, 9 * multiplier), scale=0.7, zero_point=11)
    steps = {"stride_h": 1, "stride_w": 1, "dilation_h_factor": dilation, "dilation_w_factor": dilation}
    model.op("DEPTHWISE_CONV_2D", [x, w, b], [y], padding="SAME", depth_multiplier=multiplier, **steps)
    return model.build([x], [y])


def test_depthwise_windows_that_fit_in_the_registers() -> None:
    fitting = [
        depthwise((3, 3), 1, 1),
        depthwise((9, 9), 1, 1),
        depthwise((5, 5), 2, 1),
        depthwise((2, 8), 1, 8),
    ]
    model = side_by_side(fitting)
    assert kernels(model) == {"depthwise_conv_2d_mve"}
    assert kernels(depthwise((10, 10), 1, 1)) == {"depthwise_conv_2d"}
    native.assert_parity([model])
    assert_parity_in_qemu(model)


def of_one_channel(
    size: tuple[int, int], kernel: tuple[int, int], channels: int, stride: int, dilation: int, padding: str
) -> bytes:
    """A CONV_2D of one input channel."""
    random = np.random.default_rng(7)
    model = ModelBuilder()
    reach = [(extent - 1) * dilation + 1 for extent in kernel]
    places = size if padding == "SAME" else [n - r + 1 for n, r in zip(size, reach, strict=True)]
    x = model.tensor((1, *size, 1), scale=0.1, zero_point=3)
    shape = (channels, *kernel, 1)
    w = model.tensor(shape, scale=[0.01] * channels, data=random.integers(-128, 128, shape))
    b = model.tensor((channels,), "int32", data=random.integers(-999, 999, channels))
    y = model.tensor((1, *(-(-n // stride) for n in places), channels), scale=0.7, zero_point=-5)
    steps = {
        "stride_h": stride,
        "stride_w": stride,
        "dilation_h_factor": dilation,
        "dilation_w_factor": dilation,
    }
    model.op("CONV_2D", [x, w, b], [y], padding=padding, **steps)
    return model.build([x], [y])


def test_one_input_channel_goes_the_shorter_way() -> None:
    by_strips = [
        of_one_channel((49, 40), (10, 8), 8, 2, 1, "SAME"),
        of_one_channel((28, 28), (3, 3), 5, 1, 1, "VALID"),
        of_one_channel((17, 19), (3, 2), 2, 1, 2, "SAME"),
    ]
    by_columns = [
        of_one_channel((49, 40), (10, 4), 64, 2, 1, "SAME"),
        of_one_channel((128, 1), (9, 1), 8, 1, 1, "SAME"),
        of_one_channel((28, 28), (4, 4), 12, 4, 1, "VALID"),
        of_one_channel((30, 30), (11, 11), 1, 1, 1, "VALID"),  # too large for the registers
    ]
    assert [kernels(model) for model in by_strips] == [{"depthwise_conv_2d_mve"}] * 3
    assert [kernels(model) for model in by_columns] == [{"conv_2d_mve"}] * 4
    model = side_by_side([*by_strips, *by_columns])
    native.assert_parity([model])
    assert_parity_in_qemu(model)
