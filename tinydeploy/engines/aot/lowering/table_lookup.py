"""Lowering of functions of one element: of int8 a table of 256 values; of int16 see int16_functions.py."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.arithmetic import tables
from tinydeploy.engines.aot.arithmetic.fixed_point import (
    activation_range,
    multiply_by_quantized_multiplier,
    round_half_away,
)
from tinydeploy.engines.aot.ir import Alias, Constant, Step, Write, operand
from tinydeploy.engines.aot.kernels.functions import LOOKUP, Unary
from tinydeploy.engines.aot.lowering import int16_functions, join_split
from tinydeploy.engines.aot.lowering.lowerings import lowers
from tinydeploy.engines.aot.lowering.require import (
    UnsupportedError,
    float_option,
    input_tensors,
    output_tensor,
    per_tensor,
    require,
    require_same_size,
    require_types,
    rescaling,
)
from tinydeploy.engines.aot.own_ops import LookupOp
from tinydeploy.model.graph import DType, Graph, Op, Quantization
from tinydeploy.model.ops.catalogue import JOINS


def lookup(graph: Graph, op: Op, table: npt.NDArray[np.generic]) -> Step:
    """The step that maps input 0 through `table`, which is in the order of the input's bits."""
    output = output_tensor(graph, op)
    values = table.astype(output.dtype.numpy)
    constant = Constant(f"op{op.index}_table", values, f"{op.kind} of each input")
    args = (operand(graph, op, 0, "input"), Write(output.index), constant)
    return LOOKUP.step(graph, Unary(output.elements), *args)


def composed(graph: Graph, op: LookupOp) -> tuple[Step, ...] | Alias:
    """A function by its table, from graph_fusion.py or float_islands.py: no op if that changes nothing."""
    sources, output = input_tensors(graph, op), output_tensor(graph, op)
    bits_of_float = output.dtype is DType.FLOAT32
    entries = np.array(op.table, np.int32 if bits_of_float else output.dtype.numpy)
    entries = entries.view(np.float32) if bits_of_float else entries
    if op.kind in JOINS:
        require(all(s.dtype.bytes == 1 for s in sources), "it joins differently quantised int16 in float32")
        return join_split.joined(graph, op, entries.reshape(len(sources), 256))
    (source,) = sources
    require_same_size(source, output)
    bits = 8 * source.dtype.bytes
    if source.dtype is output.dtype and not source.is_variable:
        codes = np.arange(1 << bits).astype(f"uint{bits}").view(source.dtype.numpy)
        if np.array_equal(entries, codes):
            return Alias(source.index, output.index)
    return (lookup(graph, op, entries) if bits == 8 else int16_functions.lookup(graph, op, entries),)


def _int8_function(
    graph: Graph, op: Op, function: Callable[[Quantization, Quantization], npt.ArrayLike]
) -> tuple[Step, ...]:
    """The step of an int8 op, `function` giving its outputs for -128..127 from both quantisations."""
    (source,) = input_tensors(graph, op, 1)
    output = output_tensor(graph, op)
    require_types((source, output), DType.INT8)
    require_same_size(source, output)
    try:
        table = function(per_tensor(source), per_tensor(output))
    except ValueError as error:
        raise UnsupportedError(f"its scales do not suit the fixed-point arithmetic: {error}") from None
    return (lookup(graph, op, tables.by_bits(table)),)


def _scaled(source: Quantization, target: Quantization, factor: float) -> tables.Integers:
    """The int8 values times `factor`, between the two zero points, not clamped."""
    centred = tables.INT8 - source.zero_point
    return multiply_by_quantized_multiplier(centred, *rescaling(factor)).astype(np.int64) + target.zero_point


