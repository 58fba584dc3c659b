"""Lowering of elementwise arithmetic of several tensors, with broadcasting."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.arithmetic import linear_add
from tinydeploy.engines.aot.arithmetic.fixed_point import multiply_by_quantized_multiplier
from tinydeploy.engines.aot.ir import Step, Write, operand
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
from tinydeploy.engines.aot.memory import input_overlap
from tinydeploy.model.graph import DType, Graph, Op, Quantization, Tensor

Params = dict[str, int | float | bool]

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
    params: Params = {
        "kSubtract": op.kind == "SUB",
        "kHeadroom": headroom,
        **operand_params(a, b, twice_larger),
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
    """MUL of int8, int16 or int32."""
    sources, output = input_tensors(graph, op, 2), output_tensor(graph, op)
    if output.dtype is DType.INT32:
        return _integers(graph, op)
    a, b, target = _quantizations(*sources, output)
    multiplier, shift = rescaling(a.scale * b.scale / target.scale)
    params: Params = {
        "kAZeroPoint": a.zero_point,
        "kBZeroPoint": b.zero_point,
        **_output_params(target, multiplier, shift, *fused_range(op, output)),
    }
    return (_step(graph, op, "multiply", params),)


def _integers(graph: Graph, op: Op) -> tuple[Step, ...]:
    """ADD, SUB and MUL of int32, as positions are computed: numbers without a quantisation."""
    tensors = (*input_tensors(graph, op, 2), output_tensor(graph, op))
    require_types(tensors, DType.INT32)
    require(all(tensor.quantization is None for tensor in tensors), "an int32 tensor is quantised")
    activation = op.options.get("fused_activation_function", "NONE")
    require(activation == "NONE", f"the fused activation {activation} is not supported")
    params: Params = {"kSubtract": op.kind == "SUB", "kMultiply": op.kind == "MUL"}
    return (_step(graph, op, "integers", params),)


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


@lowers("ADD_N")
def lower_add_n(graph: Graph, op: Op) -> tuple[Step, ...]:
    """ADD_N of int8 tensors of one shape and quantisation."""
    sources, output = input_tensors(graph, op), output_tensor(graph, op)
    require(len(sources) >= 2, f"it has {len(sources)} inputs")
    require_types((*sources, output), DType.INT8)
    for source in sources:
        require_same_shape(source, output)
        require_same_quantization(source, sources[0])
    params = {"kElements": output.elements, **running_sum(sources[0], output)}
    target = Write(output.index)
    args = tuple(operand(graph, op, i, f"input{i}") for i in range(len(sources)))
    overlaps = tuple(allowed for read in args for allowed in input_overlap.in_place(graph, (read, target)))
    return (Step("add_n", "elementwise.h", params, (target, *args), overlaps),)


def running_sum(source: Tensor, output: Tensor) -> Params:
    """How the kernels of ADD_N and CUMSUM scale tensors of `source`'s quantisation, and their sum."""
    origin, target = per_tensor(source), per_tensor(output)
    factor = 2 * origin.scale / ((1 << _HEADROOM[DType.INT8]) * target.scale)
    require(0.0 < factor < 1.0, f"its output's scale is too far below its inputs' (factor {factor:.3g})")
    multiplier, shift = rescaling(0.5)
    return {
        "kHeadroom": _HEADROOM[DType.INT8],
        "kAZeroPoint": origin.zero_point,
        "kAMultiplier": multiplier,
        "kAShift": shift,
        **_output_params(target, *rescaling(factor), *type_range(output)),
    }


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
    params: Params = {
        "kAZeroPoint": a.zero_point,
        "kBZeroPoint": b.zero_point,
        **_output_params(target, multiplier, shift, *fused_range(op, output)),
    }
    return (_step(graph, op, "divide", params, "divide.h"),)


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
        **operand_params(a, b, twice_larger),
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


def operand_params(a: Quantization, b: Quantization, unit: float = 1.0) -> Params:
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


def _step(graph: Graph, op: Op, kernel: str, params: Params, header: str = "elementwise.h") -> Step:
    return broadcasting.of_two(graph, op, kernel, header, params)
