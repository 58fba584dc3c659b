"""Lowering of elementwise ops of two tensors, with broadcasting: arithmetic, comparisons and logic."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.arithmetic import linear_add
from tinydeploy.engines.aot.arithmetic.fixed_point import multiply_by_quantized_multiplier
from tinydeploy.engines.aot.ir import Step, Write, operand
from tinydeploy.engines.aot.lowering import loop_nest
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
from tinydeploy.engines.aot.memory import input_overlap
from tinydeploy.model.graph import DType, Graph, Op, Quantization, Tensor

Params = dict[str, int | float | bool]

# ADD's inputs get this many more bits before they are scaled; 255 << 20 leaves room for the sum.
_HEADROOM = {DType.INT8: 20, DType.INT16: 15}
_LOOPS = 5


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
    params: Params = {
        "kSubtract": op.kind == "SUB",
        "kHeadroom": headroom,
        **_operand_params(a, b, twice_larger),
        **_output_params(target, multiplier, shift, low, high),
    }
    if output.dtype is DType.INT8:
        slopes = a.scale / target.scale, (-b.scale if params["kSubtract"] else b.scale) / target.scale
        found = _linear(tuple(params.items()), slopes, low, high)
        if found is not None:
            params = {
                "kA": found.a,
                "kB": found.b,
                "kStart": found.start,
                "kShift": found.shift,
                "kActivationMin": low,
                "kActivationMax": high,
            }
            return (_step(graph, op, "add_linear", params),)
    return (_step(graph, op, "add", params),)


@lru_cache(maxsize=4096)  # it takes as long as all the rest of a small model
def _linear(
    params: tuple[tuple[str, int | float | bool], ...], slopes: tuple[float, float], low: int, high: int
) -> linear_add.Linear | None:
    """The linear function that does what `_sums` says, if there is one."""
    return linear_add.linear(_sums(dict(params)), slopes, low, high)


def _sums(params: Params) -> npt.NDArray[np.int64]:
    """What kernels/elementwise.h's Add makes of every pair of int8: [a + 128, b + 128]."""
    p = {name: int(value) for name, value in params.items()}

    def scaled(x: npt.NDArray[np.int64], of: str) -> npt.NDArray[np.int64]:
        multiplier, shift = p[f"k{of}Multiplier"], p[f"k{of}Shift"]
        return multiply_by_quantized_multiplier(x, multiplier, shift).astype(np.int64)

    a, b = (scaled((linear_add.VALUES - p[f"k{of}ZeroPoint"]) << p["kHeadroom"], of) for of in "AB")
    sums = a[:, np.newaxis] + (-b if p["kSubtract"] else b)
    outputs = scaled(sums, "Output") + p["kOutputZeroPoint"]
    return np.clip(outputs, p["kActivationMin"], p["kActivationMax"])


@lowers("MUL")
def lower_mul(graph: Graph, op: Op) -> tuple[Step, ...]:
    """MUL of int8 or int16."""
    sources, output = input_tensors(graph, op, 2), output_tensor(graph, op)
    a, b, target = _quantizations(*sources, output)
    multiplier, shift = rescaling(a.scale * b.scale / target.scale)
    params: Params = {
        "kAZeroPoint": a.zero_point,
        "kBZeroPoint": b.zero_point,
        **_output_params(target, multiplier, shift, *fused_range(op, output)),
    }
    return (_step(graph, op, "multiply", params),)


@lowers("MINIMUM", "MAXIMUM")
def lower_minimum_maximum(graph: Graph, op: Op) -> tuple[Step, ...]:
    """MINIMUM and MAXIMUM compare the integers as they are, whatever their scales."""
    tensors = (*input_tensors(graph, op, 2), output_tensor(graph, op))
    require_types(tensors, DType.INT8, DType.INT16, DType.INT32)
    return (_step(graph, op, op.kind.lower(), {}),)


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
    params: Params = {
        "kHeadroom": headroom,
        **_operand_params(a, b, twice_larger),
        **_output_params(target, multiplier, shift, *type_range(output)),
    }
    return (_step(graph, op, "squared_difference", params),)


