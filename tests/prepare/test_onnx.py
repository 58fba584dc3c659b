"""ONNX files as .tflite: ONNX Runtime's figures, in float and with QDQ, and no trail of TRANSPOSEs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_nets
import pytest
from nightly import NIGHTLY, turn
from onnx import helper
from onnx_nets import Net

from tinydeploy import verbs
from tinydeploy.boards import lookup
from tinydeploy.engines.engine_registry import engine_named
from tinydeploy.errors import ModelError, UsageError
from tinydeploy.model.graph import DType, Graph
from tinydeploy.model.readers import tflite_model
from tinydeploy.prepare.float_host import FloatHost
from tinydeploy.prepare.onnx_to_tflite import convert

NETS: list[Callable[[], tuple[bytes, Any]]] = [
    onnx_nets.image_net,
    onnx_nets.series_net,
    onnx_nets.branching_net,
]


def kinds(graph: Graph) -> list[str]:
    return [op.kind for op in graph.ops]


@pytest.mark.parametrize("net", NETS)
def test_float_nets_compute_the_same(net: Callable[[], tuple[bytes, Any]]) -> None:
    model, x = net()
    made = convert(model, "net.onnx")
    assert not made.is_quantised
    graph = tflite_model.parse(made.content, "net", may_be_float=True)
    assert "TRANSPOSE" not in kinds(graph) and "BATCH_NORMALIZATION" not in kinds(graph)
    assert all(graph.tensors[i].shape[0] == 1 for i in graph.inputs)
    found = FloatHost().run(made.content, [onnx_nets.channels_last(x)])[0]
    wanted = onnx_nets.run(model, x)
    np.testing.assert_allclose(found.reshape(wanted.shape), wanted, atol=1e-4)


def test_qdq_is_kept_to_the_code() -> None:
    """Ties aside: ONNX Runtime rounds halves to even, TFLite up."""
    off = []
    for seed in range(60 if NIGHTLY else 6):
        model, x = onnx_nets.plain_net(seed)
        qdq = onnx_nets.with_qdq(model, x, unsigned=bool(seed % 2), per_channel=seed % 3 > 0)
        found, graph = onnx_nets.codes_off(qdq, x)
        assert {graph.tensors[i].dtype for i in (*graph.inputs, *graph.outputs)} == {DType.INT8}
        off.append(found.reshape(-1))
        engine_named("aot").generate(graph, lookup.board("mps2-an386"))  # it has a kernel for each op
    everything = np.concatenate(off)
    assert (everything < 1.5).mean() >= 0.99 and everything.max() < 3.5


# How many codes of one operator may differ, by its rounding, with what the convolution before it adds.
ROUNDED = {
    **dict.fromkeys(("Conv", "Relu", "MaxPool", "Add", "Add of a constant"), 0.01),
    **{"depthwise Conv": 0.02, "Mul of a constant": 0.04, "Gemm": 0.07},
    # Half of what lies between two codes: ONNX Runtime rounds it to even, TFLite up or away from 0.
    **{"Add of equal scales": 0.25, "AveragePool": 0.15},
    # Rounded twice by TFLite Micro: MEAN's sum, a QUANTIZE to more than twice the scale, one from 1/256.
    **{"GlobalAveragePool": 0.15, "Concat": 0.25, "Sigmoid": 0.35},
}


@pytest.mark.parametrize("kind", turn([*ROUNDED], "Add", "Add of a constant", "AveragePool", "Sigmoid"))
def test_an_operator_alone_differs_by_its_rounding(kind: str) -> None:
    found = np.concatenate([onnx_nets.codes_off(qdq, x)[0].ravel() for qdq, x in onnx_nets.alone(kind)])
    assert (found > 0.5).mean() < ROUNDED[kind]
    assert found.max() < (3.5 if kind == "Sigmoid" else 2.5) and (found < 1.5).mean() > 0.98


def test_qdq_of_16_bits() -> None:
    """Constants beside values have 16 bits as well, as TFLite's ADD wants of both."""
    net = Net(0, [1, 4, 8, 8])
    added = net.add("Add", net.conv("x", 4, 4, 3, 3), net.weights(4, 1, 1))
    model = net.model(net.dense(net.add("Flatten", net.add("Relu", added)), 4, 144), opset=21)
    x = net.samples(24)
    found, graph = onnx_nets.codes_off(onnx_nets.with_qdq(model, x, wide=True), x)
    types = {
        graph.tensors[i].dtype for op in graph.ops if op.kind == "ADD" for i in (*op.inputs, *op.outputs)
    }
    assert types == {DType.INT16} and (found < 2.5).mean() > 0.9


