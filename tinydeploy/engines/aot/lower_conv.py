"""Lowering of the ops with weights or windows: convolutions, FULLY_CONNECTED, pooling.

Activations are int8, or int16 (16x8); weights are int8.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot import lower_computed, overlap
from tinydeploy.engines.aot.checks import (
    constant_ints,
    fused_range,
    int_option,
    output_tensor,
    per_tensor,
    require,
    require_bias_scale,
    require_symmetric,
    require_types,
    require_wide_sums,
    rescaling,
    wide_rescaling,
)
from tinydeploy.engines.aot.program import Constant, Read, Step, UnsupportedError, Write, lowers
from tinydeploy.engines.aot.quantize import layer_scale
from tinydeploy.graph import DType, Graph, Op, Tensor

Params = dict[str, int | float | bool]
_MOST_PHASES = 32  # along an axis of TRANSPOSE_CONV: each pair of them has biases of its own


@lowers("CONV_2D")
def conv_2d(graph: Graph, op: Op) -> tuple[Step, ...]:
    """Any stride, dilation and padding; grouped if the weights have fewer input channels than the input."""
    if lower_computed.is_computed(graph, op):
        return lower_computed.lower(graph, op, conv_2d)
    return _conv_2d(_layer(graph, op, channel_axis=0))


def _conv_2d(layer: Layer) -> tuple[Step, ...]:
    """A convolution with weights [output channel][y][x][input channel of the group]."""
    _, kernel_height, kernel_width, depth = layer.weights.shape
    batches, height, width, input_depth = layer.input.shape
    require(input_depth % depth == 0, "its input's channels are not a multiple of its weights'")
    groups = input_depth // depth
    require(layer.channels % groups == 0, "its output's channels are not a multiple of its groups")
    windows = _windows(layer.op, layer.input, layer.output, kernel_height, kernel_width)
    if kernel_height == kernel_width == groups == 1 and layer.output.shape[1:3] == (height, width):
        return pointwise(layer, batches * height * width, depth)
    params: Params = {
        "kBatches": batches,
        **windows,
        "kInputDepth": input_depth,
        "kOutputDepth": layer.channels,
        "kGroups": groups,
        "kInputZeroPoint": per_tensor(layer.input).zero_point,
    }
    channels = layer.channels // groups
    block = 1 if layer.is_16x8 else next(rows for rows in (4, 2, 1) if channels % rows == 0)
    least = overlap.by_channels(overlap.windows(params, input_depth), layer.channels, block)
    return _call(layer, "conv_2d", "conv.h", params, least)


@lowers("DEPTHWISE_CONV_2D")
def depthwise_conv_2d(graph: Graph, op: Op) -> tuple[Step, ...]:
    """Any stride, dilation, padding and depth multiplier; of one input channel, it is a CONV_2D."""
    if lower_computed.is_computed(graph, op):
        return lower_computed.lower(graph, op, depthwise_conv_2d)
    require(op.inputs[2:] != (-1,), "its bias is given as missing, and on that TFLite Micro crashes")
    layer = _layer(graph, op, channel_axis=3)
    _, kernel_height, kernel_width, _ = layer.weights.shape
    depth = layer.input.shape[3]
    multiplier = int_option(op, "depth_multiplier")
    require(
        layer.weights.shape[0] == 1 and multiplier * depth == layer.channels,
        "its weights do not fit its input and its depth multiplier",
    )
    if depth == 1 and lower_computed.COMPUTED not in op.options:
        return _conv_2d(replace(layer, weights=np.ascontiguousarray(layer.weights.transpose(3, 1, 2, 0))))
    params: Params = {
        "kBatches": layer.input.shape[0],
        **_windows(op, layer.input, layer.output, kernel_height, kernel_width),
        "kInputDepth": depth,
        "kOutputDepth": layer.channels,
        "kDepthMultiplier": multiplier,
        "kInputZeroPoint": per_tensor(layer.input).zero_point,
    }
    least = overlap.channel_by_channel(overlap.windows(params, depth), layer.channels, multiplier)
    return _call(layer, "depthwise_conv_2d", "depthwise_conv.h", params, least)


@lowers("TRANSPOSE_CONV")
def transpose_conv(graph: Graph, op: Op) -> tuple[Step, ...]:
    """Any stride and padding. The inputs are: the output's shape, weights, input and perhaps a bias.

    Unlike the other layers, it has one kernel for int8 and int16.
    """
    output = output_tensor(graph, op)
    require(len(op.inputs) in (3, 4) and min(op.inputs[:3]) >= 0, f"it has {len(op.inputs)} inputs")
    if lower_computed.is_computed(graph, op):
        return lower_computed.lower(graph, op, transpose_conv)
    shape = output.shape  # which holds even where the shape is computed: TFLite Micro does not look at it
    if graph.tensors[op.inputs[0]].data is not None:
        given = constant_ints(graph, op, 0, "output's shape")
        require(given == shape, f"its output has the shape {shape}, not {given}")
    inputs = (op.inputs[2], op.inputs[1], *op.inputs[3:])
    layer = _layer(graph, replace(op, inputs=inputs), channel_axis=0)
    _, kernel_height, kernel_width, depth = layer.weights.shape
    batches, height, width, input_depth = layer.input.shape
    require(len(shape) == 4 and shape[0] == batches, "its input and output have different batches")
    require(input_depth == depth, "its input's channels are not its weights'")
    zero_point = per_tensor(layer.input).zero_point
    params: Params = {"kBatches": batches, "kInputDepth": depth, "kOutputDepth": layer.channels}
    params["kInputZeroPoint"] = zero_point
    strides, firsts = [], []
    sides = (("Height", "Top", kernel_height), ("Width", "Left", kernel_width))
    for axis, (side, edge, kernel) in enumerate(sides, start=1):
        size, steps, stride = (
            layer.input.shape[axis],
            shape[axis],
            int_option(op, f"stride_{side[0].lower()}"),
        )
        # The padding of the convolution that would lead from the output back to the input.
        same = op.options["padding"] == "SAME"
        places = -(-steps // stride) if same else (steps - kernel + stride) // stride
        before = max((places - 1) * stride + kernel - steps, 0) // 2
        strides.append(stride)
        require(stride <= _MOST_PHASES, f"its stride is {stride}, more than {_MOST_PHASES}")
        # The lowest row, or column, that each output's window may reach.
        require(steps < 2**15, "its output is larger than 32,767 pixels")
        firsts.append(np.clip(-((kernel - 1 - before - np.arange(steps)) // stride), 0, size - 1))
        params |= {
            f"kInput{side}": size,
            f"kOutput{side}": steps,
            f"kKernel{side}": kernel,
            f"kStride{side}": stride,
            f"kPad{edge}": before,
        }
    # Of each phase only the taps that it has take part in the sum that the zero point is multiplied with.
    bias = np.empty((*strides, layer.channels), np.int64)
    whole = layer.bias + np.int64(zero_point) * layer.weights.sum(axis=(1, 2, 3), dtype=np.int64)
    for y, x in np.ndindex(*strides):
        taps = layer.weights[:, y :: strides[0], x :: strides[1]]
        bias[y, x] = whole - zero_point * taps.sum(axis=(1, 2, 3), dtype=np.int64)
    folded = replace(layer, bias=bias.reshape(-1) if layer.is_16x8 else bias.reshape(-1).astype(np.int32))
    pixels = overlap.pixels(batches, firsts[0], firsts[1], height, width)
    first = None if pixels is None else pixels * depth
    block = next(rows for rows in (4, 2, 1) if layer.channels % rows == 0)
    least = overlap.by_channels(first, layer.channels, block)
    return _call(folded, "transpose_conv", "transpose_conv.h", params, least)


@lowers("FULLY_CONNECTED")
def fully_connected(graph: Graph, op: Op) -> tuple[Step, ...]:
    """Any number of leading dimensions: all of them are batches."""
    require(op.options["weights_format"] == "DEFAULT", "its weights are shuffled")
    if lower_computed.has_offset(graph, op):
        return lower_computed.with_offset(graph, op)
    if lower_computed.is_computed(graph, op):
        return lower_computed.lower(graph, op, fully_connected)
    layer = _layer(graph, op, channel_axis=0)
    require_bias_scale(graph, op)
    depth = layer.weights.shape[1]
    batches = layer.output.elements // layer.channels
    require(batches * depth == layer.input.elements, "its weights do not fit its input")
    return pointwise(layer, batches, depth)


@lowers("AVERAGE_POOL_2D", "MAX_POOL_2D")
def pool_2d(graph: Graph, op: Op) -> tuple[Step, ...]:
    """Any window, stride and padding."""
    source, output = graph.tensors[op.inputs[0]], output_tensor(graph, op)
    require_types((source, output), DType.INT8, DType.INT16)
    require(source.data is None, "its input is a constant")
    before, after = per_tensor(source), per_tensor(output)
    require(
        abs(before.scale - after.scale) <= 1e-6 and before.zero_point == after.zero_point,
        "its input and output are quantised differently",
    )
    windows = _windows(op, source, output, int_option(op, "filter_height"), int_option(op, "filter_width"))
    require(source.shape[3] == output.shape[3], "its input and output have different channels")
    low, high = fused_range(op, output)
    params: Params = {
        "kBatches": source.shape[0],
        **windows,
        "kDepth": source.shape[3],
        "kActivationMin": low,
        "kActivationMax": high,
    }
    args = (Read(source.index), Write(output.index))
    least = overlap.channel_by_channel(overlap.windows(params, source.shape[3]), source.shape[3])
    least *= output.dtype.bytes
    return (Step(op.kind.lower(), "pool.h", params, args, overlap.over(args[0], output, least)),)


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer whose weights are constant. `bias` has the input's zero point folded in.

    TFLite Micro's kernels take the weights' own zero point for 0, and so does this. The bias is of int64
    where the sums are scaled in 64 bits: int16 activations without a bias of 32 bits.
    """

    op: Op
    input: Tensor
    output: Tensor
    weights: npt.NDArray[np.generic]
    weight_scales: tuple[float, ...]  # one, or one per output channel
    bias: npt.NDArray[np.int32] | npt.NDArray[np.int64]

    @property
    def is_16x8(self) -> bool:
        """Whether its activations are int16."""
        return self.output.dtype is DType.INT16

    @property
    def channels(self) -> int:
        """The number of output channels."""
        return self.bias.size

    def scales(self) -> list[float]:
        """The factors from accumulator to output, one or one per output channel."""
        source, output = per_tensor(self.input), per_tensor(self.output)
        return [layer_scale(source.scale, scale, output.scale) for scale in self.weight_scales]