@lowers("PRELU")
def lower_prelu(graph: Graph, op: Op) -> tuple[Step, ...]:
    """PRELU of int8 or int16: input 1 holds the slopes, of int8, which broadcast."""
    (source, slopes), output = input_tensors(graph, op, 2), output_tensor(graph, op)
    require_types((slopes,), DType.INT8)
    (a, target), b = _quantizations(source, output), per_tensor(slopes)
    multiplier, shift = rescaling(a.scale / target.scale)
    slope_multiplier, slope_shift = rescaling(a.scale * b.scale / target.scale)
    params: Params = {
        "kAZeroPoint": a.zero_point,
        "kBZeroPoint": b.zero_point,
        "kSlopeMultiplier": slope_multiplier,
        "kSlopeShift": slope_shift,
        **_output_params(target, multiplier, shift, *type_range(output)),
        "kLeftShift": max(shift, slope_shift) > 0,
    }
    return (_step(graph, op, "prelu", params),)


def _operand_params(a: Quantization, b: Quantization, unit: float = 1.0) -> Params:
    """How the kernels bring both operands to a common scale, in which `unit` is 1."""
    params: Params = {}
    for name, real in (("A", a), ("B", b)):
        multiplier, shift = rescaling(real.scale / unit)
        params |= {
            f"k{name}ZeroPoint": real.zero_point,
            f"k{name}Multiplier": multiplier,
            f"k{name}Shift": shift,
        }
    return params


def _output_params(target: Quantization, multiplier: int, shift: int, low: int, high: int) -> Params:
    """What kernels/requantize.h asks."""
    return {
        "kOutputZeroPoint": target.zero_point,
        "kOutputMultiplier": multiplier,
        "kOutputShift": shift,
        "kLeftShift": shift > 0,
        "kActivationMin": low,
        "kActivationMax": high,
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
    a, b = (per_tensor(tensor) for tensor in sources)
    for real in (a, b):
        require(real.scale < 1, f"an input's scale is {real.scale:.6g}: TFLite Micro compares below 1")
    return (_step(graph, op, "compare_scaled", {"kHeadroom": 8} | params | _operand_params(a, b)),)


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
    overlaps = input_overlap.in_place(graph, args)
    return (Step("logical_not", "logic.h", {"kElements": output.elements}, args, overlaps),)


def _step(graph: Graph, op: Op, kernel: str, params: Params) -> Step:
    """The kernel over equal shapes, or its broadcasting form over a nest of loops."""
    sources, output = input_tensors(graph, op), output_tensor(graph, op)
    a, b = (tensor.shape for tensor in sources)
    header = "logic.h" if kernel.startswith("compare") else "elementwise.h"
    try:
        steps = loop_nest.broadcast(a, output.shape), loop_nest.broadcast(b, output.shape)
    except ValueError:
        require(False, f"shapes {a} and {b} do not broadcast to {output.shape}")
    repeated = [all(step == 0 for step in at) for at in zip(*steps, strict=True)]
    stretched = any(both and extent > 1 for both, extent in zip(repeated, output.shape, strict=True))
    require(not stretched, f"its output has the shape {output.shape}, larger than {a} and {b} broadcast to")
    shape, walks = loop_nest.fuse(output.shape, *steps)
    a_strides, b_strides = walks
    args = (operand(graph, op, 0, "a"), operand(graph, op, 1, "b"), Write(output.index))
    size = output.dtype.bytes
    end = size, tuple(size * stride for stride in loop_nest.contiguous(shape))
    overlaps = tuple(
        allowed
        for source, tensor, walk in zip(args, sources, walks, strict=False)
        for allowed in input_overlap.over(
            source,
            output,
            input_overlap.of_nest(shape, (0, tuple(tensor.dtype.bytes * stride for stride in walk)), end),
        )
    )
    if a_strides == b_strides:
        loops: Params = {"kElements": output.elements}
        return Step(kernel, header, loops | params, args, overlaps)
    require(len(shape) <= _LOOPS, f"broadcasting takes {len(shape)} loops, more than {_LOOPS}")
    nest = loop_nest.params(_LOOPS, Dim=shape, AStride=a_strides, BStride=b_strides)
    return Step(f"{kernel}_broadcast", header, nest | params, args, overlaps)
