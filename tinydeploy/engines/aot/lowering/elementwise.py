"""Lowering of elementwise arithmetic of several tensors, with broadcasting."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.arithmetic import linear_add
from tinydeploy.engines.aot.arithmetic.fixed_point import multiply_by_quantized_multiplier
from tinydeploy.engines.aot.ir import Step, Write, operand
from tinydeploy.engines.aot.kernels import elementwise_kernels as kernels
from tinydeploy.engines.aot.kernels.elementwise_kernels import (
    AddN,
    Binary,
    Elements,
    Operands,
    Output,
    RunningSum,
)
from tinydeploy.engines.aot.lowering import broadcasting
from tinydeploy.engines.aot.lowering.lowerings import lowers
from tinydeploy.engines.aot.lowering.require import (
    fused_range,
    input_tensors,
    output_tensor,
    per_tensor,
    require,
    require_same_quantization,
    require_same_shape,
    require_symmetric,
    require_types,
    rescaling,
    type_range,
)
from tinydeploy.model.graph import DType, Graph, Op, Quantization, Tensor

# ADD's inputs get this many more bits before they are scaled; 255 << 20 leaves room for the sum.
_HEADROOM = {DType.INT8: 20, DType.INT16: 15}


@lowers("ADD", "SUB")
def lower_add(graph: Graph, op: Op) -> tuple[Step, ...]:
    """ADD and SUB of int8, int16 or int32."""
    sources, output = input_tensors(graph, op, 2), output_tensor(graph, op)
    if output.dtype is DType.INT32:
        return _integers(graph, op)
    a, b, target = _quantizations(*sources, output)
    headroom = _HEADROOM[output.dtype]
    twice_larger = 2 * max(a.scale, b.scale)
    factor = twice_larger / ((1 << headroom) * target.scale)
    require(0.0 < factor < 1.0, f"its output's scale is too far below its inputs' (factor {factor:.3g})")
    multiplier, shift = rescaling(factor)
    low, high = fused_range(op, output)
    params = kernels.Add(
        broadcasting.loops_of(graph, op),
        op.kind == "SUB",
        headroom,
        operands(a, b, twice_larger),
        _output(target, multiplier, shift, low, high),
    )
    if output.dtype is DType.INT8:
        slopes = a.scale / target.scale, (-b.scale if params.subtract else b.scale) / target.scale
        found = _linear(replace(params, loops=Elements(0)), slopes, low, high)
        if found is not None:
            linear = kernels.AddLinear(params.loops, found.a, found.b, found.start, found.shift, low, high)
            return (broadcasting.of_two(graph, op, kernels.ADD_LINEAR, linear),)
    return (broadcasting.of_two(graph, op, kernels.ADD, params),)


@lru_cache(maxsize=4096)  # it takes as long as all the rest of a small model
def _linear(
    params: kernels.Add, slopes: tuple[float, float], low: int, high: int
) -> linear_add.Linear | None:
    """The linear function that does what `_sums` says, if there is one."""
    return linear_add.linear(_sums(params), slopes, low, high)


def _sums(p: kernels.Add) -> npt.NDArray[np.int64]:
    """What kernels/elementwise.h's Add makes of every pair of int8: [a + 128, b + 128]."""

    def scaled(x: npt.NDArray[np.int64], multiplier: int, shift: int) -> npt.NDArray[np.int64]:
        return multiply_by_quantized_multiplier(x, multiplier, shift).astype(np.int64)

    of, out = p.operands, p.output
    a = scaled((linear_add.VALUES - of.a_zero_point) << p.headroom, of.a_multiplier, of.a_shift)
    b = scaled((linear_add.VALUES - of.b_zero_point) << p.headroom, of.b_multiplier, of.b_shift)
    sums = a[:, np.newaxis] + (-b if p.subtract else b)
    outputs = scaled(sums, out.output_multiplier, out.output_shift) + out.output_zero_point
    return np.clip(outputs, out.activation_min, out.activation_max)


@lowers("MUL")
def lower_mul(graph: Graph, op: Op) -> tuple[Step, ...]:
    """MUL of int8, int16 or int32."""
    sources, output = input_tensors(graph, op, 2), output_tensor(graph, op)
    if output.dtype is DType.INT32:
        return _integers(graph, op)
    a, b, target = _quantizations(*sources, output)
    multiplier, shift = rescaling(a.scale * b.scale / target.scale)
    scaled = _output(target, multiplier, shift, *fused_range(op, output))
    params = kernels.Multiply(broadcasting.loops_of(graph, op), a.zero_point, b.zero_point, scaled)
    return (broadcasting.of_two(graph, op, kernels.MULTIPLY, params),)


def _integers(graph: Graph, op: Op) -> tuple[Step, ...]:
    """ADD, SUB and MUL of int32, as positions are computed: numbers without a quantisation."""
    tensors = (*input_tensors(graph, op, 2), output_tensor(graph, op))
    require_types(tensors, DType.INT32)
    require(all(tensor.quantization is None for tensor in tensors), "an int32 tensor is quantised")
    activation = op.options.get("fused_activation_function", "NONE")
    require(activation == "NONE", f"the fused activation {activation} is not supported")
    params = kernels.Integers(broadcasting.loops_of(graph, op), op.kind == "SUB", op.kind == "MUL")
    return (broadcasting.of_two(graph, op, kernels.INTEGERS, params),)


