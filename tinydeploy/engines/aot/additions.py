"""ADD and SUB done by the convolution before them: each output is added to its partner before it is stored.

The convolution's own tensor is then never in memory. Both roundings stay, so that the outputs do too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import pairwise
from math import prod

from tinydeploy.engines.aot import lower_computed
from tinydeploy.engines.aot.program import LOWERINGS, Alias, Overlap, Read, Step, UnsupportedError
from tinydeploy.graph import DType, Graph, Op, OptionValue

_KINDS = ("ADD", "SUB")
_ADDEND = 3  # the input of a convolution that is its addend, after weights and bias


def fold(graph: Graph, ops: Iterable[Op]) -> tuple[Op, ...]:
    """`ops` without each ADD and SUB that directly follows the convolution of one of its inputs.

    That convolution has the addition's other input as its input 3, and the addition's output as its own. The
    options say what is added: `sum` is ADD or SUB, `sum_tensor` the convolution's own tensor, `sum_position`
    which input of the addition that was, `sum_activation` what follows.
    """
    left = {op.index: op for op in ops}
    reads = Counter(index for op in left.values() for index in op.inputs)
    for convolution, addition in pairwise(tuple(left.values())):
        folded = _together(graph, convolution, addition, reads)
        if folded is not None:
            left[convolution.index] = folded
            del left[addition.index]
    return tuple(left.values())


def _together(graph: Graph, convolution: Op, addition: Op, reads: Mapping[int, int]) -> Op | None:
    """Both as one op; None if they cannot be. `reads` says how often each tensor is read."""
    if convolution.kind != "CONV_2D" or addition.kind not in _KINDS or len(convolution.outputs) != 1:
        return None
    if lower_computed.is_computed(graph, convolution):
        return None
    (made,) = convolution.outputs
    if made in graph.outputs or reads[made] != 1 or made not in addition.inputs:
        return None
    position = addition.inputs.index(made)
    partner = addition.inputs[1 - position]
    tensors = [graph.tensors[index] for index in (made, partner, *addition.outputs)]
    alike = len({tensor.shape for tensor in tensors}) == 1 and prod(tensors[0].shape[:-1]) > 1
    if not alike or tensors[1].data is not None or any(tensor.dtype is not DType.INT8 for tensor in tensors):
        return None
    if partner in convolution.inputs:
        return None
    missing = (-1,) * (_ADDEND - len(convolution.inputs))
    options: dict[str, OptionValue] = {
        "sum": addition.kind,
        "sum_tensor": made,
        "sum_position": position,
        "sum_activation": addition.options["fused_activation_function"],
    }
    folded = replace(
        convolution,
        inputs=(*convolution.inputs, *missing, partner),
        outputs=addition.outputs,
        options={**convolution.options, **options},
    )
    try:
        first, second = _lowered(graph, folded)
    except UnsupportedError:
        return None
    exact = second.kernel == "add_linear" and first.params.get("kGroups", 1) == 1
    bounds = second.params["kActivationMin"], second.params["kActivationMax"]
    return folded if exact and bounds == (-128, 127) else None


def lower(graph: Graph, op: Op) -> tuple[Step, ...]:
    """A convolution that has taken over an addition: one step, which reads the addend after its output."""
    convolution, addition = _lowered(graph, op)
    own, other = ("kA", "kB") if op.options["sum_position"] == 0 else ("kB", "kA")
    names = {"kAddA": own, "kAddB": other, "kAddStart": "kStart", "kAddShift": "kShift"}
    sums = {name: addition.params[of] for name, of in names.items()}
    addend = Read(op.inputs[_ADDEND])
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


def _lowered(graph: Graph, op: Op) -> tuple[Step, Step]:
    """The convolution and the addition as two steps."""
    given = op.options
    made, kind, position = given["sum_tensor"], str(given["sum"]), given["sum_position"]
    assert isinstance(made, int)
    # In stripes the op makes a few rows, of which nothing but its output says how many.
    shape = graph.tensors[op.outputs[0]].shape
    tensors = [*graph.tensors]
    tensors[made] = replace(tensors[made], shape=shape)
    between = replace(graph, tensors=tuple(tensors))
    inputs = (made, op.inputs[_ADDEND]) if position == 0 else (op.inputs[_ADDEND], made)
    options = {"fused_activation_function": given["sum_activation"]}
    convolution = replace(op, inputs=op.inputs[:_ADDEND], outputs=(made,))
    steps: list[Step] = []
    for part in (convolution, Op(op.index, kind, inputs, op.outputs, options)):
        lowered = LOWERINGS[part.kind](between, part)
        assert not isinstance(lowered, Alias)
        steps += lowered
    first, second = steps
    return first, second
