"""Lowering of a convolution with an addend: the ADD or SUB behind it, done before its outputs are stored."""

from __future__ import annotations

from dataclasses import replace

from tinydeploy.engines.aot.ir import Alias, Overlap, Read, Step
from tinydeploy.engines.aot.lowering.lowerings import LOWERINGS
from tinydeploy.model.graph import Graph, Op

ADDEND = 3  # the input of a convolution that is its addend, after weights and bias


def lower(graph: Graph, op: Op) -> tuple[Step, ...]:
    """A convolution that has taken over an addition: one step, which reads the addend after its output."""
    convolution, addition = lowered_parts(graph, op)
    own, other = ("kA", "kB") if op.options["sum_position"] == 0 else ("kB", "kA")
    names = {"kAddA": own, "kAddB": other, "kAddStart": "kStart", "kAddShift": "kShift"}
    sums = {name: addition.params[of] for name, of in names.items()}
    addend = Read(op.inputs[ADDEND])
    args = (*convolution.args[:-1], addition.output, addend)
    read = (replace(overlap, output=op.outputs[0]) for overlap in convolution.overlaps)
    overlaps = (*read, Overlap(addend.tensor, op.outputs[0], 0))
    return (replace(convolution, params={**convolution.params, **sums}, args=args, overlaps=overlaps),)


def added(step: Step, pixels: int) -> tuple[Overlap, ...]:
    """How far the output of a kernel in place of `step` may run into the addend, if there is one.

    The kernel makes some channels of `pixels` pixels at once, then the next channels of these.
    """
    distance = (pixels - 1) * int(step.params["kOutputDepth"])
    return tuple(Overlap(addend.tensor, step.output.tensor, distance) for addend in step.addend)


def lowered_parts(graph: Graph, op: Op) -> tuple[Step, Step]:
    """The convolution and the addition as two steps."""
    given = op.options
    made, kind, position = given["sum_tensor"], str(given["sum"]), given["sum_position"]
    assert isinstance(made, int)
    # In stripes the op makes a few rows, of which nothing but its output says how many.
    shape = graph.tensors[op.outputs[0]].shape
    tensors = [*graph.tensors]
    tensors[made] = replace(tensors[made], shape=shape)
    between = replace(graph, tensors=tuple(tensors))
    inputs = (made, op.inputs[ADDEND]) if position == 0 else (op.inputs[ADDEND], made)
    options = {"fused_activation_function": given["sum_activation"]}
    convolution = replace(op, inputs=op.inputs[:ADDEND], outputs=(made,))
    steps: list[Step] = []
    for part in (convolution, Op(op.index, kind, inputs, op.outputs, options)):
        lowered = LOWERINGS[part.kind](between, part)
        assert not isinstance(lowered, Alias)
        steps += lowered
    first, second = steps
    return first, second
