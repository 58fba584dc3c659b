"""Ops of two tensors, element by element, with broadcasting: arithmetic, comparisons and logic."""

from __future__ import annotations

import numpy as np

from tinydeploy.engines.aot import overlap, strides
from tinydeploy.engines.aot.checks import (
    fused_range,
    input_tensors,
    output_tensor,
    per_tensor,
    require,
    require_same_size,
    require_types,
    rescaling,
)
from tinydeploy.engines.aot.program import Step, Write, lowers, operand
from tinydeploy.graph import DType, Graph, Op, Quantization

Params = dict[str, int | float | bool]

# ADD's inputs get this many more bits before they are scaled; 255 << 20 leaves room for the sum.
_HEADROOM = 20
_LOOPS = 5


@lowers("ADD", "SUB")
def lower_add(graph: Graph, op: Op) -> tuple[Step, ...]:
    """ADD and SUB of int8."""
    sources, output = input_tensors(graph, op, 2), output_tensor(graph, op)
    require_types((*sources, output), DType.INT8)
    a, b, target = (per_tensor(tensor) for tensor in (*sources, output))
    # TFLite computes SUB's factors in float and ADD's in double.
    real = np.float64 if op.kind == "ADD" else np.float32
    twice_larger = real(2) * real(max(a.scale, b.scale))
    a_multiplier, a_shift = rescaling(float(real(a.scale) / twice_larger))
    b_multiplier, b_shift = rescaling(float(real(b.scale) / twice_larger))
    factor = float(twice_larger / (real(1 << _HEADROOM) * real(target.scale)))
    require(0.0 < factor < 1.0, f"its output's scale is too far below its inputs' (factor {factor:.3g})")
    multiplier, shift = rescaling(factor)
    low, high = fused_range(op, output)
    params: Params = {
        "kSubtract": op.kind == "SUB",
        "kHeadroom": _HEADROOM,
        "kAZeroPoint": a.zero_point,
        "kAMultiplier": a_multiplier,
        "kAShift": a_shift,
        "kBZeroPoint": b.zero_point,
        "kBMultiplier": b_multiplier,
        "kBShift": b_shift,
        "kOutputZeroPoint": target.zero_point,
        "kOutputMultiplier": multiplier,
        "kOutputShift": shift,
        "kLeftShift": shift > 0,
        "kActivationMin": low,
        "kActivationMax": high,
    }
    return (_step(graph, op, "add", params),)


@lowers("MUL")
def lower_mul(graph: Graph, op: Op) -> tuple[Step, ...]:
    """MUL of int8."""
    sources, output = input_tensors(graph, op, 2), output_tensor(graph, op)
    require_types((*sources, output), DType.INT8)
    a, b, target = (per_tensor(tensor) for tensor in (*sources, output))
    multiplier, shift = rescaling(a.scale * b.scale / target.scale)
    low, high = fused_range(op, output)
    params: Params = {
        "kAZeroPoint": a.zero_point,
        "kBZeroPoint": b.zero_point,
        "kOutputZeroPoint": target.zero_point,
        "kOutputMultiplier": multiplier,
        "kOutputShift": shift,
        "kLeftShift": shift > 0,
        "kActivationMin": low,
        "kActivationMax": high,
    }
    return (_step(graph, op, "multiply", params),)


@lowers("MINIMUM", "MAXIMUM")
def lower_minimum_maximum(graph: Graph, op: Op) -> tuple[Step, ...]:
    """MINIMUM and MAXIMUM compare the integers as they are, whatever their scales."""
    tensors = (*input_tensors(graph, op, 2), output_tensor(graph, op))
    require_types(tensors, DType.INT8, DType.INT16, DType.INT32)
    return (_step(graph, op, op.kind.lower(), {}),)


@lowers("SQUARED_DIFFERENCE")
def lower_squared_difference(graph: Graph, op: Op) -> tuple[Step, ...]:
    """SQUARED_DIFFERENCE of int8."""
    sources, output = input_tensors(graph, op, 2), output_tensor(graph, op)
    require_types((*sources, output), DType.INT8)
    a, b, target = (per_tensor(tensor) for tensor in (*sources, output))
    twice_larger = 2 * max(a.scale, b.scale)
    a_multiplier, a_shift = rescaling(a.scale / twice_larger)
    b_multiplier, b_shift = rescaling(b.scale / twice_larger)
    headroom = 7  # (255 << 7) squared fits in 31 bits
    multiplier, shift = rescaling(twice_larger * twice_larger / ((1 << 2 * headroom) * target.scale))
    params: Params = {
        "kHeadroom": headroom,
        "kAZeroPoint": a.zero_point,
        "kAMultiplier": a_multiplier,
        "kAShift": a_shift,
        "kBZeroPoint": b.zero_point,
        "kBMultiplier": b_multiplier,
        "kBShift": b_shift,
        **_output_params(target, multiplier, shift),
    }
    return (_step(graph, op, "squared_difference", params),)


