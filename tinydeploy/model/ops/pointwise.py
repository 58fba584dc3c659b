"""The catalogue's rows of ops that go by elements or pixels: functions, arithmetic, comparisons, logic."""

from __future__ import annotations

from functools import partial

from tinydeploy.model.ops.op_kind import ANY, Family, GoesBy, OpKind

_TABLE = "TFLite Micro computes it in float: in a float island it becomes a part of a table"
_UNKNOWN = "TFLite Micro has no kernel, so there is nothing that a table could be filled from"

_function = partial(OpKind, Family.ELEMENTWISE, (ANY,), goes_by=GoesBy.ELEMENT)
_of_two = partial(OpKind, Family.ELEMENTWISE, (ANY, ANY), goes_by=GoesBy.ELEMENT)
_of_three = partial(OpKind, Family.ELEMENTWISE, (ANY, ANY, ANY), goes_by=GoesBy.ELEMENT)
_of_pixel = partial(OpKind, Family.ELEMENTWISE, (ANY,), goes_by=GoesBy.PIXEL)
_recoding = partial(OpKind, Family.MOVEMENT, (ANY,), goes_by=GoesBy.ELEMENT)

POINTWISE = {
    # Functions of one element
    "ABS": _function(tflm="AddAbs"),
    "CEIL": _function(tflm="AddCeil", without_aot=_TABLE),
    "COS": _function(tflm="AddCos", without_aot=_TABLE),
    "ELU": _function(tflm="AddElu"),
    "EXP": _function(tflm="AddExp", without_aot=_TABLE),
    "FLOOR": _function(tflm="AddFloor", without_aot=_TABLE),
    "GELU": _function(without_aot=_UNKNOWN),
    "HARD_SWISH": _function(tflm="AddHardSwish"),
    "LEAKY_RELU": _function(options="LeakyReluOptions", tflm="AddLeakyRelu"),
    "LOG": _function(tflm="AddLog", without_aot=_TABLE),
    "LOGICAL_NOT": _function(tflm="AddLogicalNot"),
    "LOGISTIC": _function(tflm="AddLogistic"),
    "NEG": _function(tflm="AddNeg", without_aot=_TABLE),
    "RELU": _function(clamps=(0.0, None), tflm="AddRelu"),
    "RELU6": _function(clamps=(0.0, 6.0), tflm="AddRelu6"),
    "RELU_0_TO_1": _function(clamps=(0.0, 1.0), without_aot=_UNKNOWN),
    "RELU_N1_TO_1": _function(clamps=(-1.0, 1.0)),
    "ROUND": _function(tflm="AddRound", without_aot=_TABLE),
    "RSQRT": _function(tflm="AddRsqrt", without_aot=_TABLE),
    "SIGN": _function(without_aot=_UNKNOWN),
    "SIN": _function(tflm="AddSin", without_aot=_TABLE),
    "SQRT": _function(tflm="AddSqrt", without_aot=_TABLE),
    "SQUARE": _function(tflm="AddSquare", without_aot=_TABLE),
    "TANH": _function(tflm="AddTanh"),
    "ZEROS_LIKE": _function(of_shape=True, tflm="AddZerosLike"),
    # Numbers in another type or quantisation
    "CAST": _recoding(options="CastOptions", tflm="AddCast"),
    "DEQUANTIZE": _recoding(tflm="AddDequantize"),
    "QUANTIZE": _recoding(tflm="AddQuantize"),
    # Arithmetic
    "ADD": _of_two(
        options="AddOptions", fuses=True, tflm="AddAdd", cmsis_nn="arm_elementwise_add_", esp_nn="esp_nn_add_"
    ),
    "ADD_N": _of_two(tflm="AddAddN"),
    "DIV": _of_two(options="DivOptions", fuses=True, tflm="AddDiv"),
    "FLOOR_DIV": _of_two(tflm="AddFloorDiv", without_aot=_TABLE),
    "FLOOR_MOD": _of_two(tflm="AddFloorMod", without_aot=_TABLE),
    "MAXIMUM": _of_two(tflm="AddMaximum", cmsis_nn="arm_maximum_"),
    "MINIMUM": _of_two(tflm="AddMinimum", cmsis_nn="arm_minimum_"),
    "MUL": _of_two(
        options="MulOptions", fuses=True, tflm="AddMul", cmsis_nn="arm_elementwise_mul_", esp_nn="esp_nn_mul_"
    ),
    "POW": _of_two(without_aot=_UNKNOWN),
    "PRELU": _of_two(tflm="AddPrelu"),
    "SQUARED_DIFFERENCE": _of_two(tflm="AddSquaredDifference"),
    "SUB": _of_two(options="SubOptions", fuses=True, tflm="AddSub"),
    # Comparisons, logic, choice
    "EQUAL": _of_two(tflm="AddEqual"),
    "GREATER": _of_two(tflm="AddGreater"),
    "GREATER_EQUAL": _of_two(tflm="AddGreaterEqual"),
    "LESS": _of_two(tflm="AddLess"),
    "LESS_EQUAL": _of_two(tflm="AddLessEqual"),
    "LOGICAL_AND": _of_two(tflm="AddLogicalAnd"),
    "LOGICAL_OR": _of_two(tflm="AddLogicalOr"),
    "NOT_EQUAL": _of_two(tflm="AddNotEqual"),
    "SELECT": _of_three(without_aot=_UNKNOWN),
    "SELECT_V2": _of_three(tflm="AddSelectV2"),
    # Functions of the last axis
    "L2_NORMALIZATION": _of_pixel(options="L2NormOptions", tflm="AddL2Normalization"),
    "LOG_SOFTMAX": _of_pixel(tflm="AddLogSoftmax"),
    "SOFTMAX": _of_pixel(
        options="SoftmaxOptions", tflm="AddSoftmax", cmsis_nn="arm_softmax_", esp_nn="esp_nn_softmax_"
    ),
}
