"""ONNX operators that change shape or order alone. Operators: https://onnx.ai/onnx/operators."""

from __future__ import annotations

from math import prod

import numpy as np

from tinydeploy.prepare.onnx_emitter import Emitter, Value, handles, stored
from tinydeploy.prepare.onnx_graph import Node


@handles("Flatten", "Reshape", "Squeeze", "Unsqueeze")
def _reshape(emitter: Emitter, node: Node) -> None:
    source = emitter.value(node)
    wanted = _wanted_shape(emitter, node, source)
    order = source.order
    spatial = prod(source.onnx_shape[2:])
    if source.channels_last and spatial > 1 and source.onnx_shape[1] > 1:
        if len(wanted) != 2:
            raise emitter.error(
                node, f"it makes {list(wanted)} of {list(source.onnx_shape)}", "flatten it whole"
            )
        order = (
            np.arange(prod(wanted))
            .reshape(source.onnx_shape[1:])
            .reshape(source.onnx_shape[1], -1)
            .T.reshape(-1)
        )
    elif order is not None and len(wanted) != 2:
        source, order = emitter.in_order(node.inputs[0]), None
    last = len(wanted) in (3, 4)
    if last and prod(wanted[2:]) > 1 and wanted[1] > 1:
        raise emitter.error(
            node, f"it makes {list(wanted)} of {list(source.onnx_shape)}", "images come in as images"
        )
    value, first = emitter.made(
        node, wanted, source, channels_last=last, order=order, positive=source.positive
    )
    shape = stored(wanted) if last else wanted
    emitter.op("RESHAPE", [source.index, emitter.numbers(shape)], [first], None)
    emitter.rescaled(value, first)


def _wanted_shape(emitter: Emitter, node: Node, source: Value) -> tuple[int, ...]:
    old = source.onnx_shape
    if node.kind == "Flatten":
        axis = int(node.options.get("axis", 1)) % (len(old) + 1)
        return prod(old[:axis]), prod(old[axis:])
    if node.kind in ("Squeeze", "Unsqueeze"):
        given = emitter.constant(node, 1)
        axes = node.options.get("axes") if given is None else given.real.reshape(-1).tolist()
        rank = len(old) + (len(axes) if node.kind == "Unsqueeze" and axes is not None else 0)
        numbers = sorted(int(axis) % rank for axis in axes) if axes is not None else []
        if node.kind == "Squeeze":
            gone = numbers or [i for i, size in enumerate(old) if size == 1 and i]
            return tuple(size for i, size in enumerate(old) if i not in gone)
        shape = list(old)
        for axis in numbers:
            shape.insert(axis, 1)
        return tuple(shape)
    shape_input = emitter.constant(node, 1)
    assert shape_input is not None
    wanted = [int(n) for n in shape_input.real.reshape(-1)]
    wanted = [old[i] if n == 0 else n for i, n in enumerate(wanted)]
    if -1 in wanted:
        wanted[wanted.index(-1)] = prod(old) // max(-prod(wanted), 1)
    if prod(wanted) != prod(old) or wanted[:1] != [1]:
        raise emitter.error(node, f"it makes {wanted} of {list(old)}", "the batch comes first, and is 1")
    return tuple(wanted)


@handles("Transpose")
def _transpose(emitter: Emitter, node: Node) -> None:
    """Only what exporters of TensorFlow put around convolutions: it cancels out with the order kept here."""
    raise emitter.error(node, "values cannot be transposed", "export from the framework that the model is of")


@handles("Concat")
def _concat(emitter: Emitter, node: Node) -> None:
    sources = [emitter.value(node, i) for i in range(len(node.inputs))]
    first = sources[0]
    if any(one.channels_last != first.channels_last for one in sources):
        raise emitter.error(node, "its inputs lie in different orders")
    if any(one.order is not None for one in sources):
        sources = [emitter.in_order(name) for name in node.inputs]
    rank = len(first.onnx_shape)
    axis = int(node.options["axis"]) % rank
    shape = list(first.onnx_shape)
    shape[axis] = sum(one.onnx_shape[axis] for one in sources)
    value = emitter.new(
        node.outputs[0],
        shape,
        channels_last=first.channels_last,
        like=first,
        positive=all(one.positive for one in sources),
    )
    place = axis
    if first.channels_last:
        place = 0 if axis == 0 else 3 if axis == 1 else axis - 1 + (rank == 3)
    operands = [_alike(emitter, one, value, f"{node.outputs[0]}_{i}") for i, one in enumerate(sources)]
    emitter.op("CONCATENATION", operands, [value.index], ("ConcatenationOptions", {"Axis": place}))


def _alike(emitter: Emitter, source: Value, wanted: Value, name: str) -> int:
    """The value in the codes of another, which CONCATENATION wants of all that it joins."""
    if source.scale == wanted.scale:
        return source.index
    index = emitter.writer.tensor(source.shape, emitter.dtype(wanted.bits), wanted.scale, name=name)
    emitter.op("QUANTIZE", [source.index], [index], None)
    return index
