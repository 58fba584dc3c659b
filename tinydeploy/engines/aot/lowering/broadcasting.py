"""Steps over tensors that broadcast against each other, element by element."""

from __future__ import annotations

from collections.abc import Sequence

from tinydeploy.engines.aot.ir import Constant, Overlap, Read, Step, Write, operand
from tinydeploy.engines.aot.lowering import loop_nest
from tinydeploy.engines.aot.lowering.require import input_tensors, output_tensor, require
from tinydeploy.engines.aot.memory import input_overlap
from tinydeploy.model.graph import Graph, Op, Tensor

Params = dict[str, int | float | bool]

LOOPS = 5  # of the kernels' nests


def of_two(graph: Graph, op: Op, kernel: str, header: str, params: Params) -> Step:
    """The kernel over two tensors of equal shapes, or its broadcasting form over a nest of loops."""
    sources, output = input_tensors(graph, op), output_tensor(graph, op)
    a, b = (tensor.shape for tensor in sources)
    try:
        steps = loop_nest.broadcast(a, output.shape), loop_nest.broadcast(b, output.shape)
    except ValueError:
        require(False, f"shapes {a} and {b} do not broadcast to {output.shape}")
    repeated = [all(step == 0 for step in at) for at in zip(*steps, strict=True)]
    stretched = any(both and extent > 1 for both, extent in zip(repeated, output.shape, strict=True))
    require(not stretched, f"its output has the shape {output.shape}, larger than {a} and {b} broadcast to")
    shape, walks = loop_nest.fuse(output.shape, *steps)
    a_strides, b_strides = walks
    reads = operand(graph, op, 0, "a"), operand(graph, op, 1, "b")
    args = (*reads, Write(output.index))
    allowed = overlaps(reads, sources, output, shape, walks)
    if a_strides == b_strides:
        loops: Params = {"kElements": output.elements}
        return Step(kernel, header, loops | params, args, allowed)
    require(len(shape) <= LOOPS, f"broadcasting takes {len(shape)} loops, more than {LOOPS}")
    nest = loop_nest.params(LOOPS, Dim=shape, AStride=a_strides, BStride=b_strides)
    return Step(f"{kernel}_broadcast", header, nest | params, args, allowed)


def overlaps(
    reads: Sequence[Read | Constant],
    sources: Sequence[Tensor],
    output: Tensor,
    shape: Sequence[int],
    walks: Sequence[loop_nest.Strides],
) -> tuple[Overlap, ...]:
    """How far the output may run into each input, read by its walk over `shape` element by element."""
    size = output.dtype.bytes
    end = size, tuple(size * stride for stride in loop_nest.contiguous(shape))
    return tuple(
        allowed
        for source, tensor, walk in zip(reads, sources, walks, strict=True)
        for allowed in input_overlap.over(
            source,
            output,
            input_overlap.of_nest(shape, (0, tuple(tensor.dtype.bytes * stride for stride in walk)), end),
        )
    )