def _layer(graph: Graph, op: Op, channel_axis: int) -> Layer:
    source, kernel = (graph.tensors[index] for index in op.inputs[:2])
    output = output_tensor(graph, op)
    require_types((source, output), DType.INT8, DType.INT16)
    require_types((kernel,), DType.INT8)
    require(source.data is None, "its input is a constant")
    if kernel.data is None:
        raise UnsupportedError("its weights are computed at run time")
    if kernel.quantization is None:
        raise UnsupportedError("its weights have no quantisation")
    channels = kernel.shape[channel_axis]
    require(
        not kernel.quantization.per_channel or kernel.quantization.axis == channel_axis,
        "its weights are quantised along another axis than the output channels",
    )
    require(output.shape[-1:] == (channels,), "its output does not fit its weights")
    axes = tuple(axis for axis in range(kernel.data.ndim) if axis != channel_axis)
    bias = _bias(graph, op, channels)
    if output.dtype is DType.INT8:
        bias = bias - per_tensor(source).zero_point * kernel.data.sum(axis=axes, dtype=np.int64)
        bias = bias.astype(np.int32)  # modulo 2**32, as the accumulators are
    else:
        require_symmetric(source)
        require_symmetric(output)
    if bias.dtype == np.int64:
        require_wide_sums(bias.astype(np.int64), kernel.data.astype(np.int8), axes)
    return Layer(op, source, output, kernel.data, kernel.quantization.scales, bias)


