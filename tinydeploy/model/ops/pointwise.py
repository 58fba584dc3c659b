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
    "ABS": _function(resolver="AddAbs"),
    "CEIL": _function(resolver="AddCeil", without_aot=_TABLE),
    "COS": _function(resolver="AddCos", without_aot=_TABLE),
    "ELU": _function(resolver="AddElu"),
    "EXP": _function(resolver="AddExp", without_aot=_TABLE),
    "FLOOR": _function(resolver="AddFloor", without_aot=_TABLE),
    "GELU": _function(without_aot=_UNKNOWN),
    "HARD_SWISH": _function(resolver="AddHardSwish"),
    "LEAKY_RELU": _function(options="LeakyReluOptions", resolver="AddLeakyRelu"),
    "LOG": _function(resolver="AddLog", without_aot=_TABLE),
    "LOGICAL_NOT": _function(resolver="AddLogicalNot"),
    "LOGISTIC": _function(resolver="AddLogistic"),
    "NEG": _function(resolver="AddNeg", without_aot=_TABLE),
    "RELU": _function(clamps=(0.0, None), resolver="AddRelu"),
    "RELU6": _function(clamps=(0.0, 6.0), resolver="AddRelu6"),
    "RELU_0_TO_1": _function(clamps=(0.0, 1.0), without_aot=_UNKNOWN),
    "RELU_N1_TO_1": _function(clamps=(-1.0, 1.0)),
    "ROUND": _function(resolver="AddRound", without_aot=_TABLE),
    "RSQRT": _function(resolver="AddRsqrt", without_aot=_TABLE),
    "SIGN": _function(without_aot=_UNKNOWN),
    "SIN": _function(resolver="AddSin", without_aot=_TABLE),
    "SQRT": _function(resolver="AddSqrt", without_aot=_TABLE),
    "SQUARE": _function(resolver="AddSquare", without_aot=_TABLE),
    "TANH": _function(resolver="AddTanh"),
    "ZEROS_LIKE": _function(of_shape=True, resolver="AddZerosLike"),
    # Numbers in another type or quantisation
    "CAST": _recoding(options="CastOptions", resolver="AddCast"),
    "DEQUANTIZE": _recoding(resolver="AddDequantize"),
    "QUANTIZE": _recoding(resolver="AddQuantize"),
    # Arithmetic
    "ADD": _of_two(
        options="AddOptions",
        fuses=True,
        resolver="AddAdd",
        cmsis_nn="arm_elementwise_add_",
        esp_nn="esp_nn_add_",
    ),
    "ADD_N": _of_two(resolver="AddAddN"),
    "DIV": _of_two(options="DivOptions", fuses=True, resolver="AddDiv"),
    "FLOOR_DIV": _of_two(resolver="AddFloorDiv", without_aot=_TABLE),
    "FLOOR_MOD": _of_two(resolver="AddFloorMod", without_aot=_TABLE),
    "MAXIMUM": _of_two(resolver="AddMaximum", cmsis_nn="arm_maximum_"),
    "MINIMUM": _of_two(resolver="AddMinimum", cmsis_nn="arm_minimum_"),
    "MUL": _of_two(
        options="MulOptions",
        fuses=True,
        resolver="AddMul",
        cmsis_nn="arm_elementwise_mul_",
        esp_nn="esp_nn_mul_",
    ),
    "POW": _of_two(without_aot=_UNKNOWN),
    "PRELU": _of_two(resolver="AddPrelu"),
    "SQUARED_DIFFERENCE": _of_two(resolver="AddSquaredDifference"),
    "SUB": _of_two(options="SubOptions", fuses=True, resolver="AddSub"),
    # Comparisons, logic, choice
    "EQUAL": _of_two(resolver="AddEqual"),
    "GREATER": _of_two(resolver="AddGreater"),
    "GREATER_EQUAL": _of_two(resolver="AddGreaterEqual"),
    "LESS": _of_two(resolver="AddLess"),
    "LESS_EQUAL": _of_two(resolver="AddLessEqual"),
    "LOGICAL_AND": _of_two(resolver="AddLogicalAnd"),
    "LOGICAL_OR": _of_two(resolver="AddLogicalOr"),
    "NOT_EQUAL": _of_two(resolver="AddNotEqual"),
    "SELECT": _of_three(without_aot=_UNKNOWN),
    "SELECT_V2": _of_three(resolver="AddSelectV2"),
    # Functions of the last axis
    "L2_NORMALIZATION": _of_pixel(options="L2NormOptions", resolver="AddL2Normalization"),
    "LOG_SOFTMAX": _of_pixel(resolver="AddLogSoftmax"),
    "SOFTMAX": _of_pixel(
        options="SoftmaxOptions", resolver="AddSoftmax", cmsis_nn="arm_softmax_", esp_nn="esp_nn_softmax_"
    ),
}
