"""Lowering of elementwise ops of two tensors, with broadcasting: arithmetic, comparisons and logic."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.arithmetic import linear_add, loop_nest
from tinydeploy.engines.aot.arithmetic.fixed_point import multiply_by_quantized_multiplier
from tinydeploy.engines.aot.ir import Step, Write, operand
from tinydeploy.engines.aot.kernels import elementwise_kernels as kernels
from tinydeploy.engines.aot.kernels.elementwise_kernels import (
    B,
    Binary,
    Broadcast,
    Elements,
    Operands,
    Output,
    Pair,
)
from tinydeploy.engines.aot.kernels.functions import LOGICAL_NOT, Unary
from tinydeploy.engines.aot.lowering.lowerings import lowers
from tinydeploy.engines.aot.lowering.require import (
    fused_range,
    input_tensors,
    output_tensor,
    per_tensor,
    require,
    require_same_size,
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
    """ADD and SUB of int8 or int16."""
    sources, output = input_tensors(graph, op, 2), output_tensor(graph, op)
    a, b, target = _quantizations(*sources, output)
    headroom = _HEADROOM[output.dtype]
    twice_larger = 2 * max(a.scale, b.scale)
    factor = twice_larger / ((1 << headroom) * target.scale)
    require(0.0 < factor < 1.0, f"its output's scale is too far below its inputs' (factor {factor:.3g})")
    multiplier, shift = rescaling(factor)
    low, high = fused_range(op, output)
    params = kernels.Add(
        _loops(graph, op),
        op.kind == "SUB",
        headroom,
        _operands(a, b, twice_larger),
        _output(target, multiplier, shift, low, high),
    )
    if output.dtype is DType.INT8:
        slopes = a.scale / target.scale, (-b.scale if params.subtract else b.scale) / target.scale
        found = _linear(replace(params, loops=Elements(0)), slopes, low, high)
        if found is not None:
            linear = kernels.AddLinear(params.loops, found.a, found.b, found.start, found.shift, low, high)
            return (_step(graph, op, kernels.ADD_LINEAR, linear),)
    return (_step(graph, op, kernels.ADD, params),)


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
    """MUL of int8 or int16."""
    sources, output = input_tensors(graph, op, 2), output_tensor(graph, op)
    a, b, target = _quantizations(*sources, output)
    multiplier, shift = rescaling(a.scale * b.scale / target.scale)
    scaled = _output(target, multiplier, shift, *fused_range(op, output))
    params = kernels.Multiply(_loops(graph, op), a.zero_point, b.zero_point, scaled)
    return (_step(graph, op, kernels.MULTIPLY, params),)


@lowers("MINIMUM", "MAXIMUM")
def lower_minimum_maximum(graph: Graph, op: Op) -> tuple[Step, ...]:
    """MINIMUM and MAXIMUM compare the integers as they are, whatever their scales."""
    tensors = (*input_tensors(graph, op, 2), output_tensor(graph, op))
    require_types(tensors, DType.INT8, DType.INT16, DType.INT32)
    kernel = kernels.MINIMUM if op.kind == "MINIMUM" else kernels.MAXIMUM
    return (_step(graph, op, kernel, Binary(_loops(graph, op))),)


def _quantizations(*tensors: Tensor) -> tuple[Quantization, ...]:
    """The quantisations of tensors that are all int8, or all int16 around zero."""
    require_types(tensors, DType.INT8, DType.INT16)
    wide = tensors[0].dtype is DType.INT16
    return tuple(require_symmetric(tensor) if wide else per_tensor(tensor) for tensor in tensors)


@lowers("SQUARED_DIFFERENCE")
def lower_squared_difference(graph: Graph, op: Op) -> tuple[Step, ...]:
    """SQUARED_DIFFERENCE of int8 or int16."""
    sources, output = input_tensors(graph, op, 2), output_tensor(graph, op)
    a, b, target = _quantizations(*sources, output)
    twice_larger = 2 * max(a.scale, b.scale)
    headroom = 7 if output.dtype is DType.INT8 else 0  # (255 << 7) squared fits in 31 bits
    multiplier, shift = rescaling(twice_larger * twice_larger / ((1 << 2 * headroom) * target.scale))
    params = kernels.SquaredDifference(
        _loops(graph, op),
        headroom,
        _operands(a, b, twice_larger),
        _output(target, multiplier, shift, *type_range(output)),
    )
    return (_step(graph, op, kernels.SQUARED_DIFFERENCE, params),)


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
    loops = _loops(graph, op)
    params = kernels.Prelu(loops, a.zero_point, b.zero_point, slope_multiplier, slope_shift, scaled)
    return (_step(graph, op, kernels.PRELU, params),)


def _operands(a: Quantization, b: Quantization, unit: float = 1.0) -> Operands:
    """How the kernels bring both operands to a common scale, in which `unit` is 1."""
    of_a, of_b = rescaling(a.scale / unit), rescaling(b.scale / unit)
    return Operands(a.zero_point, *of_a, b.zero_point, *of_b)


def _output(target: Quantization, multiplier: int, shift: int, low: int, high: int) -> Output:
    return Output(target.zero_point, multiplier, shift, shift > 0, low, high)


# By op, for which orders of its operands it says yes: less, equal, greater.
_RELATIONS = {
    "EQUAL": (False, True, False),
    "NOT_EQUAL": (True, False, True),
    "LESS": (True, False, False),
    "LESS_EQUAL": (True, True, False),
    "GREATER": (False, False, True),
    "GREATER_EQUAL": (False, True, True),
}


@lowers(*_RELATIONS)
def lower_comparison(graph: Graph, op: Op) -> tuple[Step, ...]:
    """Comparisons, of int8 values as the reals they stand for."""
    sources, output = input_tensors(graph, op, 2), output_tensor(graph, op)
    equality = (DType.BOOL,) if op.kind in ("EQUAL", "NOT_EQUAL") else ()
    require_types(sources, DType.INT8, DType.INT32, DType.INT64, *equality)
    require_types((output,), DType.BOOL)
    loops, relation = _loops(graph, op), _RELATIONS[op.kind]
    if sources[0].dtype is not DType.INT8:
        return (_step(graph, op, kernels.COMPARE, kernels.Compare(loops, *relation)),)
    a, b = (per_tensor(tensor) for tensor in sources)
    for real in (a, b):
        require(real.scale < 1, f"an input's scale is {real.scale:.6g}: TFLite Micro compares below 1")
    params = kernels.CompareScaled(loops, 8, *relation, _operands(a, b))
    return (_step(graph, op, kernels.COMPARE_SCALED, params),)


@lowers("LOGICAL_AND", "LOGICAL_OR")
def lower_logical(graph: Graph, op: Op) -> tuple[Step, ...]:
    """LOGICAL_AND and LOGICAL_OR are the minimum and the maximum of two bools."""
    require_types((*input_tensors(graph, op, 2), output_tensor(graph, op)), DType.BOOL)
    kernel = kernels.MINIMUM if op.kind == "LOGICAL_AND" else kernels.MAXIMUM
    return (_step(graph, op, kernel, Binary(_loops(graph, op))),)


@lowers("LOGICAL_NOT")
def lower_logical_not(graph: Graph, op: Op) -> tuple[Step, ...]:
    """LOGICAL_NOT."""
    (source,), output = input_tensors(graph, op, 1), output_tensor(graph, op)
    require_types((source, output), DType.BOOL)
    require_same_size(source, output)
    args = (operand(graph, op, 0, "input"), Write(output.index))
    return (LOGICAL_NOT.step(graph, Unary(output.elements), *args),)


def _loops(graph: Graph, op: Op) -> Elements | Broadcast:
    """How the kernel goes through both inputs and the output."""
    sources, output = input_tensors(graph, op), output_tensor(graph, op)
    a, b = (tensor.shape for tensor in sources)
    try:
        steps = loop_nest.broadcast(a, output.shape), loop_nest.broadcast(b, output.shape)
    except ValueError:
        require(False, f"shapes {a} and {b} do not broadcast to {output.shape}")
    repeated = [all(step == 0 for step in at) for at in zip(*steps, strict=True)]
    stretched = any(both and extent > 1 for both, extent in zip(repeated, output.shape, strict=True))
    require(not stretched, f"its output has the shape {output.shape}, larger than {a} and {b} broadcast to")
    shape, (a_strides, b_strides) = loop_nest.fuse(output.shape, *steps)
    if a_strides == b_strides:
        return Elements(output.elements)
    loops = kernels.LOOPS
    require(len(shape) <= loops, f"broadcasting takes {len(shape)} loops, more than {loops}")
    strides = (loop_nest.padded(loops, walk) for walk in (a_strides, b_strides))
    return Broadcast(loop_nest.padded(loops, shape, missing=1), *strides)


def _step(graph: Graph, op: Op, pair: Pair[B], params: B) -> Step:
    """The kernel over equal shapes, or its broadcasting form over a nest of loops."""
    kernel = pair.flat if isinstance(params.loops, Elements) else pair.broadcast
    args = (operand(graph, op, 0, "a"), operand(graph, op, 1, "b"), Write(output_tensor(graph, op).index))
    return kernel.step(graph, params, *args)
