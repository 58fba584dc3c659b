"""Several tensors, element by element: over equal shapes, or with broadcasting over a nest of loops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Generic, TypeVar

from tinydeploy.engines.aot.arithmetic.loop_nest import contiguous
from tinydeploy.engines.aot.ir import Call, Kernel, Params
from tinydeploy.engines.aot.memory import input_overlap

LOOPS = 5


@dataclass(frozen=True)
class Elements(Params):
    """Both tensors have the output's shape."""

    elements: int


@dataclass(frozen=True)
class Broadcast(Params):
    """LOOPS loops, outermost first, and the strides of both tensors in elements."""

    dim: tuple[int, ...]
    a_stride: tuple[int, ...]
    b_stride: tuple[int, ...]


Loops = Elements | Broadcast


@dataclass(frozen=True)
class Binary(Params):
    """A function of two elements."""

    loops: Loops


@dataclass(frozen=True)
class Operands(Params):
    """How both operands are brought to a common scale."""

    a_zero_point: int
    a_multiplier: int
    a_shift: int
    b_zero_point: int
    b_multiplier: int
    b_shift: int


@dataclass(frozen=True)
class Output(Params):
    """What kernels/requantize.h asks."""

    output_zero_point: int
    output_multiplier: int
    output_shift: int
    left_shift: bool
    activation_min: int
    activation_max: int


@dataclass(frozen=True)
class Add(Binary):
    """ADD or SUB by TFLite's three rescalings; the operands get `headroom` more bits before."""

    subtract: bool
    headroom: int
    operands: Operands
    output: Output


@dataclass(frozen=True)
class AddLinear(Binary):
    """ADD or SUB of int8 as one linear function: (a * x + b * y + start) >> shift."""

    a: int
    b: int
    start: int
    shift: int
    activation_min: int
    activation_max: int


@dataclass(frozen=True)
class Multiply(Binary):
    """MUL."""

    a_zero_point: int
    b_zero_point: int
    output: Output


@dataclass(frozen=True)
class Divide(Binary):
    """DIV, see kernels/divide.h."""

    a_zero_point: int
    b_zero_point: int
    output: Output


@dataclass(frozen=True)
class Integers(Binary):
    """ADD, SUB or MUL of int32 as they are."""

    subtract: bool
    multiply: bool


@dataclass(frozen=True)
class InFloat(Binary):
    """An op on the reals of both operands, in float; `op` is its place in kernels/in_float.h."""

    op: int
    a_scale: float
    a_zero_point: int
    b_scale: float
    b_zero_point: int
    scale: float
    zero_point: int
    output_min: int
    output_max: int


@dataclass(frozen=True)
class SquaredDifference(Binary):
    """SQUARED_DIFFERENCE."""

    headroom: int
    operands: Operands
    output: Output


@dataclass(frozen=True)
class Prelu(Binary):
    """PRELU, whose slopes are `b`."""

    a_zero_point: int
    b_zero_point: int
    slope_multiplier: int
    slope_shift: int
    output: Output


@dataclass(frozen=True)
class Compare(Binary):
    """A comparison: whether it says yes to less, equal and greater."""

    less: bool
    equal: bool
    greater: bool


@dataclass(frozen=True)
class CompareScaled(Binary):
    """A comparison of int8 as reals."""

    headroom: int
    less: bool
    equal: bool
    greater: bool
    operands: Operands


@dataclass(frozen=True)
class RunningSum(Params):
    """How tensors of one quantisation are scaled, and their sum."""

    headroom: int
    a_zero_point: int
    a_multiplier: int
    a_shift: int
    output: Output


@dataclass(frozen=True)
class AddN(Params):
    """ADD_N of as many tensors as there are arguments behind the output."""

    elements: int
    sum: RunningSum


@dataclass(frozen=True)
class Select(Params):
    """SELECT_V2 over LOOPS loops, outermost first, with the strides of its inputs in elements."""

    dim: tuple[int, ...]
    condition_stride: tuple[int, ...]
    x_stride: tuple[int, ...]
    y_stride: tuple[int, ...]


B = TypeVar("B", bound=Binary)


def overlap(call: Call[B]) -> Mapping[str, int]:
    """The distances of a kernel that reads both elements before it writes the output's."""
    a, b, size = call.sizes[:3]
    match call.params.loops:
        case Elements(elements):
            return {name: input_overlap.in_place(elements, read, size) for name, read in (("a", a), ("b", b))}
        case Broadcast(dim, a_stride, b_stride):
            return _over(dim, size, a=(a, a_stride), b=(b, b_stride))


def _over(dim: tuple[int, ...], size: int, **reads: tuple[int, tuple[int, ...]]) -> Mapping[str, int]:
    """The distances of inputs by their element's size and strides, for an output that is written in order."""
    end = size, tuple(size * stride for stride in contiguous(dim))
    return {
        name: input_overlap.of_nest(dim, (0, tuple(read * stride for stride in walk)), end)
        for name, (read, walk) in reads.items()
    }


def _select(call: Call[Select]) -> Mapping[str, int]:
    p, (condition, x, y, size) = call.params, call.sizes
    walks = (condition, p.condition_stride), (x, p.x_stride), (y, p.y_stride)
    return _over(p.dim, size, **dict(zip(SELECT.arguments, walks, strict=False)))


@dataclass(frozen=True, eq=False)
class Pair(Generic[B]):
    """A kernel in both forms."""

    flat: Kernel[B]
    broadcast: Kernel[B]


def _pair(
    name: str, params: type[B], header: str = "elementwise.h", host_only: frozenset[str] = frozenset()
) -> Pair[B]:
    arguments = ("a", "b", "output")
    return Pair(
        Kernel(name, header, params, arguments, overlap, host_only),
        Kernel(f"{name}_broadcast", header, params, arguments, overlap, host_only),
    )


ADD = _pair("add", Add)
ADD_LINEAR = _pair("add_linear", AddLinear)
MULTIPLY = _pair("multiply", Multiply)
DIVIDE = _pair("divide", Divide, "divide.h", frozenset({"left_shift"}))
INTEGERS = _pair("integers", Integers)
IN_FLOAT = _pair("in_float", InFloat, "in_float.h")
SQUARED_DIFFERENCE = _pair("squared_difference", SquaredDifference)
PRELU = _pair("prelu", Prelu)
MINIMUM = _pair("minimum", Binary)
MAXIMUM = _pair("maximum", Binary)
COMPARE = _pair("compare", Compare, "logic.h")
COMPARE_SCALED = _pair("compare_scaled", CompareScaled, "logic.h")
SELECT = Kernel("select", "logic.h", Select, ("condition", "x", "y", "output"), _select)


@cache
def add_n(inputs: int) -> Kernel[AddN]:
    """The kernel of ADD_N for so many inputs."""
    names = tuple(f"input{i}" for i in range(inputs))

    def in_place(call: Call[AddN]) -> Mapping[str, int]:
        size, *reads = call.sizes
        distances = (input_overlap.in_place(call.params.elements, read, size) for read in reads)
        return dict(zip(names, distances, strict=True))

    return Kernel("add_n", "elementwise.h", AddN, ("output", *names), in_place)
