"""Steps over tensors that broadcast against each other, element by element."""

from __future__ import annotations

from collections.abc import Iterator

from tinydeploy.engines.aot.arithmetic import loop_nest
from tinydeploy.engines.aot.arithmetic.loop_nest import Strides
from tinydeploy.engines.aot.ir import Step, Write, operand
from tinydeploy.engines.aot.kernels.elementwise_kernels import LOOPS, B, Broadcast, Elements, Pair
from tinydeploy.engines.aot.lowering.require import input_tensors, output_tensor, require
from tinydeploy.model.graph import Graph, Op


def loops_of(graph: Graph, op: Op) -> Elements | Broadcast:
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
    return Broadcast(*nest(shape, a_strides, b_strides))


def of_two(graph: Graph, op: Op, pair: Pair[B], params: B) -> Step:
    """The kernel over two tensors of equal shapes, or its broadcasting form over a nest of loops."""
    kernel = pair.flat if isinstance(params.loops, Elements) else pair.broadcast
    args = (operand(graph, op, 0, "a"), operand(graph, op, 1, "b"), Write(output_tensor(graph, op).index))
    return kernel.step(graph, params, *args)


def nest(shape: tuple[int, ...], *strides: Strides) -> Iterator[tuple[int, ...]]:
    """`shape` and the strides of a walk over it, as LOOPS loops."""
    require(len(shape) <= LOOPS, f"broadcasting takes {len(shape)} loops, more than {LOOPS}")
    yield loop_nest.padded(LOOPS, shape, missing=1)
    for walk in strides:
        yield loop_nest.padded(LOOPS, walk)