@lowers("RELU", "RELU_N1_TO_1")
def lower_relu(graph: Graph, op: Op) -> tuple[Step, ...]:
    """RELU and RELU_N1_TO_1 rescale and clamp; the latter as in TFLite, for TFLite Micro does not have it."""
    if op.kind == "RELU" and int16_functions.is_int16(graph, op):
        return int16_functions.relu(graph, op)

    def function(source: Quantization, target: Quantization) -> npt.ArrayLike:
        scaled = _scaled(source, target, source.scale / target.scale)
        return np.clip(scaled, *activation_range(op.kind, output_tensor(graph, op)))

    return _int8_function(graph, op, function)


@lowers("RELU6")
def lower_relu6(graph: Graph, op: Op) -> tuple[Step, ...]:
    """RELU6 clamps in the input's quantisation; TFLite Micro takes the output's to be the same."""
    if int16_functions.is_int16(graph, op):
        return int16_functions.relu6(graph, op)

    def function(source: Quantization, target: Quantization) -> npt.ArrayLike:
        six = min(source.zero_point + round_half_away(6.0 / source.scale), 127)
        return np.where(six < tables.INT8, six, np.maximum(tables.INT8, source.zero_point))

    return _int8_function(graph, op, function)


@lowers("LEAKY_RELU")
def lower_leaky_relu(graph: Graph, op: Op) -> tuple[Step, ...]:
    """LEAKY_RELU: two factors, one for each side of zero."""
    alpha = float_option(op, "alpha")
    require(alpha >= 0, f"its slope {alpha:.6g} is negative, which TFLite Micro's versions round differently")
    if int16_functions.is_int16(graph, op):
        return int16_functions.leaky_relu(graph, op)

    def function(source: Quantization, target: Quantization) -> npt.ArrayLike:
        positive = _scaled(source, target, source.scale / target.scale)
        negative = _scaled(source, target, source.scale * alpha / target.scale)
        return np.clip(np.where(tables.INT8 - source.zero_point < 0, negative, positive), -128, 127)

    return _int8_function(graph, op, function)


@lowers("LOGISTIC")
def lower_logistic(graph: Graph, op: Op) -> tuple[Step, ...]:
    """LOGISTIC, whose output has to have the zero point -128."""
    if int16_functions.is_int16(graph, op):
        return int16_functions.logistic(graph, op)

    def function(source: Quantization, target: Quantization) -> npt.ArrayLike:
        require(target.zero_point == -128, f"its output's zero point is {target.zero_point}, not -128")
        return tables.logistic(source)

    return _int8_function(graph, op, function)


@lowers("TANH")
def lower_tanh(graph: Graph, op: Op) -> tuple[Step, ...]:
    """TANH."""
    if int16_functions.is_int16(graph, op):
        return int16_functions.tanh(graph, op)
    return _int8_function(graph, op, lambda source, target: tables.tanh(source))


@lowers("HARD_SWISH")
def lower_hard_swish(graph: Graph, op: Op) -> tuple[Step, ...]:
    """HARD_SWISH."""
    return _int8_function(graph, op, tables.hard_swish)


@lowers("ELU")
def lower_elu(graph: Graph, op: Op) -> tuple[Step, ...]:
    """ELU."""

    def function(source: Quantization, target: Quantization) -> npt.ArrayLike:
        try:
            return tables.elu(source, target)
        except OverflowError:
            raise UnsupportedError(
                f"its scales are too far apart (factor {source.scale / target.scale:.3g})"
            ) from None

    return _int8_function(graph, op, function)


@lowers("ABS")
def lower_abs(graph: Graph, op: Op) -> tuple[Step, ...]:
    """ABS, rescaled if the scales differ."""
    if int16_functions.is_int16(graph, op):
        return int16_functions.magnitude(graph, op)

    def function(source: Quantization, target: Quantization) -> npt.ArrayLike:
        magnitude: tables.Integers = np.abs(tables.INT8 - source.zero_point)
        if source.scale != target.scale:
            factor = rescaling(source.scale / target.scale)
            magnitude = multiply_by_quantized_multiplier(magnitude, *factor).astype(np.int64)
        table: tables.Integers = np.clip(magnitude + target.zero_point, -128, 127)
        return table

    return _int8_function(graph, op, function)
