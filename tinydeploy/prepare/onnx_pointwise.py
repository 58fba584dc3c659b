"""ONNX operators that go element by element. Operators: https://onnx.ai/onnx/operators."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinydeploy.host.interpreter import Array
from tinydeploy.model.graph import DType
from tinydeploy.prepare.onnx_emitter import ACTIVATIONS, FIXED, Emitter, Value, handles, limits
from tinydeploy.prepare.onnx_graph import Constant, Node


@handles("Relu", "Clip")
def _relu(emitter: Emitter, node: Node) -> None:
    kind, source = "RELU", emitter.value(node)
    if node.kind == "Clip":
        if limits(emitter, node) not in ((0.0, 6.0), (0.0, np.inf)):
            raise emitter.error(node, "it clips elsewhere than at 0 and 6")
        kind = "RELU6" if limits(emitter, node)[1] == 6 else "RELU"
    _elementwise(emitter, node, source, kind, positive=True)


@handles("Sigmoid", "Tanh", "HardSwish")
def _function(emitter: Emitter, node: Node) -> None:
    kind = {"Sigmoid": "LOGISTIC", "Tanh": "TANH", "HardSwish": "HARD_SWISH"}[node.kind]
    _elementwise(emitter, node, emitter.value(node), kind, positive=node.kind == "Sigmoid")


@handles("LeakyRelu")
def _leaky(emitter: Emitter, node: Node) -> None:
    alpha = {"Alpha": float(node.options.get("alpha", 0.01))}
    _elementwise(emitter, node, emitter.value(node), "LEAKY_RELU", ("LeakyReluOptions", alpha))


def _elementwise(
    emitter: Emitter,
    node: Node,
    source: Value,
    kind: str,
    options: tuple[str, dict[str, float]] | None = None,
    *,
    positive: bool = False,
) -> None:
    """An op that leaves shape and order as they are; rescaled, if it has a quantisation of its own."""
    fixed = FIXED.get(kind) if emitter.graph.is_quantised else None
    if fixed is not None and source.bits == 16:
        fixed = (1 / 32768, 0)
    said = node.outputs[0] in emitter.graph.scales
    value = emitter.new(
        node.outputs[0],
        source.onnx_shape,
        channels_last=source.channels_last,
        scale=None if said else fixed,
        like=source,
        order=source.order,
        positive=positive,
    )
    first = value.index
    if fixed is not None and value.scale != fixed:
        first = emitter.writer.tensor(
            value.shape, emitter.dtype(value.bits), fixed, name=f"{node.outputs[0]}_fixed"
        )
    emitter.op(kind, [source.index], [first], options)
    emitter.rescaled(value, first)


@handles("Softmax")
def _softmax(emitter: Emitter, node: Node) -> None:
    source = emitter.value(node)
    axis = int(node.options.get("axis", -1)) % len(source.onnx_shape)
    last = 1 if source.channels_last else len(source.onnx_shape) - 1
    if axis != last or source.order is not None:
        raise emitter.error(node, f"it goes along axis {axis}", "the channels' axis is known alone")
    _elementwise(emitter, node, source, "SOFTMAX", ("SoftmaxOptions", {"Beta": 1.0}), positive=True)


@handles("Requantize")
def _requantize(emitter: Emitter, node: Node) -> None:
    _elementwise(emitter, node, emitter.value(node), "QUANTIZE")


@handles("Add", "Sub", "Mul", "Div")
def _two(emitter: Emitter, node: Node) -> None:
    kind = node.kind.upper()
    names = [name for name in node.inputs if name in emitter.values]
    first = emitter.values[names[0]]
    operands = []
    for position, name in enumerate(node.inputs):
        if name in emitter.values:
            other = emitter.values[name]
            if other.channels_last != first.channels_last or (other.order is None) != (first.order is None):
                other = emitter.in_order(name)
            if other.channels_last != first.channels_last:
                raise emitter.error(node, "its inputs lie in different orders")
            operands.append(other.index)
        else:
            operands.append(_operand(emitter, node, position, first))
    activation, name = emitter.activation(node)
    shapes = [emitter.values[one].onnx_shape for one in names]
    shapes += [emitter.graph.constants[one].real.shape for one in node.inputs if one not in emitter.values]
    shape = np.broadcast_shapes(*shapes)
    value = emitter.new(
        name, shape, channels_last=first.channels_last, order=first.order, positive=activation != "NONE"
    )
    table = f"{node.kind}Options"
    emitter.op(kind, operands, [value.index], (table, {"FusedActivationFunction": ACTIVATIONS[activation]}))


def _operand(emitter: Emitter, node: Node, position: int, other: Value) -> int:
    """A constant beside a value, in the value's order; where that is quantised, in the codes of the file.

    Where the file has none of the value's type, by its own range.
    """
    found = emitter.constant(node, position)
    assert found is not None
    if not emitter.graph.is_quantised:
        real = _in_order(np.asarray(found.real, np.float32), other)
        return emitter.writer.tensor(real.shape, DType.FLOAT32, data=real.tobytes())
    dtype, said = emitter.dtype(other.bits), found.scale
    if found.codes is not None and said is not None and said.bits == other.bits and len(said.scale) == 1:
        codes, how = found.codes, said.as_int8()
    else:
        how = (max(float(np.abs(found.real).max()), 1e-9) / (2 ** (other.bits - 1) - 1), 0)
        codes = np.rint(found.real / how[0])
    codes = _in_order(codes.astype(dtype.numpy), other)
    return emitter.writer.tensor(codes.shape, dtype, how, codes.tobytes())


def _in_order(values: Array, other: Value) -> Array:
    """A constant of ONNX's shape as TFLite broadcasts it to the other value."""
    if values.size > 1 and other.channels_last:
        wide = values.reshape((1,) * (len(other.onnx_shape) - values.ndim) + values.shape)
        values = np.moveaxis(wide, 1, -1)
        values = values[:, None] if values.ndim == 3 else values
    if values.size > 1 and other.order is not None:
        values = np.broadcast_to(values, (1, len(other.order)))[:, other.order]
    return np.ascontiguousarray(values)


@handles("BatchNormalization")
def _batch_norm(emitter: Emitter, node: Node) -> None:
    """One that nothing before it can take in: MUL and ADD."""
    names: Sequence[str] = node.inputs[1:5]
    scale, bias, mean, variance = (emitter.graph.constants[name].real.astype(np.float64) for name in names)
    factor = scale / np.sqrt(variance + float(node.options.get("epsilon", 1e-5)))
    source, rank = emitter.value(node), len(emitter.value(node).onnx_shape)
    along = (1, -1) + (1,) * (rank - 2)
    parts = {"factor": factor, "shift": bias - mean * factor}
    made = {}
    for part, numbers in parts.items():
        made[part] = f"{node.outputs[0]}_{part}"
        emitter.graph.constants[made[part]] = Constant(numbers.reshape(along).astype(np.float32))
    if emitter.graph.is_quantised:
        raise emitter.error(node, "it is quantised by itself", "fold it into the layer before it")
    middle = f"{node.outputs[0]}_scaled"
    emitter.uses[middle] = 1
    _two(emitter, Node("Mul", node.name, (node.inputs[0], made["factor"]), (middle,), {}))
    _two(emitter, Node("Add", node.name, (middle, made["shift"]), node.outputs[:1], {}))
    assert source.index >= 0
