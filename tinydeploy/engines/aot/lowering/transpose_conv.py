"""Lowering of TRANSPOSE_CONV, by phases of its stride."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tinydeploy.engines.aot.geometry import Axis, Geometry
from tinydeploy.engines.aot.ir import Step
from tinydeploy.engines.aot.kernels import layer_kernels
from tinydeploy.engines.aot.lowering import computed_weights
from tinydeploy.engines.aot.lowering.convolutions import (
    Biases,
    Layer,
    layer_arguments,
    layer_of,
    scaling_of,
)
from tinydeploy.engines.aot.lowering.lowerings import lowers
from tinydeploy.engines.aot.lowering.require import (
    constant_ints,
    int_option,
    output_tensor,
    per_tensor,
    require,
)
from tinydeploy.model.graph import Graph, Op

_MOST_PHASES = 32  # along an axis of TRANSPOSE_CONV: each pair of them has biases of its own


@lowers("TRANSPOSE_CONV")
def transpose_conv(graph: Graph, op: Op) -> tuple[Step, ...]:
    """Any stride and padding. The inputs are: the output's shape, weights, input and perhaps a bias.

    Unlike the other layers, it has one kernel for int8 and int16.
    """
    output = output_tensor(graph, op)
    require(len(op.inputs) in (3, 4) and min(op.inputs[:3]) >= 0, f"it has {len(op.inputs)} inputs")
    if computed_weights.is_computed(graph, op):
        return computed_weights.lower(graph, op, transpose_conv)
    shape = output.shape  # which holds even where the shape is computed: TFLite Micro does not look at it
    if graph.tensors[op.inputs[0]].data is not None:
        given = constant_ints(graph, op, 0, "output's shape")
        require(given == shape, f"its output has the shape {shape}, not {given}")
    inputs = (op.inputs[2], op.inputs[1], *op.inputs[3:])
    layer = layer_of(graph, replace(op, inputs=inputs), channel_axis=0)
    _, kernel_height, kernel_width, depth = layer.weights.shape
    batches, *_, input_depth = layer.input.shape
    require(len(shape) == 4 and shape[0] == batches, "its input and output have different batches")
    require(input_depth == depth, "its input's channels are not its weights'")
    zero_point = per_tensor(layer.input).zero_point
    ways = []
    for axis, (initial, kernel) in enumerate((("h", kernel_height), ("w", kernel_width)), start=1):
        size, steps = layer.input.shape[axis], shape[axis]
        stride = int_option(op, f"stride_{initial}")
        # The padding of the convolution that would lead from the output back to the input.
        same = op.options["padding"] == "SAME"
        places = -(-steps // stride) if same else (steps - kernel + stride) // stride
        before = max((places - 1) * stride + kernel - steps, 0) // 2
        require(stride <= _MOST_PHASES, f"its stride is {stride}, more than {_MOST_PHASES}")
        require(steps < 2**15, "its output is larger than 32,767 pixels")
        ways.append(Axis(size, steps, kernel, stride, before=before))
    folded = replace(layer, bias=_phase_biases(layer, [way.stride for way in ways], zero_point))
    params = layer_kernels.TransposeConv(
        Geometry.of(batches, *ways), depth, layer.channels, zero_point, scaling_of(layer)
    )
    return (layer_kernels.TRANSPOSE_CONV.step(graph, params, *layer_arguments(folded)),)


def _phase_biases(layer: Layer, strides: Sequence[int], zero_point: int) -> Biases:
    """The biases of each phase: the zero point is multiplied with the sum of the taps that the phase has."""
    bias = np.empty((*strides, layer.channels), np.int64)
    whole = layer.bias + np.int64(zero_point) * layer.weights.sum(axis=(1, 2, 3), dtype=np.int64)
    for y, x in np.ndindex(*strides):
        taps = layer.weights[:, y :: strides[0], x :: strides[1]]
        bias[y, x] = whole - zero_point * taps.sum(axis=(1, 2, 3), dtype=np.int64)
    return bias.reshape(-1) if layer.is_16x8 else bias.reshape(-1).astype(np.int32)
