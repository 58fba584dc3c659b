"""Lowering of functions of one int16, too many for a table of all: arithmetic, or lines between entries.

Each is what table_lookup.py or reduce.py make of the op if its tensors are int16. Zero points are 0.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.arithmetic import tables
from tinydeploy.engines.aot.arithmetic.fixed_point import round_half_away
from tinydeploy.engines.aot.ir import Constant, Step, Write, operand
from tinydeploy.engines.aot.lowering.require import (
    UnsupportedError,
    float_option,
    input_tensors,
    output_tensor,
    require,
    require_same_shape,
    require_same_size,
    require_symmetric,
    require_types,
    rescaling,
)
from tinydeploy.engines.aot.memory import input_overlap
from tinydeploy.model.graph import DType, Graph, Op

_MIN, _MAX = -(1 << 15), (1 << 15) - 1
Params = dict[str, int | float | bool]


def is_int16(graph: Graph, op: Op) -> bool:
    """Whether the op's first input is int16."""
    return bool(op.inputs) and graph.tensors[op.inputs[0]].dtype is DType.INT16


def _scales(graph: Graph, op: Op) -> tuple[float, float]:
    """The scales of the input and the output, both int16 around zero and of one size."""
    (source,), output = input_tensors(graph, op, 1), output_tensor(graph, op)
    require_types((source, output), DType.INT16)
    require_same_size(source, output)
    return require_symmetric(source).scale, require_symmetric(output).scale


def _step(
    graph: Graph, op: Op, kernel: str, header: str, params: Params, *tables_: Constant
) -> tuple[Step, ...]:
    """The step whose kernel takes the input, the output and tables."""
    output = output_tensor(graph, op)
    args = (operand(graph, op, 0, "input"), Write(output.index), *tables_)
    return (
        Step(
            kernel, header, {"kElements": output.elements} | params, args, input_overlap.in_place(graph, args)
        ),
    )


def lookup(graph: Graph, op: Op, entries: npt.NDArray[np.generic]) -> Step:
    """Any function of one int16 that goes near enough to straight lines; `entries` are by the input's bits.

    What it differs from the lines by is packed into as few bits as that takes.
    """
    found = tables.packed_lines(np.roll(entries.astype(np.int64), 1 << 15))
    if found is None:
        raise UnsupportedError("as a function of an int16 it is too far from smooth for a small table")
    output = output_tensor(graph, op)
    constants = (
        Constant(f"op{op.index}_knots", found.knots.astype(output.dtype.numpy), "ends of lines"),
        Constant(f"op{op.index}_rest", found.rest, f"{found.bits} bits for each input"),
    )
    params: Params = {"kShift": found.shift, "kLeast": found.least, "kBits": found.bits}
    (step,) = _step(graph, op, "lookup_lines", "lookup.h", params, *constants)
    return step


def _rescaled(graph: Graph, op: Op, kernel: str, factor: float, low: int, more: Params) -> tuple[Step, ...]:
    """The input times `factor`, between `low` and the largest int16."""
    multiplier, shift = rescaling(factor)
    params: Params = {
        "kInputZeroPoint": 0,
        "kMultiplier": multiplier,
        "kShift": shift,
        **more,
        "kOutputZeroPoint": 0,
        "kOutputMin": low,
        "kOutputMax": _MAX,
    }
    return _step(graph, op, kernel, "quantize.h", params)


def relu(graph: Graph, op: Op) -> tuple[Step, ...]:
    """RELU rescales."""
    source, target = _scales(graph, op)
    return _rescaled(graph, op, "rescale", source / target, 0, {})


def relu6(graph: Graph, op: Op) -> tuple[Step, ...]:
    """RELU6 clamps in the input's quantisation, as for int8."""
    scale, _ = _scales(graph, op)
    six = min(round_half_away(6.0 / scale), _MAX)
    return _step(graph, op, "clip", "quantize.h", {"kOutputMin": 0, "kOutputMax": six})


def leaky_relu(graph: Graph, op: Op) -> tuple[Step, ...]:
    """LEAKY_RELU, whose slope is not negative: two factors, one for each side of zero."""
    source, target = _scales(graph, op)
    multiplier, shift = rescaling(source * float_option(op, "alpha") / target)
    more: Params = {"kNegativeMultiplier": multiplier, "kNegativeShift": shift}
    return _rescaled(graph, op, "leaky_rescale", source / target, _MIN, more)


def magnitude(graph: Graph, op: Op) -> tuple[Step, ...]:
    """ABS: the factor of what is below zero is the other's opposite."""
    source, target = _scales(graph, op)
    multiplier, shift = rescaling(source / target)
    # |x| << shift would overflow.
    require(shift < 16, f"its scales are too far apart (factor {source / target:.3g})")
    more: Params = {"kNegativeMultiplier": -multiplier, "kNegativeShift": shift}
    return _rescaled(graph, op, "leaky_rescale", source / target, _MIN, more)


def logistic(graph: Graph, op: Op) -> tuple[Step, ...]:
    """LOGISTIC."""
    return _sigmoidal(graph, op, "logistic", highest_shift=0)


def tanh(graph: Graph, op: Op) -> tuple[Step, ...]:
    """TANH."""
    return _sigmoidal(graph, op, "hyperbolic_tangent", highest_shift=1)


def _sigmoidal(graph: Graph, op: Op, kernel: str, highest_shift: int) -> tuple[Step, ...]:
    source, target = _scales(graph, op)
    require(tables.log2_if_whole(target) == -15, f"its output has scale {target:.6g}, not 1/32768")
    try:
        multiplier, shift = tables.sigmoid_steps(source, highest_shift)
    except ValueError as error:
        raise UnsupportedError(f"its scales do not suit the fixed-point arithmetic: {error}") from None
    params: Params = {"kMultiplier": multiplier, "kRound": 1 << shift >> 1, "kRightShift": shift}
    table = Constant(f"op{op.index}_sigmoid", tables.sigmoid_entries(), "65536 * sigmoid(i / 24)")
    return _step(graph, op, kernel, "sigmoid.h", params, table)


def softmax(graph: Graph, op: Op) -> tuple[Step, ...]:
    """SOFTMAX to int16 of scale 1/32768."""
    source, target = _scales(graph, op)
    output = output_tensor(graph, op)
    require_same_shape(graph.tensors[op.inputs[0]], output)
    require(len(output.shape) > 0, "its input is a scalar")
    require(abs(target * 32768 - 1) <= 0.001, f"its output has scale {target:.6g}, not 1/32768")
    depth = output.shape[-1]
    require(depth < 1 << 16, f"it has {depth} classes, more than the 65,535 whose sum the fixed point holds")
    multiplier, shift = rescaling(source * float_option(op, "beta") / (10.0 / 65535.0))
    params: Params = {
        "kRows": output.elements // depth,
        "kDepth": depth,
        "kMultiplier": multiplier,
        "kShift": shift,
    }
    exponentials, reciprocals = tables.softmax_steps()
    constants = (
        Constant(f"op{op.index}_exponentials", exponentials, "32768 * exp(x), x from -10 to 0"),
        Constant(f"op{op.index}_reciprocals", reciprocals, "32768 / (1 + x), x from 0 to 1"),
    )
    return _step(graph, op, "softmax", "softmax.h", params, *constants)
