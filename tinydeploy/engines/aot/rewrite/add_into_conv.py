"""Fusion of ADD and SUB into the convolution before them: each output is added to as it is stored.

The convolution's own tensor is then never in memory. Both roundings stay, so that the outputs do too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import pairwise
from math import prod

from tinydeploy.engines.aot.kernels.elementwise_kernels import ADD_LINEAR, AddLinear
from tinydeploy.engines.aot.kernels.layer_kernels import Conv2d, FullyConnected
from tinydeploy.engines.aot.lowering import computed_weights
from tinydeploy.engines.aot.lowering.conv_with_addend import ADDEND, lowered_parts
from tinydeploy.engines.aot.lowering.require import UnsupportedError
from tinydeploy.engines.aot.own_ops import Addition, LookupOp, WindowOp
from tinydeploy.model.graph import DType, Graph, Op
from tinydeploy.model.ops import catalogue
from tinydeploy.model.ops.op_kind import GoesBy

_KINDS = catalogue.kinds(lambda op: op.fuses and op.goes_by is GoesBy.ELEMENT)  # what may be an addition


def fold(graph: Graph, ops: Iterable[Op]) -> tuple[Op, ...]:
    """`ops` without each ADD and SUB that directly follows the convolution of one of its inputs.

    That convolution has the addition's other input as its input 3, and the addition's output as its own.
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
    if isinstance(addition, LookupOp):
        return None
    if computed_weights.is_computed(graph, convolution):
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
    missing = (-1,) * (ADDEND - len(convolution.inputs))
    activation = str(addition.options["fused_activation_function"])
    added = Addition(addition.kind, made, position, activation)
    folded = replace(
        WindowOp.of(convolution),
        inputs=(*convolution.inputs, *missing, partner),
        outputs=addition.outputs,
        addition=added,
    )
    try:
        first, second = lowered_parts(graph, folded, added)
    except UnsupportedError:
        return None
    layer, addition_ = first.params, second.params
    exact = isinstance(layer, FullyConnected) or (isinstance(layer, Conv2d) and layer.groups == 1)
    if not exact or second.kernel is not ADD_LINEAR.flat or not isinstance(addition_, AddLinear):
        return None
    return folded if (addition_.activation_min, addition_.activation_max) == (-128, 127) else None
