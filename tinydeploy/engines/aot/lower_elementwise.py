"""ADD, SUB, MUL, MINIMUM and MAXIMUM, with broadcasting."""

from __future__ import annotations

from tinydeploy.engines.aot import overlap, strides
from tinydeploy.engines.aot.checks import (
    fused_range,
    input_tensors,
    output_tensor,
    per_tensor,
    require,
    require_symmetric,
    require_types,
    rescaling,
)
from tinydeploy.engines.aot.program import Step, Write, lowers, operand
from tinydeploy.graph import DType, Graph, Op, Quantization, Tensor

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
    a_multiplier, a_shift = rescaling(a.scale / twice_larger)
    b_multiplier, b_shift = rescaling(b.scale / twice_larger)
    factor = twice_larger / ((1 << headroom) * target.scale)
    require(0.0 < factor < 1.0, f"its output's scale is too far below its inputs' (factor {factor:.3g})")
    multiplier, shift = rescaling(factor)
    low, high = fused_range(op, output)
    params: Params = {
        "kSubtract": op.kind == "SUB",
        "kHeadroom": headroom,
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
    """MUL of int8 or int16."""
    sources, output = input_tensors(graph, op, 2), output_tensor(graph, op)
    a, b, target = _quantizations(*sources, output)
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


def _quantizations(*tensors: Tensor) -> tuple[Quantization, ...]:
    """The quantisations of tensors that are all int8, or all int16 around zero."""
    require_types(tensors, DType.INT8, DType.INT16)
    wide = tensors[0].dtype is DType.INT16
    return tuple(require_symmetric(tensor) if wide else per_tensor(tensor) for tensor in tensors)


def _step(graph: Graph, op: Op, kernel: str, params: Params) -> Step:
    """The kernel over equal shapes, or its broadcasting form over a nest of loops."""
    a, b = (tensor.shape for tensor in input_tensors(graph, op))
    output = output_tensor(graph, op)
    try:
        steps = strides.broadcast(a, output.shape), strides.broadcast(b, output.shape)
    except ValueError:
        require(False, f"shapes {a} and {b} do not broadcast to {output.shape}")
    shape, walks = strides.fuse(output.shape, *steps)
    a_strides, b_strides = walks
    args = (operand(graph, op, 0, "a"), operand(graph, op, 1, "b"), Write(output.index))
    size = output.dtype.bytes
    overlaps = tuple(
        allowed
        for source, walk in zip(args, walks, strict=False)
        for allowed in overlap.over(
            source,
            output,
            overlap.distance(overlap.walk(shape, walk) * size, overlap.ends(output.elements, size)),
        )
    )
    if a_strides == b_strides:
        loops: Params = {"kElements": output.elements}
        return Step(kernel, "elementwise.h", loops | params, args, overlaps)
    require(len(shape) <= _LOOPS, f"broadcasting takes {len(shape)} loops, more than {_LOOPS}")
    nest = strides.params(_LOOPS, Dim=shape, AStride=a_strides, BStride=b_strides)
    return Step(f"{kernel}_broadcast", "elementwise.h", nest | params, args, overlaps)
