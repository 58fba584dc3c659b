"""Writes ops of TFLite for nodes of ONNX, and keeps what is known of their values.

Values of ONNX are [n, channels, height, width], of TFLite [n, height, width, channels]: each is kept in
TFLite's order, and what depends on the order (weights behind a Flatten, the axis of a Concat) is turned
instead, so that no TRANSPOSE is needed. Values of one spatial axis are images of height 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinydeploy.errors import ModelError
from tinydeploy.host.interpreter import Array
from tinydeploy.model.graph import DType, OptionValue
from tinydeploy.model.tflite_writer import Writer
from tinydeploy.prepare.onnx_graph import Constant, Node, OnnxGraph

ACTIVATIONS = {"NONE": 0, "RELU": 1, "RELU6": 3}
FIXED = {"SOFTMAX": (1 / 256, -128), "LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}
"""What TFLite Micro wants of these outputs in int8; in int16 it is 1/32768 and 0 for all of them."""


@dataclass(frozen=True, eq=False)
class Value:
    """A value: tensor `index` of shape `shape`, quantised by `scale` if it is.

    `channels_last` says that ONNX's axis 1 is the last here; `onnx_shape` is ONNX's. `order` says of a value
    that was flattened where each element was in ONNX's order. `positive` means that nothing is below 0.
    """

    index: int
    shape: tuple[int, ...]
    onnx_shape: tuple[int, ...]
    channels_last: bool = False
    scale: tuple[float, int] | None = None
    bits: int = 8
    order: Array | None = None
    positive: bool = False


Handler = Callable[["Emitter", Node], None]
HANDLERS: dict[str, Handler] = {}


def handles(*kinds: str) -> Callable[[Handler], Handler]:
    """Says that a function emits nodes of these kinds."""

    def registered(function: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(kinds, function))
        return function

    return registered


class Emitter:
    """Writes ops for nodes, in order."""

    def __init__(self, graph: OnnxGraph) -> None:
        self.graph, self.writer = graph, Writer()
        self.values: dict[str, Value] = {}
        self.notes: list[str] = []
        self.uses = graph.uses()
        self.fused: set[str] = set()
        for name in graph.inputs:
            shape = graph.shapes.get(name, ())
            if 0 in shape or not shape:
                raise graph.error(f"the input {name} has no fixed shape", "export with a fixed one")
            self.new(name, shape, channels_last=len(shape) in (3, 4))
            if len(shape) in (3, 4):
                self.notes.append(
                    f"the input is {list(self.values[name].shape)}: channels come last, as in TFLite"
                )

    def emit(self, node: Node) -> None:
        """Writes a node's ops, unless an earlier one has done its work. Raises ModelError."""
        if node.outputs[0] in self.fused:
            return
        handler = HANDLERS.get(node.kind)
        if handler is None:
            known = ", ".join(sorted(HANDLERS))
            raise self.error(node, "no op of TFLite is known for it here", f"known: {known}")
        handler(self, node)

    def error(self, node: Node, words: str, hint: str = "") -> ModelError:
        """An error that names the node."""
        return self.graph.error(f"{node.kind} {node.name or node.outputs[0]}: {words}", hint)

    # Values

    def value(self, node: Node, position: int = 0) -> Value:
        """What a node reads at this position, which has to be computed by the model."""
        name = node.inputs[position]
        if name not in self.values:
            raise self.error(node, f"its input {position} is a constant, which is not supported there")
        return self.values[name]

    def constant(self, node: Node, position: int) -> Constant | None:
        """A constant input; None if it is not given. Raises ModelError if it is computed."""
        name = node.inputs[position] if position < len(node.inputs) else ""
        if not name:
            return None
        if name not in self.graph.constants:
            raise self.error(
                node, f"its input {position} is computed by the model", "a constant is wanted there"
            )
        return self.graph.constants[name]

    def new(
        self,
        name: str,
        onnx_shape: Sequence[int],
        *,
        channels_last: bool = False,
        like: Value | None = None,
        scale: tuple[float, int] | None = None,
        **more: Any,
    ) -> Value:
        """A new value of ONNX's shape: quantised as the file says, or as `like`, or by `scale`."""
        shape = stored(tuple(onnx_shape)) if channels_last else tuple(onnx_shape)
        said = self.graph.scales.get(name)
        bits = said.bits if said else like.bits if like else self.bits
        if scale is None:
            scale = said.as_int8() if said else like.scale if like else None
        if scale is None and self.graph.is_quantised:
            raise self.graph.error(
                f"the value {name} is not quantised, and others are", "quantise all of the model"
            )
        index = self.writer.tensor(shape, self.dtype(bits), scale, name=name)
        self.values[name] = Value(index, shape, tuple(onnx_shape), channels_last, scale, bits, **more)
        return self.values[name]

    @property
    def bits(self) -> int:
        """Of the file's codes, where nothing else says it."""
        return max((scale.bits for scale in self.graph.scales.values()), default=8)

    def dtype(self, bits: int) -> DType:
        """The type of values."""
        return (DType.INT16 if bits == 16 else DType.INT8) if self.graph.is_quantised else DType.FLOAT32

    def finished(self, name: str) -> int:
        """The tensor of a model's output, in ONNX's order where it was flattened."""
        if name not in self.values:
            raise self.graph.error(f"its output {name} is not computed")
        value = self.values[name]
        if value.order is not None:
            value = self.in_order(name)
        if value.channels_last:
            self.notes.append(f"the output {name} is {list(value.shape)}: channels come last")
        return value.index

    def in_order(self, name: str) -> Value:
        """A flattened value in ONNX's order: by RESHAPE and TRANSPOSE, where nothing else helps."""
        value = self.values[name]
        if value.order is None:
            return value
        channels = int(np.flatnonzero(value.order == 1)[0]) if (value.order == 1).any() else 1
        places = channels  # element 1 of ONNX's order lies `channels` further on
        apart = self.shaped(value, (1, value.shape[-1] // places, places), f"{name}_apart")
        turned = self.raw((1, places, value.shape[-1] // places), value, f"{name}_turned")
        self.op("TRANSPOSE", [apart, self.numbers([0, 2, 1])], [turned], ("TransposeOptions", {}))
        flat = self.shaped_index(turned, value, value.shape, f"{name}_in_order")
        self.values[name] = replace(value, index=flat, order=None)
        return self.values[name]

    # Tensors and ops

    def raw(self, shape: Sequence[int], like: Value, name: str) -> int:
        """A tensor that is no value of ONNX's."""
        return self.writer.tensor(shape, self.dtype(like.bits), like.scale, name=name)

    def numbers(self, numbers: Sequence[int]) -> int:
        """A constant of int32."""
        values = np.array(numbers, np.int32)
        return self.writer.tensor(values.shape, DType.INT32, data=values.tobytes())

    def shaped(self, value: Value, shape: Sequence[int], name: str) -> int:
        """The value in another shape."""
        return self.shaped_index(value.index, value, shape, name)

    def shaped_index(self, index: int, like: Value, shape: Sequence[int], name: str) -> int:
        """A tensor in another shape."""
        made = self.raw(shape, like, name)
        self.op("RESHAPE", [index, self.numbers(shape)], [made], None)
        return made

    def op(
        self,
        kind: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: tuple[str, Mapping[str, OptionValue]] | None,
    ) -> None:
        """An op."""
        self.writer.op(kind, inputs, outputs, options)

    def made(self, node: Node, onnx_shape: Sequence[int], source: Value, **more: Any) -> tuple[Value, int]:
        """The node's value, whose codes must mean what its source's do; and what fills in where they do not.

        Pooling and the like cannot rescale: where the file wants that, a QUANTIZE follows.
        """
        value = self.new(node.outputs[0], onnx_shape, like=source, **more)
        if value.scale == source.scale:
            return value, value.index
        first = self.raw(value.shape, source, f"{node.outputs[0]}_before")
        return value, first

    def rescaled(self, value: Value, first: int) -> None:
        """Writes the QUANTIZE that made() asks for."""
        if first != value.index:
            self.op("QUANTIZE", [first], [value.index], None)

    def activation(self, node: Node) -> tuple[str, str]:
        """The activation that the op can do as well, and the name of the value after it."""
        name = node.outputs[0]
        after = [one for one in self.graph.nodes if name in one.inputs]
        if self.uses[name] != 1 or len(after) != 1 or name in self.graph.scales:
            return "NONE", name
        kind = {"Relu": "RELU", "Clip": "RELU6"}.get(after[0].kind, "")
        if not kind or (kind == "RELU6" and limits(self, after[0]) != (0.0, 6.0)):
            return "NONE", name
        self.fused.add(after[0].outputs[0])
        return kind, after[0].outputs[0]

    def weights(
        self, node: Node, found: Constant, turned: Callable[[Array], Array], axis: int
    ) -> tuple[int, Array]:
        """The tensor of a layer's weights, and their scales along `axis` (after `turned`); empty in float."""
        real = turned(found.real.astype(np.float32))
        if not self.graph.is_quantised:
            return self.writer.tensor(real.shape, DType.FLOAT32, data=real.tobytes()), np.zeros(0)
        said = found.scale
        if found.codes is not None and said is not None and said.bits == 8 and not any(said.zero):
            codes, scales = turned(found.codes), np.array(said.scale)
        else:
            others = tuple(i for i in range(real.ndim) if i != axis)
            scales = np.maximum(np.abs(real).max(axis=others), 1e-9).astype(np.float64) / 127
            along = [-1 if i == axis else 1 for i in range(real.ndim)]
            codes = np.rint(real / scales.reshape(along))
            self.notes.append(f"weights of {node.name or node.outputs[0]} are quantised anew, symmetrically")
        codes = np.clip(codes, -128, 127).astype(np.int8)
        how = (scales.tolist(), 0, axis) if len(scales) > 1 else (float(scales[0]), 0)
        return self.writer.tensor(codes.shape, DType.INT8, how, np.ascontiguousarray(codes).tobytes()), scales

    def bias(self, found: Constant | None, count: int, source: Value, scales: Array) -> int:
        """The tensor of a layer's bias: in units of input times weights where it is quantised."""
        real: Array = (
            np.zeros(count, np.float32) if found is None else found.real.reshape(-1).astype(np.float64)
        )
        real = np.broadcast_to(real, (count,))
        if source.scale is None:
            values = np.ascontiguousarray(real, np.float32)
            return self.writer.tensor((count,), DType.FLOAT32, data=values.tobytes())
        units = source.scale[0] * np.broadcast_to(scales, (count,))
        wide = source.bits == 16
        limits_ = np.iinfo(np.int64 if wide else np.int32)
        codes = np.clip(np.rint(real / units), limits_.min, limits_.max)
        each = units.tolist() if len(scales) > 1 else [float(units[0])]
        how = (each, 0, 0) if len(each) > 1 else (each[0], 0)
        dtype, kind = (DType.INT64, np.int64) if wide else (DType.INT32, np.int32)
        return self.writer.tensor((count,), dtype, how, codes.astype(kind).tobytes())


def stored(shape: tuple[int, ...]) -> tuple[int, ...]:
    """ONNX's shape [n, channels, …] with the channels last; of one spatial axis, as an image of height 1."""
    if len(shape) == 3:
        return (shape[0], 1, shape[2], shape[1])
    return (shape[0], *shape[2:], shape[1])


def limits(emitter: Emitter, node: Node) -> tuple[float, float]:
    """Between which values a Clip leaves what it gets."""
    found = []
    for position, option, default in ((1, "min", -np.inf), (2, "max", np.inf)):
        constant = emitter.constant(node, position)
        given = node.options.get(option, default) if constant is None else constant.real.reshape(-1)[0]
        found.append(float(given))
    return found[0], found[1]