@lowers("PRELU")
def lower_prelu(graph: Graph, op: Op) -> tuple[Step, ...]:
    """PRELU of int8: input 1 holds the slopes, which broadcast."""
    sources, output = input_tensors(graph, op, 2), output_tensor(graph, op)
    require_types((*sources, output), DType.INT8)
    a, b, target = (per_tensor(tensor) for tensor in (*sources, output))
    multiplier, shift = rescaling(a.scale / target.scale)
    slope_multiplier, slope_shift = rescaling(a.scale * b.scale / target.scale)
    params: Params = {
        "kAZeroPoint": a.zero_point,
        "kBZeroPoint": b.zero_point,
        "kSlopeMultiplier": slope_multiplier,
        "kSlopeShift": slope_shift,
        **_output_params(target, multiplier, shift),
        "kLeftShift": max(shift, slope_shift) > 0,
    }
    return (_step(graph, op, "prelu", params),)


def _output_params(target: Quantization, multiplier: int, shift: int) -> Params:
    """What kernels/requantize.h asks of an int8 op without a fused activation."""
    return {
        "kOutputZeroPoint": target.zero_point,
        "kOutputMultiplier": multiplier,
        "kOutputShift": shift,
        "kLeftShift": shift > 0,
        "kActivationMin": -128,
        "kActivationMax": 127,
    }


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
    params: Params = dict(zip(("kLess", "kEqual", "kGreater"), _RELATIONS[op.kind], strict=True))
    if sources[0].dtype is not DType.INT8:
        return (_step(graph, op, "compare", params),)
    for name, tensor in zip("AB", sources, strict=True):
        real = per_tensor(tensor)
        require(real.scale < 1, f"an input's scale is {real.scale:.6g}: TFLite Micro compares below 1")
        multiplier, shift = rescaling(real.scale)
        params |= {
            f"k{name}ZeroPoint": real.zero_point,
            f"k{name}Multiplier": multiplier,
            f"k{name}Shift": shift,
        }
    return (_step(graph, op, "compare_scaled", {"kHeadroom": 8} | params),)


@lowers("LOGICAL_AND", "LOGICAL_OR")
def lower_logical(graph: Graph, op: Op) -> tuple[Step, ...]:
    """LOGICAL_AND and LOGICAL_OR are the minimum and the maximum of two bools."""
    require_types((*input_tensors(graph, op, 2), output_tensor(graph, op)), DType.BOOL)
    return (_step(graph, op, "minimum" if op.kind == "LOGICAL_AND" else "maximum", {}),)


@lowers("LOGICAL_NOT")
def lower_logical_not(graph: Graph, op: Op) -> tuple[Step, ...]:
    """LOGICAL_NOT."""
    (source,), output = input_tensors(graph, op, 1), output_tensor(graph, op)
    require_types((source, output), DType.BOOL)
    require_same_size(source, output)
    args = (operand(graph, op, 0, "input"), Write(output.index))
    overlaps = overlap.in_place(graph, args)
    return (Step("logical_not", "logic.h", {"kElements": output.elements}, args, overlaps),)


def _step(graph: Graph, op: Op, kernel: str, params: Params) -> Step:
    """The kernel over equal shapes, or its broadcasting form over a nest of loops."""
    sources, output = input_tensors(graph, op), output_tensor(graph, op)
    a, b = (tensor.shape for tensor in sources)
    header = "logic.h" if kernel.startswith("compare") else "elementwise.h"
    try:
        steps = strides.broadcast(a, output.shape), strides.broadcast(b, output.shape)
    except ValueError:
        require(False, f"shapes {a} and {b} do not broadcast to {output.shape}")
    shape, walks = strides.fuse(output.shape, *steps)
    a_strides, b_strides = walks
    args = (operand(graph, op, 0, "a"), operand(graph, op, 1, "b"), Write(output.index))
    ends = overlap.ends(output.elements, output.dtype.bytes)
    overlaps = tuple(
        allowed
        for source, tensor, walk in zip(args, sources, walks, strict=False)
        for allowed in overlap.over(
            source, output, overlap.distance(overlap.walk(shape, walk) * tensor.dtype.bytes, ends)
        )
    )
    if a_strides == b_strides:
        loops: Params = {"kElements": output.elements}
        return Step(kernel, header, loops | params, args, overlaps)
    require(len(shape) <= _LOOPS, f"broadcasting takes {len(shape)} loops, more than {_LOOPS}")
    nest = strides.params(_LOOPS, Dim=shape, AStride=a_strides, BStride=b_strides)
    return Step(f"{kernel}_broadcast", header, nest | params, args, overlaps)
