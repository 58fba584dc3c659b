"""Loop nests over tensors: shapes and strides, in elements."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import mul

Strides = tuple[int, ...]


def contiguous(shape: Sequence[int]) -> Strides:
    """The strides of a row-major tensor."""
    return tuple(accumulate(reversed(shape[1:]), mul, initial=1))[::-1] if shape else ()


def broadcast(shape: Sequence[int], output: Sequence[int]) -> Strides:
    """The strides that read a tensor of `shape` over `output`: 0 along what is repeated.

    Raises ValueError if the shapes do not go together (numpy's rule, which is TFLite's).
    """
    padded = (1,) * (len(output) - len(shape)) + tuple(shape)
    if len(padded) != len(output) or any(
        own not in (1, out) for own, out in zip(padded, output, strict=True)
    ):
        raise ValueError(f"{tuple(shape)} does not broadcast to {tuple(output)}")
    return tuple(
        stride if own == out else 0
        for stride, own, out in zip(contiguous(padded), padded, output, strict=True)
    )


def fuse(shape: Sequence[int], *operands: Strides) -> tuple[tuple[int, ...], tuple[Strides, ...]]:
    """The same walk in as few loops as possible: (shape, strides of each operand).

    Loops of one step vanish, and neighbours become one where every operand goes on without a gap.
    """
    loops: list[tuple[int, tuple[int, ...]]] = []
    for extent, *steps in zip(shape, *operands, strict=True):
        if extent == 1:
            continue
        if loops and all(outer == inner * extent for outer, inner in zip(loops[-1][1], steps, strict=True)):
            extent *= loops.pop()[0]
        loops.append((extent, tuple(steps)))
    strides = tuple(tuple(loop[1][i] for loop in loops) for i in range(len(operands)))
    return tuple(loop[0] for loop in loops), strides


def padded(loops: int, values: Sequence[int], missing: int = 0) -> tuple[int, ...]:
    """`values` of nested loops, outermost first, with `missing` in front for those of `loops` not there.

    A loop that is not there has extent 1 and stride 0.
    """
    return (missing,) * (loops - len(values)) + tuple(values)
