"""Reductions along some axes, and the position of the largest or smallest along one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from tinydeploy.engines.aot.arithmetic.loop_nest import contiguous
from tinydeploy.engines.aot.ir import Call, Kernel, Params
from tinydeploy.engines.aot.kernels.elementwise_kernels import RunningSum
from tinydeploy.engines.aot.memory import input_overlap

LOOPS = 3


@dataclass(frozen=True)
class Reduce(Params):
    """LOOPS loops that are kept, and as many that are reduced, each with the input's strides in elements."""

    keep: tuple[int, ...]
    keep_stride: tuple[int, ...]
    reduce: tuple[int, ...]
    reduce_stride: tuple[int, ...]


@dataclass(frozen=True)
class ScaledSum(Reduce):
    """A sum of what is `input_offset` with it, scaled; a mean's factor has the division in it."""

    input_offset: int
    multiplier: int
    shift: int
    output_zero_point: int
    output_min: int
    output_max: int


@dataclass(frozen=True)
class Arg(Params):
    """An axis of `extent`, with so many elements outside and inside of it."""

    outer: int
    extent: int
    inner: int


@dataclass(frozen=True)
class CumulativeSum(Params):
    """CUMSUM along an axis of `extent`, with so many elements outside and inside of it."""

    outer: int
    inner: int
    extent: int
    exclusive: bool
    reverse: bool
    sum: RunningSum


R = TypeVar("R", bound=Reduce)


def _kept(call: Call[R]) -> Mapping[str, int]:
    p, size = call.params, call.sizes[1]
    first = 0, tuple(size * stride for stride in p.keep_stride)
    end = size, tuple(size * stride for stride in contiguous(p.keep))
    return {"input": input_overlap.of_nest(p.keep, first, end)}


def _arg(call: Call[Arg]) -> Mapping[str, int]:
    p, (read, size) = call.params, call.sizes
    loops, first = (p.outer, p.inner), (0, (read * p.extent * p.inner, read))
    return {"input": input_overlap.of_nest(loops, first, (size, (size * p.inner, size)))}


def _cumulative(call: Call[CumulativeSum]) -> Mapping[str, int]:
    p = call.params
    if p.reverse:
        return {"input": input_overlap.APART}
    walk = p.inner * p.extent, 1, p.inner
    return {"input": input_overlap.of_nest((p.outer, p.inner, p.extent), (0, walk), (1, walk))}


_ONE = ("input", "output")
SCALED_SUM = Kernel("scaled_sum", "reduce.h", ScaledSum, _ONE, _kept)
REDUCE_MAX = Kernel("reduce_max", "reduce.h", Reduce, _ONE, _kept)
REDUCE_MIN = Kernel("reduce_min", "reduce.h", Reduce, _ONE, _kept)
REDUCE_ALL = Kernel("reduce_all", "reduce.h", Reduce, _ONE, _kept)
CUMULATIVE_SUM = Kernel("cumulative_sum", "reduce.h", CumulativeSum, _ONE, _cumulative)
ARG_MAX = Kernel("arg_max", "reduce.h", Arg, _ONE, _arg)
ARG_MIN = Kernel("arg_min", "reduce.h", Arg, _ONE, _arg)
