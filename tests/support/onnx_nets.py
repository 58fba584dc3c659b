"""Small ONNX nets of seeded weights: float, and with QDQ as ONNX Runtime's own quantiser writes it.

And how far from ONNX Runtime what becomes of them is.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from tinydeploy.host.reference import Reference
from tinydeploy.model import samples as sample_files
from tinydeploy.model.affine import dequantize
from tinydeploy.model.graph import Graph
from tinydeploy.model.readers import tflite_model
from tinydeploy.prepare.onnx_to_tflite import convert

Array = npt.NDArray[Any]
onnxruntime.set_default_logger_severity(4)


class Net:
    """A net under construction: each call adds a node and gives its output's name."""

    def __init__(self, seed: int, shape: Sequence[int | str]) -> None:
        self.random = np.random.default_rng(seed)
        self.shape = shape
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def constant(self, values: npt.ArrayLike) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def weights(self, *shape: int, spread: float = 0.3) -> str:
        return self.constant(self.random.normal(0, spread, shape).astype(np.float32))

    def add(self, kind: str, *inputs: str, **options: Any) -> str:
        name = f"{kind.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **options))
        return name

    def conv(self, source: str, into: int, depth: int, *kernel: int, **options: Any) -> str:
        return self.add("Conv", source, self.weights(into, depth, *kernel), self.weights(into), **options)

    def dense(self, source: str, into: int, depth: int) -> str:
        return self.add("Gemm", source, self.weights(into, depth), self.weights(into), transB=1)

    def norm(self, source: str, channels: int) -> str:
        positive = [np.abs(self.random.normal(1, 0.2, channels)).astype(np.float32) for _ in range(2)]
        scale, variance = map(self.constant, positive)
        return self.add(
            "BatchNormalization", source, scale, self.weights(channels), self.weights(channels), variance
        )

    def model(self, output: str, opset: int = 17) -> bytes:
        given = helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)
        made = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        graph = helper.make_graph(self._nodes, "net", [given], [made], self._constants)
        opsets = [helper.make_opsetid("", opset)]
        return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())

    def samples(self, count: int) -> Array:
        sizes = [1 if isinstance(size, str) else size for size in self.shape[1:]]
        return self.random.normal(0, 1, (count, *sizes)).astype(np.float32)


def image_net(seed: int = 0, *, softmax: bool = True) -> tuple[bytes, Array]:
    """Convolutions with all kinds of padding, a residual, a pooling, Flatten, Gemm; and samples."""
    net = Net(seed, ["batch", 3, 8, 8])
    a = net.add("Relu", net.norm(net.conv("x", 8, 3, 3, 3, pads=[1, 1, 1, 1]), 8))
    b = net.add("Relu", net.conv(a, 8, 1, 3, 3, group=8, strides=[2, 2], pads=[1, 1, 1, 1]))
    c = net.add("MaxPool", b, kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])
    d = net.conv(net.add("Add", b, c), 6, 8, 1, 1)
    e = net.dense(net.add("Flatten", d), 5, 6 * 4 * 4)
    return net.model(net.add("Softmax", e, axis=1) if softmax else e), net.samples(20)


def series_net(seed: int = 1) -> tuple[bytes, Array]:
    """Convolutions of one axis, pooling, a mean, MatMul and Add."""
    net = Net(seed, [1, 4, 20])
    a = net.add("Relu", net.conv("x", 8, 4, 5, strides=[2], pads=[2, 2]))
    b = net.add("AveragePool", net.conv(a, 8, 8, 3, dilations=[2]), kernel_shape=[2], strides=[2])
    c = net.add("Flatten", net.add("GlobalAveragePool", b))
    d = net.add("Add", net.add("MatMul", c, net.weights(8, 3)), net.weights(3))
    return net.model(net.add("Sigmoid", d)), net.samples(20)


def branching_net(seed: int = 2) -> tuple[bytes, Array]:
    """Branches that are joined, Reshape of what is flattened, element-wise functions and constants."""
    net = Net(seed, [1, 2, 6, 6])
    a = net.add("Tanh", net.conv("x", 3, 2, 3, 3, auto_pad="SAME_UPPER"))
    b = net.add("Clip", net.conv("x", 5, 2, 1, 1), net.constant(np.float32(0)), net.constant(np.float32(6)))
    c = net.add("Concat", a, b, axis=1)
    d = net.add("Mul", c, net.weights(8, 1, 1))
    e = net.add("ReduceMean", d, axes=[2, 3], keepdims=0)
    f = net.add("Reshape", d, net.constant(np.array([0, -1])))
    g = net.add("Concat", e, net.dense(net.add("Relu", f), 4, 8 * 36), axis=1)
    return net.model(net.dense(g, 3, 12)), net.samples(20)