@lowers("MINIMUM", "MAXIMUM")
def lower_minimum_maximum(graph: Graph, op: Op) -> tuple[Step, ...]:
    """MINIMUM and MAXIMUM compare the integers as they are, whatever their scales."""
    tensors = (*input_tensors(graph, op, 2), output_tensor(graph, op))
    require_types(tensors, DType.INT8, DType.INT16, DType.INT32)
    kernel = kernels.MINIMUM if op.kind == "MINIMUM" else kernels.MAXIMUM
    return (broadcasting.of_two(graph, op, kernel, Binary(broadcasting.loops_of(graph, op))),)


def _quantizations(*tensors: Tensor) -> tuple[Quantization, ...]:
    """The quantisations of tensors that are all int8, or all int16 around zero."""
    require_types(tensors, DType.INT8, DType.INT16)
    wide = tensors[0].dtype is DType.INT16
    return tuple(require_symmetric(tensor) if wide else per_tensor(tensor) for tensor in tensors)


@lowers("ADD_N")
def lower_add_n(graph: Graph, op: Op) -> tuple[Step, ...]:
    """ADD_N of int8 tensors of one shape and quantisation."""
    sources, output = input_tensors(graph, op), output_tensor(graph, op)
    require(len(sources) >= 2, f"it has {len(sources)} inputs")
    require_types((*sources, output), DType.INT8)
    for source in sources:
        require_same_shape(source, output)
        require_same_quantization(source, sources[0])
    params = AddN(output.elements, running_sum(sources[0], output))
    args = (operand(graph, op, i, f"input{i}") for i in range(len(sources)))
    return (kernels.add_n(len(sources)).step(graph, params, Write(output.index), *args),)


def running_sum(source: Tensor, output: Tensor) -> RunningSum:
    """How the kernels of ADD_N and CUMSUM scale tensors of `source`'s quantisation, and their sum."""
    origin, target = per_tensor(source), per_tensor(output)
    headroom = _HEADROOM[DType.INT8]
    factor = 2 * origin.scale / ((1 << headroom) * target.scale)
    require(0.0 < factor < 1.0, f"its output's scale is too far below its inputs' (factor {factor:.3g})")
    scaled = _output(target, *rescaling(factor), *type_range(output))
    return RunningSum(headroom, origin.zero_point, *rescaling(0.5), scaled)


@lowers("DIV")
def lower_div(graph: Graph, op: Op) -> tuple[Step, ...]:
    """DIV of int8."""
    sources, output = input_tensors(graph, op, 2), output_tensor(graph, op)
    require_types((*sources, output), DType.INT8)
    a, b, target = (per_tensor(tensor) for tensor in (*sources, output))
    factor = a.scale / (b.scale * target.scale)
    multiplier, shift = rescaling(factor)
    # Of a divisor with n + 1 bits and a dividend with m spare ones, the kernel shifts right by n + m - shift.
    require(-25 <= shift <= 23, f"its scales are too far apart (factor {factor:.3g})")
    scaled = _output(target, multiplier, shift, *fused_range(op, output))
    params = kernels.Divide(broadcasting.loops_of(graph, op), a.zero_point, b.zero_point, scaled)
    return (broadcasting.of_two(graph, op, kernels.DIVIDE, params),)


@lowers("SQUARED_DIFFERENCE")
def lower_squared_difference(graph: Graph, op: Op) -> tuple[Step, ...]:
    """SQUARED_DIFFERENCE of int8 or int16."""
    sources, output = input_tensors(graph, op, 2), output_tensor(graph, op)
    a, b, target = _quantizations(*sources, output)
    twice_larger = 2 * max(a.scale, b.scale)
    headroom = 7 if output.dtype is DType.INT8 else 0  # (255 << 7) squared fits in 31 bits
    multiplier, shift = rescaling(twice_larger * twice_larger / ((1 << 2 * headroom) * target.scale))
    params = kernels.SquaredDifference(
        broadcasting.loops_of(graph, op),
        headroom,
        operands(a, b, twice_larger),
        _output(target, multiplier, shift, *type_range(output)),
    )
    return (broadcasting.of_two(graph, op, kernels.SQUARED_DIFFERENCE, params),)


@lowers("PRELU")
def lower_prelu(graph: Graph, op: Op) -> tuple[Step, ...]:
    """PRELU of int8 or int16: input 1 holds the slopes, of int8, which broadcast."""
    (source, slopes), output = input_tensors(graph, op, 2), output_tensor(graph, op)
    require_types((slopes,), DType.INT8)
    (a, target), b = _quantizations(source, output), per_tensor(slopes)
    multiplier, shift = rescaling(a.scale / target.scale)
    slope_multiplier, slope_shift = rescaling(a.scale * b.scale / target.scale)
    scaled = _output(target, multiplier, shift, *type_range(output))
    scaled = replace(scaled, left_shift=max(shift, slope_shift) > 0)
    loops = broadcasting.loops_of(graph, op)
    params = kernels.Prelu(loops, a.zero_point, b.zero_point, slope_multiplier, slope_shift, scaled)
    return (broadcasting.of_two(graph, op, kernels.PRELU, params),)


def operands(a: Quantization, b: Quantization, unit: float = 1.0) -> Operands:
    """How the kernels bring both operands to a common scale, in which `unit` is 1."""
    of_a, of_b = rescaling(a.scale / unit), rescaling(b.scale / unit)
    return Operands(a.zero_point, *of_a, b.zero_point, *of_b)


def _output(target: Quantization, multiplier: int, shift: int, low: int, high: int) -> Output:
    return Output(target.zero_point, multiplier, shift, shift > 0, low, high)
