"""The catalogue's rows of layers: convolutions, pooling, matrix products, recurrent layers, resizing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import prod

from tinydeploy.model.dtype import DType
from tinydeploy.model.ops.op_kind import ANY, Family, GoesBy, OpKind, Shape

_FLOAT = "TFLite Micro has it for float alone"

# Multiply-accumulates, as MLPerf Tiny counts them: those of layers and matrix products.
_Inputs = Sequence[Shape | None]
_Options = Mapping[str, object]


def _given(inputs: _Inputs, position: int) -> Shape:
    found = inputs[position]
    assert found is not None
    return found


def _conv(inputs: _Inputs, output: Shape, options: _Options) -> int:
    return prod(output) * prod(_given(inputs, 1)[1:])  # [out, h, w, in]


def _depthwise(inputs: _Inputs, output: Shape, options: _Options) -> int:
    return prod(output) * prod(_given(inputs, 1)[1:3])  # [1, h, w, out]


def _transposed(inputs: _Inputs, output: Shape, options: _Options) -> int:
    return prod(_given(inputs, 2)) * prod(_given(inputs, 1)[:3])  # [out, h, w, in]


def _dense(inputs: _Inputs, output: Shape, options: _Options) -> int:
    units, depth = _given(inputs, 1)
    return prod(output) // units * units * depth


def _matmul(inputs: _Inputs, output: Shape, options: _Options) -> int:
    return prod(output) * (1, 1, *_given(inputs, 0))[-2 if options["adj_x"] else -1]


def _lstm(inputs: _Inputs, output: Shape, options: _Options) -> int:
    batch_and_time = prod(_given(inputs, 0)[:2])  # in either order
    return batch_and_time * sum(prod(matrix) for matrix in inputs[1:9] if matrix is not None)


def _svdf(inputs: _Inputs, output: Shape, options: _Options) -> int:
    return _given(inputs, 0)[0] * (prod(_given(inputs, 1)) + prod(_given(inputs, 2)))


_pool = partial(OpKind, Family.ELEMENTWISE, (4,), (4,), GoesBy.ROW, options="Pool2DOptions", fuses=True)

LAYERS = {
    "AVERAGE_POOL_2D": _pool(resolver="AddAveragePool2D", cmsis_nn="arm_avgpool_", esp_nn="esp_nn_avg_pool_"),
    "BATCH_MATMUL": OpKind(
        Family.DENSE, (ANY, ANY), options="BatchMatMulOptions", macs=_matmul,
        resolver="AddBatchMatMul", cmsis_nn="arm_batch_matmul_",
    ),
    "CONV_2D": OpKind(
        Family.CONV, (4, 4), (4,), GoesBy.ROW, options="Conv2DOptions", macs=_conv,
        fuses=True, int4_weights="per channel",
        resolver="AddConv2D", cmsis_nn="arm_convolve_", esp_nn="esp_nn_conv_",
    ),
    "DEPTHWISE_CONV_2D": OpKind(
        Family.DEPTHWISE, (4, 4), (4,), GoesBy.ROW, options="DepthwiseConv2DOptions", macs=_depthwise,
        fuses=True, int4_weights="per channel",
        resolver="AddDepthwiseConv2D", cmsis_nn="arm_depthwise_conv_", esp_nn="esp_nn_depthwise_conv_",
    ),
    "FULLY_CONNECTED": OpKind(
        Family.DENSE, (ANY, 2), options="FullyConnectedOptions", macs=_dense,
        fuses=True, int4_weights="one scale",
        resolver="AddFullyConnected", cmsis_nn="arm_fully_connected_", esp_nn="esp_nn_fully_connected_",
    ),
    "L2_POOL_2D": OpKind(
        Family.ELEMENTWISE, (ANY,), goes_by=GoesBy.ROW, resolver="AddL2Pool2D", without_aot=_FLOAT
    ),
    "MAX_POOL_2D": _pool(resolver="AddMaxPool2D", cmsis_nn="arm_max_pool_", esp_nn="esp_nn_max_pool_"),
    "RESIZE_BILINEAR": OpKind(
        Family.ELEMENTWISE, (4,), (4,), options="ResizeBilinearOptions", resolver="AddResizeBilinear"
    ),
    "RESIZE_NEAREST_NEIGHBOR": OpKind(
        Family.MOVEMENT, (4,), (4,), options="ResizeNearestNeighborOptions", moves=0,
        moved_types=(DType.INT8, DType.INT16, DType.FLOAT32), resolver="AddResizeNearestNeighbor",
    ),
    "SVDF": OpKind(
        Family.DENSE, (2, 2, 2), (2,), options="SVDFOptions", macs=_svdf,
        resolver="AddSvdf", cmsis_nn="arm_svdf_",
    ),
    "TRANSPOSE_CONV": OpKind(
        Family.CONV, (1, 4, 4), (4,), options="TransposeConvOptions", macs=_transposed, fuses=True,
        resolver="AddTransposeConv", cmsis_nn="arm_transpose_conv_",
    ),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": OpKind(
        Family.DENSE, (3, *(2,) * 8), (3,), gaps=True,
        options="UnidirectionalSequenceLSTMOptions", macs=_lstm,
        resolver="AddUnidirectionalSequenceLSTM", cmsis_nn="arm_lstm_",
    ),
}  # fmt: skip
