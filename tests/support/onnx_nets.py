"""Small ONNX nets of seeded weights: float, and with QDQ as ONNX Runtime's own quantiser writes it."""

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


def run(model: bytes, x: Array) -> Array:
    """ONNX Runtime's outputs for each sample, without its optimiser; [n, …]."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options)
    return np.concatenate([session.run(None, {"x": sample[None]})[0] for sample in x])


def with_qdq(model: bytes, x: Array, *, unsigned: bool = False, per_channel: bool = True) -> bytes:
    """The net quantised by ONNX Runtime, with QDQ nodes."""
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
                activation_type=QuantType.QUInt8 if unsigned else QuantType.QInt8,
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