def _bias(graph: Graph, op: Op, channels: int) -> npt.NDArray[np.int32] | npt.NDArray[np.int64]:
    """The bias, or zeros, in the type of the accumulators."""
    if graph.tensors[op.inputs[0]].dtype is DType.INT8:
        allowed: tuple[DType, ...] = (DType.INT32,)
    else:
        narrow_too = op.kind not in ("DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
        allowed = (DType.INT64, DType.INT32) if narrow_too else (DType.INT64,)
    if len(op.inputs) < 3 or op.inputs[2] < 0:
        narrow = op.options.get("quantized_bias_type") == "INT32" and DType.INT32 in allowed
        return np.zeros(channels, np.int32 if narrow else allowed[0].numpy)
    given = graph.tensors[op.inputs[2]]
    require_types((given,), *allowed)
    if given.data is None:
        raise UnsupportedError("its bias is computed at run time")
    require(given.elements == channels, "its bias does not fit its weights")
    values = given.data.reshape(-1)
    return values.astype(np.int64) if given.dtype is DType.INT64 else values.astype(np.int32)


def pointwise(layer: Layer, batches: int, depth: int) -> tuple[Step, ...]:
    """`batches` rows of `depth` values, each times all weights."""
    params: Params = {"kBatches": batches, "kInputDepth": depth, "kOutputDepth": layer.channels}
    block = 1 if layer.is_16x8 else 4
    least = overlap.by_channels(overlap.rows(batches, depth), layer.channels, block)
    return _call(layer, "fully_connected", "fully_connected.h", params, least)


def _call(layer: Layer, kernel: str, header: str, params: Params, least: int) -> tuple[Step, ...]:
    """The step, with the parameters and constants that all kernels with weights share.

    `least` is how far below its input the kernel's output may start, in elements.
    """
    wide = layer.bias.dtype == np.int64
    factors = [rescaling(scale) for scale in layer.scales()]
    low, high = fused_range(layer.op, layer.output)
    every: Params = {
        **params,
        "kPerChannel": len(factors) > 1,
        "kLeftShift": any(shift > 0 for _, shift in factors),
        "kOutputZeroPoint": per_tensor(layer.output).zero_point,
        "kActivationMin": low,
        "kActivationMax": high,
    }
    if layer.is_16x8 and kernel != "transpose_conv":
        kernel, header = f"{kernel}_16x8", "conv_16x8.h"
        every["kWideSums"] = wide
        del every["kLeftShift"], every["kOutputZeroPoint"]
    if wide:
        factors = [wide_rescaling(*factor) for factor in factors]
    name = f"op{layer.op.index}"
    args = (
        Read(layer.input.index),
        Constant(f"{name}_weights", layer.weights.reshape(-1)),
        Constant(f"{name}_bias", layer.bias),
        Constant(f"{name}_multiplier", np.array([multiplier for multiplier, _ in factors], np.int32)),
        Constant(f"{name}_shift", np.array([shift for _, shift in factors], np.int8)),
        Write(layer.output.index),
    )
    overlaps = overlap.over(args[0], layer.output, least * layer.output.dtype.bytes)
    return (Step(kernel, header, every, args, overlaps),)


def _windows(op: Op, source: Tensor, output: Tensor, kernel_height: int, kernel_width: int) -> Params:
    """The parameters of kernels/window.h, for TensorFlow's SAME and VALID padding, or that of passes.py."""
    require(len(source.shape) == len(output.shape) == 4, "its input or output does not have four dimensions")
    require(source.shape[0] == output.shape[0], "its input and output have different batches")
    params: Params = {}
    padded = False
    sides = (("Height", 1, kernel_height, "Top", "Bottom"), ("Width", 2, kernel_width, "Left", "Right"))
    for side, axis, kernel, edge, opposite in sides:
        initial = side[0].lower()
        stride = int_option(op, f"stride_{initial}")
        dilation = int_option(op, f"dilation_{initial}_factor") or 1  # pooling has none
        reach = (kernel - 1) * dilation + 1
        size, steps = source.shape[axis], output.shape[axis]
        explicit = [int_option(op, f"pad_{name.lower()}") for name in (edge, opposite)]
        places = size if op.options["padding"] == "SAME" else size + sum(explicit) - reach + 1
        require(steps == -(-places // stride), "its output does not fit its window")
        missing = max((steps - 1) * stride + reach - size, 0)
        before = explicit[0] if op.options["padding"] == "EXPLICIT" else missing // 2
        padded = padded or missing > 0 or before > 0
        params |= {
            f"kInput{side}": size,
            f"kOutput{side}": steps,
            f"kKernel{side}": kernel,
            f"kStride{side}": stride,
            f"kDilation{side}": dilation,
            f"kPad{edge}": before,
        }
    return params | {"kPadded": padded}
