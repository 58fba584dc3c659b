"""Lowering of convolutions, FULLY_CONNECTED and pooling: the ops with weights or windows.

Activations are int8, or int16 (16x8); weights are int8.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.arithmetic.fixed_point import layer_scale
from tinydeploy.engines.aot.geometry import Geometry
from tinydeploy.engines.aot.ir import Constant, Kernel, Read, Step, Write
from tinydeploy.engines.aot.kernels import layer_kernels, pooling
from tinydeploy.engines.aot.kernels.layer_kernels import (
    Conv2d,
    DepthwiseConv2d,
    FullyConnected,
    Layer16x8,
    Scaling,
)
from tinydeploy.engines.aot.lowering import computed_weights
from tinydeploy.engines.aot.lowering.lowerings import lowers
from tinydeploy.engines.aot.lowering.require import (
    UnsupportedError,
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
from tinydeploy.engines.aot.lowering.window_geometry import COLUMNS, ROWS, window_axis
from tinydeploy.model.graph import DType, Graph, Op, Tensor

L = TypeVar("L", FullyConnected, Conv2d, DepthwiseConv2d)
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
    geometry = _geometry(layer.op, layer.input, layer.output, kernel_height, kernel_width)
    if kernel_height == kernel_width == groups == 1 and layer.output.shape[1:3] == (height, width):
        return pointwise(layer, batches * height * width, depth)
    zero_point = per_tensor(layer.input).zero_point
    params = Conv2d(geometry, input_depth, layer.channels, groups, zero_point, scaling_of(layer))
    return _layer_step(layer, layer_kernels.CONV_2D, layer_kernels.CONV_2D_16X8, params)


@lowers("DEPTHWISE_CONV_2D")
def depthwise_conv_2d(graph: Graph, op: Op) -> tuple[Step, ...]:
    """Any stride, dilation, padding and depth multiplier; of one input channel, it is a CONV_2D."""
    if computed_weights.is_computed(graph, op):
        return computed_weights.lower(graph, op, _depthwise_conv_2d)
    if graph.tensors[op.inputs[0]].shape[3:] == (1,):
        layer = _depthwise_layer(graph, op)
        weights = np.ascontiguousarray(layer.weights.transpose(3, 1, 2, 0))
        return _conv_2d(replace(layer, weights=weights))
    return _depthwise_conv_2d(graph, op)


def _depthwise_layer(graph: Graph, op: Op) -> Layer:
    require(op.inputs[2:] != (-1,), "its bias is given as missing, and on that TFLite Micro crashes")
    layer = layer_of(graph, op, channel_axis=3)
    require(
        layer.weights.shape[0] == 1
        and int_option(op, "depth_multiplier") * layer.input.shape[3] == layer.channels,
        "its weights do not fit its input and its depth multiplier",
    )
    return layer


def _depthwise_conv_2d(graph: Graph, op: Op) -> tuple[Step, ...]:
    layer = _depthwise_layer(graph, op)
    _, kernel_height, kernel_width, _ = layer.weights.shape
    depth, multiplier = layer.input.shape[3], int_option(op, "depth_multiplier")
    geometry = _geometry(op, layer.input, layer.output, kernel_height, kernel_width)
    zero_point = per_tensor(layer.input).zero_point
    params = DepthwiseConv2d(geometry, depth, layer.channels, multiplier, zero_point, scaling_of(layer))
    return _layer_step(layer, layer_kernels.DEPTHWISE_CONV_2D, layer_kernels.DEPTHWISE_CONV_2D_16X8, params)


@lowers("FULLY_CONNECTED")
def fully_connected(graph: Graph, op: Op) -> tuple[Step, ...]:
    """Any number of leading dimensions: all of them are batches."""
    require(op.options["weights_format"] == "DEFAULT", "its weights are shuffled")
    if computed_weights.has_offset(graph, op):
        return computed_weights.with_offset(graph, op)
    if computed_weights.is_computed(graph, op):
        return computed_weights.lower(graph, op, fully_connected)
    layer = layer_of(graph, op, channel_axis=0)
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
    taps = int_option(op, "filter_height"), int_option(op, "filter_width")
    geometry = _geometry(op, source, output, *taps)
    require(source.shape[3] == output.shape[3], "its input and output have different channels")
    low, high = fused_range(op, output)
    kernel = pooling.AVERAGE_POOL_2D if op.kind == "AVERAGE_POOL_2D" else pooling.MAX_POOL_2D
    params = pooling.Pool(geometry, source.shape[3], low, high)
    return (kernel.step(graph, params, Read(source.index), Write(output.index)),)


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer whose weights are constant. `bias` has the input's zero point folded in.

    TFLite Micro's kernels take the weights' own zero point for 0, and so does this. The bias is of int64
    where the sums are scaled in 64 bits: int16 activations without a bias of 32 bits.
    """

    graph: Graph
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
    return Layer(graph, op, source, output, kernel.data, kernel.quantization.scales, bias)


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
    params = FullyConnected(rows, depth, layer.channels, scaling_of(layer))
    return _layer_step(layer, layer_kernels.FULLY_CONNECTED, layer_kernels.FULLY_CONNECTED_16X8, params)


def scaling_of(layer: Layer) -> Scaling:
    """How the sums of a layer become outputs."""
    factors = [rescaling(scale) for scale in layer.scales()]
    low, high = fused_range(layer.op, layer.output)
    left_shift = any(shift > 0 for _, shift in factors)
    return Scaling(len(factors) > 1, left_shift, per_tensor(layer.output).zero_point, low, high)


def _layer_step(layer: Layer, kernel: Kernel[L], of_16x8: Kernel[Layer16x8], params: L) -> tuple[Step, ...]:
    """The step, by the kernel for int8 or that for int16."""
    if layer.is_16x8:
        wide = layer.bias.dtype == np.int64
        return (of_16x8.step(layer.graph, Layer16x8(params, wide), *layer_arguments(layer)),)
    return (kernel.step(layer.graph, params, *layer_arguments(layer)),)


def layer_arguments(layer: Layer) -> tuple[Read | Constant | Write, ...]:
    """The arguments of all kernels with weights."""
    factors = [rescaling(scale) for scale in layer.scales()]
    if layer.bias.dtype == np.int64:
        factors = [wide_rescaling(*factor) for factor in factors]
    name = f"op{layer.op.index}"
    return (
        Read(layer.input.index),
        Constant(f"{name}_weights", layer.weights.reshape(-1)),
        Constant(f"{name}_bias", layer.bias),
        Constant(f"{name}_multiplier", np.array([multiplier for multiplier, _ in factors], np.int32)),
        Constant(f"{name}_shift", np.array([shift for _, shift in factors], np.int8)),
        Write(layer.output.index),
    )


def _geometry(op: Op, source: Tensor, output: Tensor, kernel_height: int, kernel_width: int) -> Geometry:
    """The windows for SAME and VALID padding, or that of graph_fusion.py."""
    require(len(source.shape) == len(output.shape) == 4, "its input or output does not have four dimensions")
    require(source.shape[0] == output.shape[0], "its input and output have different batches")
    rows = window_axis(op, ROWS, source.shape[1], output.shape[1], kernel_height)
    columns = window_axis(op, COLUMNS, source.shape[2], output.shape[2], kernel_width)
    return Geometry.of(source.shape[0], rows, columns)