def plain_net(seed: int) -> tuple[bytes, Array]:
    """A plain convolutional net of random widths, kernels and strides, without sums of equal scales."""
    net = Net(seed, [1, 2, 9, 9])
    pick = net.random.integers
    size, depth, source = 9, 2, "x"
    for _ in range(int(pick(1, 4))):
        into, kernel, stride = int(pick(2, 9)), int(pick(1, 4)), int(pick(1, 3))
        pads = [kernel // 2] * 4
        source = net.add(
            "Relu", net.conv(source, into, depth, kernel, kernel, strides=[stride] * 2, pads=pads)
        )
        size, depth = (size + 2 * (kernel // 2) - kernel) // stride + 1, into
    if size >= 2 and pick(0, 2):
        source, size = net.add("MaxPool", source, kernel_shape=[2, 2], strides=[2, 2]), size // 2
    return net.model(net.dense(net.add("Flatten", source), 4, depth * size * size)), net.samples(24)


class _Walk:
    """A value that a random net has come to: its name, channels, and extents; and whether there are means."""

    def __init__(self, net: Net, channels: int, extents: list[int], means: bool) -> None:
        self.net, self.name, self.channels, self.extents, self.means = net, "x", channels, extents, means

    def conv(self, into: int, size: int, **options: Any) -> str:
        """A convolution that keeps the extents; `size` is 1 or 3."""
        kernel, group = [size] * len(self.extents), options.get("group", 1)
        pads = [size // 2] * 2 * len(self.extents)
        return self.net.conv(self.name, into, self.channels // group, *kernel, pads=pads, **options)

    def widened(self) -> None:
        """A convolution, and one of three activations."""
        into = int(self.net.random.integers(2, 9))
        self.name, self.channels = self.conv(into, int(self.net.random.choice([1, 3]))), into
        self.activated()

    def activated(self) -> None:
        match self.net.random.integers(3):
            case 0:
                self.name = self.net.add("Relu", self.name)
            case 1:
                limits = (self.net.constant(np.float32(n)) for n in (0, 6))
                self.name = self.net.add("Clip", self.name, *limits)

    def depthwise(self) -> None:
        self.name = self.net.add("Relu", self.conv(self.channels, 3, group=self.channels))

    def residual(self) -> None:
        self.name = self.net.add("Add", self.name, self.conv(self.channels, 3))
        self.activated()

    def side_by_side(self) -> None:
        parts = [self.conv(3, 1), self.net.add("Relu", self.conv(4, 3))]
        self.name, self.channels = self.net.add("Concat", *parts, axis=1), 7

    def scaled(self) -> None:
        """A sum with constants, as a normalisation is."""
        shape = (self.channels, *(1 for _ in self.extents))
        self.name = self.net.add("Add", self.name, self.net.weights(*shape))

    def pooled(self) -> None:
        if min(self.extents) < 4:
            return
        kind = "AveragePool" if self.means and self.net.random.integers(2) else "MaxPool"
        two = [2] * len(self.extents)
        self.name = self.net.add(kind, self.name, kernel_shape=two, strides=two)
        self.extents = [extent // 2 for extent in self.extents]

    def flat(self) -> int:
        """Flattened, or each channel's mean; how many values that leaves."""
        if self.means and self.net.random.integers(2):
            self.name, self.extents = self.net.add("GlobalAveragePool", self.name), [1]
        self.name = self.net.add("Flatten", self.name)
        return self.channels * int(np.prod(self.extents))


def random_net(seed: int) -> tuple[bytes, Array]:
    """A net of one or two axes, of convolutions, sums, pooling and dense layers; and samples.

    Two of three have means and branches as well, one of these a Softmax at its end.
    """
    shape = [1, 2, 9, 8] if seed % 4 else [1, 3, 24]
    net = Net(seed, shape)
    walk = _Walk(net, shape[1], shape[2:], has_means(seed))
    walk.widened()
    steps = [walk.widened, walk.depthwise, walk.residual, walk.scaled, walk.pooled]
    steps += [walk.side_by_side] if walk.means else []
    for number in net.random.choice(len(steps), int(net.random.integers(2, 5))):
        steps[number]()
    values = walk.flat()
    if net.random.integers(2):
        walk.name, values = net.add("Relu", net.dense(walk.name, 12, values)), 12
    scores = net.dense(walk.name, 4, values)
    return net.model(net.add("Softmax", scores, axis=1) if seed % 3 == 0 else scores), net.samples(24)


def has_means(seed: int) -> bool:
    """Whether a random net may have means, branches, or a Softmax."""
    return seed % 3 != 1


def _alone(seed: int, kind: str) -> tuple[bytes, Array]:
    """A net of one operator behind a convolution, as quantisers leave others in float; and samples."""
    net = Net(seed, [1, 4, 8, 8])
    x = net.conv("x", 4, 4, 1, 1)
    match kind:
        case "Conv":
            made = x
        case "depthwise Conv":
            made = net.conv(x, 4, 1, 3, 3, group=4)
        case "Gemm":
            made = net.dense(net.add("Flatten", x), 16, 256)
        case "Add":
            made = net.add("Add", x, net.conv("x", 4, 4, 1, 1))
        case "Add of a constant" | "Mul of a constant":
            made = net.add(kind[:3], x, net.weights(4, 1, 1))
        case "Add of equal scales":
            relu = net.add("Relu", x)
            pool = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
            made = net.add("Add", relu, net.add("MaxPool", relu, **pool))
        case "Concat":
            made = net.add("Concat", x, net.conv("x", 4, 4, 1, 1), axis=1)
        case "AveragePool" | "MaxPool":
            made = net.add(kind, x, kernel_shape=[2, 2], strides=[2, 2])
        case _:
            made = net.add(kind, x)
    return net.model(made), net.samples(24)


def alone(kind: str) -> list[tuple[bytes, Array]]:
    """Some nets of one operator, with QDQ, and their samples."""
    nets = [_alone(seed, kind) for seed in range(4)]
    return [(with_qdq(model, x, unsigned=bool(i % 2)), x) for i, (model, x) in enumerate(nets)]


def run(model: bytes, x: Array) -> Array:
    """ONNX Runtime's outputs for each sample, without its optimiser; [n, …]."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options)
    return np.concatenate([session.run(None, {"x": sample[None]})[0] for sample in x])


def channels_last(x: Array) -> Array:
    """Samples [n, channels, …] as TFLite has them, [n, 1, …, channels]."""
    if x.ndim == 3:
        x = x[:, :, None]
    return np.moveaxis(x, 1, -1)[:, None] if x.ndim > 2 else x[:, None]


def codes_off(model: bytes, x: Array) -> tuple[Array, Graph]:
    """By how many codes each output of TFLite Micro differs from ONNX Runtime's; and the graph."""
    made = convert(model, "net.onnx")
    assert made.is_quantised
    graph = tflite_model.parse(made.content, "net.tflite")
    typed = sample_files.load({"x": channels_last(x)[:, 0]}, graph)
    with Reference(graph.content) as reference:
        output = graph.tensors[graph.outputs[0]]
        real = dequantize(reference.run(typed.inputs)[0], output)
    assert output.quantization is not None
    real = np.moveaxis(real, -1, 2) if real.ndim == 5 else real
    wanted = run(model, x)
    return np.abs(real.reshape(wanted.shape) - wanted) / output.quantization.scale, graph


def with_qdq(
    model: bytes, x: Array, *, unsigned: bool = False, wide: bool = False, per_channel: bool = True
) -> bytes:
    """The net quantised by ONNX Runtime, with QDQ nodes: int8, `unsigned`, or `wide` (int16, opset 21)."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.samples = iter([{"x": sample[None]} for sample in x])

        def get_next(self) -> Any:
            return next(self.samples, None)

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        before, after = Path(folder) / "float.onnx", Path(folder) / "qdq.onnx"
        onnx.save(onnx.load_model_from_string(model), before)
        logging.disable(logging.WARNING)
        try:
            quantize_static(
                before,
                after,
                Reader(),
                quant_format=QuantFormat.QDQ,
                per_channel=per_channel,
                activation_type=QuantType.QInt16
                if wide
                else QuantType.QUInt8
                if unsigned
                else QuantType.QInt8,
                extra_options={"ActivationSymmetric": wide},
                weight_type=QuantType.QInt8,
            )
        finally:
            logging.disable(logging.NOTSET)
        return after.read_bytes()


def folded(model: bytes) -> bytes:
    """The net with each BatchNormalization in the convolution before it, as quantisers want it."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        onnxruntime.InferenceSession(model, options)
        return Path(options.optimized_model_filepath).read_bytes()
