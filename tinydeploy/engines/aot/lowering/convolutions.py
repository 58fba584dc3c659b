"""Lowering of convolutions, FULLY_CONNECTED and pooling: the ops with weights or windows.

Activations are int8, or int16 (16x8); weights are int8.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.arithmetic.fixed_point import layer_scale
from tinydeploy.engines.aot.ir import Constant, Read, Step, Write
from tinydeploy.engines.aot.lowering import computed_weights
from tinydeploy.engines.aot.lowering.lowerings import lowers
from tinydeploy.engines.aot.lowering.require import (
    UnsupportedError,
    fused_range,
    int_option,
    output_tensor,
    per_tensor,
    require,
    require_symmetric,
    require_types,
    require_wide_sums,
    rescaling,
    wide_rescaling,
)
from tinydeploy.engines.aot.memory import input_overlap
from tinydeploy.model.graph import DType, Graph, Op, Tensor

Params = dict[str, int | float | bool]
Biases = npt.NDArray[np.int32] | npt.NDArray[np.int64]


@lowers("CONV_2D")
def conv_2d(graph: Graph, op: Op) -> tuple[Step, ...]:
    """Any stride, dilation and padding; grouped if the weights have fewer input channels than the input."""
    if computed_weights.is_computed(graph, op):
        return computed_weights.lower(graph, op, conv_2d)
    return _conv_2d(layer_of(graph, op, channel_axis=0))


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
    least = input_overlap.by_channels(input_overlap.windows(params, input_depth), layer.channels, block)
    return layer_step(layer, "conv_2d", "conv.h", params, least)


@lowers("DEPTHWISE_CONV_2D")
def depthwise_conv_2d(graph: Graph, op: Op) -> tuple[Step, ...]:
    """Any stride, dilation, padding and depth multiplier; of one input channel, it is a CONV_2D."""
    if computed_weights.is_computed(graph, op):
        return computed_weights.lower(graph, op, depthwise_conv_2d)
    layer = layer_of(graph, op, channel_axis=3)
    _, kernel_height, kernel_width, _ = layer.weights.shape
    depth = layer.input.shape[3]
    multiplier = int_option(op, "depth_multiplier")
    require(
        layer.weights.shape[0] == 1 and multiplier * depth == layer.channels,
        "its weights do not fit its input and its depth multiplier",
    )
    if depth == 1 and computed_weights.COMPUTED not in op.options:
        return _conv_2d(replace(layer, weights=np.ascontiguousarray(layer.weights.transpose(3, 1, 2, 0))))
    params: Params = {
        "kBatches": layer.input.shape[0],
        **_windows(op, layer.input, layer.output, kernel_height, kernel_width),
        "kInputDepth": depth,
        "kOutputDepth": layer.channels,
        "kDepthMultiplier": multiplier,
        "kInputZeroPoint": per_tensor(layer.input).zero_point,
    }
    least = input_overlap.channel_by_channel(input_overlap.windows(params, depth), layer.channels, multiplier)
    return layer_step(layer, "depthwise_conv_2d", "depthwise_conv.h", params, least)


@lowers("FULLY_CONNECTED")
def fully_connected(graph: Graph, op: Op) -> tuple[Step, ...]:
    """Any number of leading dimensions: all of them are batches."""
    require(op.options["weights_format"] == "DEFAULT", "its weights are shuffled")
    if computed_weights.has_offset(graph, op):
        return computed_weights.with_offset(graph, op)
    if computed_weights.is_computed(graph, op):
        return computed_weights.lower(graph, op, fully_connected)
    layer = layer_of(graph, op, channel_axis=0)
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
    least = input_overlap.channel_by_channel(input_overlap.windows(params, source.shape[3]), source.shape[3])
    least *= output.dtype.bytes
    return (Step(op.kind.lower(), "pool.h", params, args, input_overlap.over(args[0], output, least)),)


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer whose weights are constant. `bias` has the input's zero point folded in.

    It is of int64 where the sums are scaled in 64 bits: int16 activations without a bias of 32 bits.
    """

    op: Op
    input: Tensor
    output: Tensor
    weights: npt.NDArray[np.generic]
    weight_scales: tuple[float, ...]  # one, or one per output channel
    bias: Biases

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


def layer_of(graph: Graph, op: Op, channel_axis: int) -> Layer:
    """The op with its constant weights and bias, checked; `channel_axis` is the weights' output channel."""
    source, kernel, output = (
        graph.tensors[op.inputs[0]],
        graph.tensors[op.inputs[1]],
        output_tensor(graph, op),
    )
    require_types((source, output), DType.INT8, DType.INT16)
    require_types((kernel,), DType.INT8)
    require(source.data is None, "its input is a constant")
    if kernel.data is None:
        raise UnsupportedError("its weights are computed at run time")
    if kernel.quantization is None:
        raise UnsupportedError("its weights have no quantisation")
    require(not any(kernel.quantization.zero_points), "its weights have a zero point")
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


def _bias(graph: Graph, op: Op, channels: int) -> Biases:
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


def pointwise(layer: Layer, rows: int, depth: int) -> tuple[Step, ...]:
    """`rows` rows of `depth` values, or pixels, each times all weights."""
    params: Params = {"kRows": rows, "kInputDepth": depth, "kOutputDepth": layer.channels}
    block = 1 if layer.is_16x8 else 4
    least = input_overlap.by_channels(input_overlap.rows(rows, depth), layer.channels, block)
    return layer_step(layer, "fully_connected", "fully_connected.h", params, least)


def layer_step(layer: Layer, kernel: str, header: str, params: Params, least: int) -> tuple[Step, ...]:
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
    overlaps = input_overlap.over(args[0], layer.output, least * layer.output.dtype.bytes)
    return (Step(kernel, header, every, args, overlaps),)


def _windows(op: Op, source: Tensor, output: Tensor, kernel_height: int, kernel_width: int) -> Params:
    """The parameters of kernels/window.h, for SAME and VALID padding, or that of graph_fusion.py."""
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
