"""Functions of one element, and those of a row: tables, rescaling, sigmoids, softmax."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from tinydeploy.engines.aot.ir import Call, Kernel, Params
from tinydeploy.engines.aot.memory import input_overlap


@dataclass(frozen=True)
class Unary(Params):
    """A function of each of the elements."""

    elements: int


@dataclass(frozen=True)
class Clip(Unary):
    """The integers between two limits."""

    output_min: int
    output_max: int


@dataclass(frozen=True)
class Rescale(Unary):
    """From one quantisation to another."""

    input_zero_point: int
    multiplier: int
    shift: int
    output_zero_point: int
    output_min: int
    output_max: int


@dataclass(frozen=True)
class LeakyRescale(Unary):
    """The same with another factor below zero."""

    input_zero_point: int
    multiplier: int
    shift: int
    negative_multiplier: int
    negative_shift: int
    output_zero_point: int
    output_min: int
    output_max: int


@dataclass(frozen=True)
class Dequantize(Unary):
    """To float."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class Quantize(Dequantize):
    """From float."""

    output_min: int
    output_max: int


@dataclass(frozen=True)
class Sigmoid(Unary):
    """LOGISTIC or TANH of int16: (x * multiplier + round) >> right_shift goes into the table."""

    multiplier: int
    round: int
    right_shift: int


@dataclass(frozen=True)
class Rows(Params):
    """Functions of whole rows of `depth` elements."""

    rows: int
    depth: int


@dataclass(frozen=True)
class Softmax(Rows):
    """SOFTMAX of int8, by a table of so many exponentials."""

    exponentials: int


@dataclass(frozen=True)
class Softmax16(Rows):
    """SOFTMAX of int16."""

    multiplier: int
    shift: int


@dataclass(frozen=True)
class LogSoftmax(Rows):
    """LOG_SOFTMAX of int8: factors to the fixed point of logarithms and back, see kernels/log_softmax.h."""

    exponentials: int
    multiplier: int
    shift: int
    back_multiplier: int
    back_shift: int


@dataclass(frozen=True)
class L2Normalization(Rows):
    """L2_NORMALIZATION of int8."""

    input_zero_point: int


U = TypeVar("U", bound=Unary)
R = TypeVar("R", bound=Rows)


def _in_place(call: Call[U]) -> Mapping[str, int]:
    return {"input": input_overlap.in_place(call.params.elements, *call.sizes[:2])}


def _rows_in_place(call: Call[R]) -> Mapping[str, int]:
    p = call.params
    return {"input": input_overlap.in_place(p.rows * p.depth, *call.sizes[:2])}


_ONE = ("input", "output")
LOOKUP = Kernel("lookup", "lookup.h", Unary, (*_ONE, "table"), _in_place)
LOOKUP_BLOCKS = Kernel("lookup_blocks", "lookup.h", Unary, (*_ONE, "starts", "blocks"), _in_place)
CLIP = Kernel("clip", "quantize.h", Clip, _ONE, _in_place)
RESCALE = Kernel("rescale", "quantize.h", Rescale, _ONE, _in_place)
LEAKY_RESCALE = Kernel("leaky_rescale", "quantize.h", LeakyRescale, _ONE, _in_place)
QUANTIZE = Kernel("quantize", "quantize.h", Quantize, _ONE, _in_place)
DEQUANTIZE = Kernel("dequantize", "quantize.h", Dequantize, _ONE, _in_place)
CAST = Kernel("cast", "quantize.h", Unary, _ONE, _in_place)
LOGICAL_NOT = Kernel("logical_not", "logic.h", Unary, _ONE, _in_place)
LOGISTIC = Kernel("logistic", "sigmoid.h", Sigmoid, (*_ONE, "table"), _in_place)
TANH = Kernel("hyperbolic_tangent", "sigmoid.h", Sigmoid, (*_ONE, "table"), _in_place)
SOFTMAX = Kernel("softmax", "softmax.h", Softmax, (*_ONE, "exponentials"), _rows_in_place)
SOFTMAX_16 = Kernel("softmax", "softmax.h", Softmax16, (*_ONE, "exponentials", "reciprocals"), _rows_in_place)
LOG_SOFTMAX = Kernel("log_softmax", "log_softmax.h", LogSoftmax, (*_ONE, "exponentials"), _rows_in_place)
L2_NORMALIZATION = Kernel("l2_normalization", "l2_normalization.h", L2Normalization, _ONE, _rows_in_place)