@pytest.mark.parametrize("net", [lambda: onnx_nets.image_net(softmax=False), onnx_nets.series_net])
def test_qdq_of_other_layers(net: Callable[[], tuple[bytes, Any]]) -> None:
    model, x = net()
    plain = onnx_nets.folded(model)
    found, graph = onnx_nets.codes_off(onnx_nets.with_qdq(plain, x), x)
    assert not {"DEQUANTIZE", "TRANSPOSE"} & {*kinds(graph)}
    assert (found < 2.5).mean() >= 0.9  # a sum of equal scales, and means: see above


def test_fixed_scales_of_functions_are_rescaled() -> None:
    """TFLite Micro wants a SOFTMAX to have 1/256: what the file says comes by a QUANTIZE behind it."""
    model, x = onnx_nets.image_net()
    graph = tflite_model.parse(convert(onnx_nets.with_qdq(onnx_nets.folded(model), x), "n").content, "n")
    softmax = next(op for op in graph.ops if op.kind == "SOFTMAX")
    scores = graph.tensors[softmax.outputs[0]].quantization
    assert scores is not None and (scores.scale, scores.zero_point) == (1 / 256, -128)
    assert kinds(graph)[-1] == "QUANTIZE"


def test_quantize_takes_both(tmp_path: Path) -> None:
    model, x = onnx_nets.image_net()
    file = tmp_path / "net.onnx"
    file.write_bytes(model)
    given = np.moveaxis(x, 1, -1)
    y = onnx_nets.run(model, x).argmax(axis=1)
    told: list[str] = []
    made = verbs.quantize(file, (given, y), out=tmp_path / "out", notice=told.append)
    assert made.quantized is not None and made.quantized.float_side.accuracy is not None
    assert made.quantized.float_side.accuracy.value == 1.0
    assert any("channels come last" in line for line in told)
    assert tflite_model.load(made.path).inputs
    file.write_bytes(onnx_nets.with_qdq(onnx_nets.folded(model), x))
    said = verbs.quantize(file, out=tmp_path / "said")
    assert said.quantized is None and tflite_model.load(said.path).inputs
    with pytest.raises(UsageError, match="needs data to calibrate"):
        file.write_bytes(model)
        verbs.quantize(file, out=tmp_path / "none")


def broken(change: Callable[[Any], None]) -> bytes:
    model = onnx.load_model_from_string(onnx_nets.image_net()[0])
    change(model.graph)
    return bytes(model.SerializeToString())


def _lost_weights(graph: Any) -> None:
    graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x08\x07\x12\x07pytorch\xff\xff", "cannot be read as an ONNX file"),
        (
            broken(lambda graph: graph.node.append(helper.make_node("Erf", ["x"], ["e"]))),
            "Erf e: no op of TFLite",
        ),
        (
            broken(lambda graph: graph.node.append(helper.make_node("Mine", ["x"], ["e"], domain="me"))),
            "me.Mine",
        ),
        (broken(_lost_weights), "lie in another file"),
        (
            broken(lambda graph: graph.node[-1].attribute[0].CopyFrom(helper.make_attribute("axis", 0))),
            "axis 0",
        ),
    ],
)
def test_what_cannot_be_converted_is_named(content: bytes, words: str) -> None:
    with pytest.raises(ModelError) as error:
        convert(content, "net.onnx")
    assert words in error.value.message


def test_convolutions_that_no_kernel_has() -> None:
    net = Net(0, [1, 4, 6, 6])
    with pytest.raises(ModelError, match="a convolution of 2 groups"):
        convert(net.model(net.conv("x", 4, 2, 3, 3, group=2)), "net.onnx")
    net = Net(0, [1, 4, 6, 6])
    pool = net.add("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    with pytest.raises(ModelError, match="is not TFLite's"):
        convert(net.model(pool), "net.onnx")
