"""Lowering of a convolution with an addend: the ADD or SUB behind it, done before its outputs are stored."""

from __future__ import annotations

from dataclasses import replace

from tinydeploy.engines.aot.ir import Alias, Read, Step
from tinydeploy.engines.aot.kernels.elementwise_kernels import AddLinear
from tinydeploy.engines.aot.kernels.layer_kernels import Addend, Conv2d, FullyConnected
from tinydeploy.engines.aot.lowering.lowerings import LOWERINGS
from tinydeploy.engines.aot.own_ops import Addition, WindowOp
from tinydeploy.model.graph import Graph, Op

ADDEND = 3  # the input of a convolution that is its addend, after weights and bias


def lower(graph: Graph, op: WindowOp, added: Addition) -> tuple[Step, ...]:
    """A convolution that has taken over an addition: one step, which reads the addend after its output."""
    convolution, addition = lowered_parts(graph, op, added)
    sum_ = addition.of(AddLinear)
    own, other = (sum_.a, sum_.b) if added.position == 0 else (sum_.b, sum_.a)
    layer = convolution.params
    assert isinstance(layer, Conv2d | FullyConnected)
    params = replace(layer, add=Addend(own, other, sum_.start, sum_.shift))
    args = (*convolution.args[:-1], addition.output, Read(op.inputs[ADDEND]))
    return (convolution.kernel.step(graph, params, *args),)


def lowered_parts(graph: Graph, op: WindowOp, added: Addition) -> tuple[Step, Step]:
    """The convolution and the addition as two steps."""
    made = added.made
    # In stripes the op makes a few rows, of which nothing but its output says how many.
    shape = graph.tensors[op.outputs[0]].shape
    tensors = [*graph.tensors]
    tensors[made] = replace(tensors[made], shape=shape)
    between = replace(graph, tensors=tuple(tensors))
    inputs = (made, op.inputs[ADDEND]) if added.position == 0 else (op.inputs[ADDEND], made)
    options = {"fused_activation_function": added.activation}
    convolution = replace(op, inputs=op.inputs[:ADDEND], outputs=(made,), addition=None)
    steps: list[Step] = []
    for part in (convolution, Op(op.index, added.kind, inputs, op.outputs, options)):
        lowered = LOWERINGS[part.kind](between, part)
        assert not isinstance(lowered, Alias)
        steps += lowered
    first, second = steps
    return first, second
