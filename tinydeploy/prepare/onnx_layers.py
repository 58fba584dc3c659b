"""ONNX operators that go over windows, or have weights. Operators: https://onnx.ai/onnx/operators."""

from __future__ import annotations

import numpy as np

from tinydeploy.host.interpreter import Array
from tinydeploy.model.graph import DType
from tinydeploy.prepare.onnx_emitter import ACTIVATIONS, Emitter, Value, handles
from tinydeploy.prepare.onnx_graph import Node

_SAME, _VALID = 0, 1


@handles("Conv")
def _conv(emitter: Emitter, node: Node) -> None:
    source, kernel = emitter.value(node), emitter.constant(node, 1)
    assert kernel is not None
    if not source.channels_last or len(source.shape) != 4:
        raise emitter.error(
            node, f"its input is {list(source.onnx_shape)}, and one or two spatial axes are known"
        )
    weights, group = kernel.real, int(node.options.get("group", 1))
    if weights.ndim == 3:
        weights = weights[:, :, None, :]
    filters, depth, height, width = weights.shape
    channels, depthwise = source.shape[3], group > 1
    if depthwise and (group != channels or depth != 1):
        raise emitter.error(
            node, f"a convolution of {group} groups, which no kernel has", "use 1 or all channels"
        )
    wide = _wide(node)
    padding, source_index, extent = _padded(emitter, node, source, (height, width))
    activation, name = emitter.activation(node)
    spatial = [
        _out(size, k, s, d) for size, k, s, d in zip(extent, (height, width), wide[0], wide[1], strict=True)
    ]
    shape = (1, filters, *(spatial if len(source.onnx_shape) == 4 else spatial[1:]))

    def turned(values: Array) -> Array:
        values = values[:, :, None, :] if values.ndim == 3 else values
        return values.transpose(1, 2, 3, 0) if depthwise else values.transpose(0, 2, 3, 1)

    index, scales = emitter.weights(node, kernel, turned, 3 if depthwise else 0)
    bias = emitter.bias(emitter.constant(node, 2), filters, source, scales)
    value = emitter.new(name, shape, channels_last=True, positive=activation != "NONE")
    options = {
        "Padding": padding,
        "StrideH": wide[0][0],
        "StrideW": wide[0][1],
        "DilationHFactor": wide[1][0],
        "DilationWFactor": wide[1][1],
        "FusedActivationFunction": ACTIVATIONS[activation],
    }
    kind, table = (
        ("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions") if depthwise else ("CONV_2D", "Conv2DOptions")
    )
    more = {"DepthMultiplier": filters // channels} if depthwise else {}
    emitter.op(kind, [source_index, index, bias], [value.index], (table, options | more))


def _wide(node: Node) -> tuple[tuple[int, int], tuple[int, int]]:
    """Strides and dilations of height and width."""
    found = []
    for name in ("strides", "dilations"):
        numbers = [int(n) for n in node.options.get(name, (1, 1))]
        found.append((1, numbers[0]) if len(numbers) == 1 else (numbers[0], numbers[1]))
    return found[0], found[1]


def _out(size: int, kernel: int, stride: int, dilation: int) -> int:
    return (size - (kernel - 1) * dilation - 1) // stride + 1


def _padded(
    emitter: Emitter, node: Node, source: Value, kernel: tuple[int, int], lowest: bool = False
) -> tuple[int, int, tuple[int, int]]:
    """TFLite's padding, the tensor to read, and the height and width that a window runs over.

    What SAME does not do, a PAD does. `lowest`: for a maximum, to which a 0 is lowest if all else is above.
    """
    size = (source.shape[1], source.shape[2])
    strides, dilations = _wide(node)
    pads = _pads(emitter, node, size, kernel)
    total = tuple(size[i] + pads[i] + pads[i + 2] for i in (0, 1))
    if not any(pads):
        return _VALID, source.index, size
    same = []
    for i in (0, 1):
        reach = (kernel[i] - 1) * dilations[i] + 1
        needed = max((-(-size[i] // strides[i]) - 1) * strides[i] + reach - size[i], 0)
        covered = _out(total[i], kernel[i], strides[i], dilations[i]) == -(-size[i] // strides[i])
        same.append(covered and pads[i] == needed // 2 and pads[i + 2] >= needed - needed // 2)
    if all(same):
        return _SAME, source.index, (total[0], total[1])
    if lowest and not source.positive:
        raise emitter.error(
            node, f"its padding {list(pads)} is not TFLite's", "pad as SAME does, or after a Relu"
        )
    shape = (1, *total, source.shape[3])
    made = emitter.raw(shape, source, f"{node.outputs[0]}_padded")
    by = np.array([[0, 0], [pads[0], pads[2]], [pads[1], pads[3]], [0, 0]], np.int32)
    paddings = emitter.writer.tensor((4, 2), DType.INT32, data=by.tobytes())
    emitter.op("PAD", [source.index, paddings], [made], ("PadOptions", {}))
    return _VALID, made, (total[0], total[1])


def _pads(
    emitter: Emitter, node: Node, size: tuple[int, int], kernel: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Rows above, columns left, rows below, columns right."""
    auto = node.options.get("auto_pad", b"NOTSET")
    auto = auto.decode() if isinstance(auto, bytes) else str(auto)
    strides, dilations = _wide(node)
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        ends = []
        for i in (0, 1):
            reach = (kernel[i] - 1) * dilations[i] + 1
            needed = max((-(-size[i] // strides[i]) - 1) * strides[i] + reach - size[i], 0)
            less, more = needed // 2, needed - needed // 2
            ends.append((less, more) if auto == "SAME_UPPER" else (more, less))
        return ends[0][0], ends[1][0], ends[0][1], ends[1][1]
    pads = [int(n) for n in node.options.get("pads", (0, 0, 0, 0))]
    if len(pads) == 2:
        pads = [0, pads[0], 0, pads[1]]
    if auto == "VALID":
        pads = [0, 0, 0, 0]
    if min(pads) < 0:
        raise emitter.error(node, "its padding is negative")
    return pads[0], pads[1], pads[2], pads[3]


@handles("Gemm", "MatMul")
def _dense(emitter: Emitter, node: Node) -> None:
    source, kernel = emitter.value(node), emitter.constant(node, 1)
    assert kernel is not None
    if kernel.real.ndim != 2 or source.channels_last or node.options.get("transA"):
        raise emitter.error(node, "only a matrix of constants, behind a value of two axes, is known")
    if any(float(node.options.get(name, 1)) != 1 for name in ("alpha", "beta")):
        raise emitter.error(node, "alpha or beta is not 1")
    transposed = bool(node.options.get("transB")) if node.kind == "Gemm" else False
    order = source.order

    def turned(values: Array) -> Array:
        rows = values if transposed else values.T
        return np.ascontiguousarray(rows if order is None else rows[:, order])

    units = kernel.real.shape[0 if transposed else 1]
    if len(source.shape) != 2:
        raise emitter.error(node, f"its input is {list(source.onnx_shape)}", "flatten it")
    found, name, added = emitter.constant(node, 2) if node.kind == "Gemm" else None, node.outputs[0], None
    after = [one for one in emitter.graph.nodes if name in one.inputs]
    if found is None and len(after) == 1 and after[0].kind == "Add" and name not in emitter.graph.scales:
        other = next((one for one in after[0].inputs if one != name), "")
        if other in emitter.graph.constants and emitter.graph.constants[other].real.size == units:
            found, added = emitter.graph.constants[other], after[0]
            emitter.fused.add(added.outputs[0])
    activation, name = emitter.activation(added or node)
    index, scales = emitter.weights(node, kernel, turned, 0)
    bias = emitter.bias(found, units, source, scales)
    value = emitter.new(name, (source.shape[0], units), positive=activation != "NONE")
    options = {"FusedActivationFunction": ACTIVATIONS[activation]}
    emitter.op(
        "FULLY_CONNECTED", [source.index, index, bias], [value.index], ("FullyConnectedOptions", options)
    )


@handles("MaxPool", "AveragePool")
def _pool(emitter: Emitter, node: Node) -> None:
    source = emitter.value(node)
    shape = [int(n) for n in node.options["kernel_shape"]]
    kernel = (1, shape[0]) if len(shape) == 1 else (shape[0], shape[1])
    if node.options.get("ceil_mode") or any(int(n) != 1 for n in node.options.get("dilations", (1,))):
        raise emitter.error(node, "ceil_mode and dilations are not known")
    is_max = node.kind == "MaxPool"
    pads = _pads(emitter, node, (source.shape[1], source.shape[2]), kernel)
    if not is_max and any(pads) and node.options.get("count_include_pad"):
        raise emitter.error(node, "it counts the padding", "count_include_pad=False")
    strides, _ = _wide(node)
    padding, index, extent = _padded(emitter, node, source, kernel, lowest=is_max)
    if not is_max and any(pads) and padding == _VALID:
        raise emitter.error(node, f"its padding {list(pads)} is not TFLite's", "pad as SAME does")
    spatial = [_out(size, k, s, 1) for size, k, s in zip(extent, kernel, strides, strict=True)]
    onnx_shape = (1, source.shape[3], *(spatial if len(source.onnx_shape) == 4 else spatial[1:]))
    value, first = emitter.made(node, onnx_shape, source, channels_last=True, positive=source.positive)
    options = {
        "Padding": padding,
        "StrideH": strides[0],
        "StrideW": strides[1],
        "FilterHeight": kernel[0],
        "FilterWidth": kernel[1],
    }
    emitter.op("MAX_POOL_2D" if is_max else "AVERAGE_POOL_2D", [index], [first], ("Pool2DOptions", options))
    emitter.rescaled(value, first)


@handles("GlobalAveragePool", "GlobalMaxPool")
def _whole(emitter: Emitter, node: Node) -> None:
    source = emitter.value(node)
    ones = (1,) * (len(source.onnx_shape) - 2)
    kind = "MEAN" if node.kind == "GlobalAveragePool" else "REDUCE_MAX"
    shape = (*source.onnx_shape[:2], *ones)
    if kind == "MEAN":
        value = emitter.new(node.outputs[0], shape, channels_last=True, like=source, positive=source.positive)
        first = value.index
    else:
        value, first = emitter.made(node, shape, source, channels_last=True, positive=source.positive)
    emitter.op(kind, [source.index, emitter.numbers([1, 2])], [first], ("ReducerOptions", {"KeepDims": True}))
    emitter.rescaled(value, first)


@handles("ReduceMean")
def _mean(emitter: Emitter, node: Node) -> None:
    source = emitter.value(node)
    given = emitter.constant(node, 1)
    axes = node.options.get("axes", ()) if given is None else given.real.reshape(-1).tolist()
    axes = sorted(int(axis) % len(source.onnx_shape) for axis in axes)
    keeps = bool(node.options.get("keepdims", 1))
    if not source.channels_last or axes != list(range(2, len(source.onnx_shape))):
        raise emitter.error(node, "means over the spatial axes are known alone")
    shape = source.onnx_shape[:2] + ((1,) * len(axes) if keeps else ())
    value = emitter.new(node.outputs[0], shape, channels_last=keeps, like=source, positive=source.positive)
    emitter.op(
        "MEAN",
        [source.index, emitter.numbers([1, 2])],
        [value.index],
        ("ReducerOptions", {"KeepDims": keeps}),
    )
