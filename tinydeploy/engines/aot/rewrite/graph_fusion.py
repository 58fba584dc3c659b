"""Graph fusion: ops left out because a neighbour does their work as well, with the same outputs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, replace

import numpy as np
import numpy.typing as npt

from tinydeploy.engines.aot.arithmetic import tables
from tinydeploy.engines.aot.arithmetic.fixed_point import activation_range
from tinydeploy.engines.aot.ir import Constant
from tinydeploy.engines.aot.kernels.functions import LOOKUP
from tinydeploy.engines.aot.lowering.lowerings import LOWERINGS
from tinydeploy.engines.aot.lowering.require import UnsupportedError
from tinydeploy.engines.aot.own_ops import LookupOp, Padding, WindowOp
from tinydeploy.model.graph import DType, Graph, Op
from tinydeploy.model.ops import catalogue

_CONVOLUTIONS = catalogue.kinds(lambda op: op.is_convolution)
_CLAMPS = catalogue.kinds(lambda op: op.clamps)
_CLAMPED = catalogue.kinds(lambda op: op.fuses)
_LOOKUPS = catalogue.kinds(lambda op: op.is_function)  # of 8 bits, most of them


def fold_padding(graph: Graph, given: Iterable[Op]) -> tuple[Op, ...]:
    """The `given` ops without each PAD that the convolutions behind it can do: they pad with zero points too.

    Such a convolution reads the PAD's input, and is a WindowOp with its padding.
    """
    ops = {op.index: op for op in given}
    everything = _Left(ops.values())
    for pad in tuple(ops.values()):
        sides = _padding(graph, pad)
        if sides is None:
            continue
        readers = everything.readers(pad.outputs[0])
        if not readers or not all(_takes_padding(graph, op, pad.outputs[0], sides) for op in readers):
            continue
        del ops[pad.index]
        for op in readers:
            inputs = (pad.inputs[0], *op.inputs[1:])
            ops[op.index] = replace(WindowOp.of(op), inputs=inputs, padding=sides)
    return tuple(ops.values())


def _padding(graph: Graph, op: Op) -> Padding | None:
    """How many rows and columns of zero points this op adds on each side; None if it does anything else."""
    if op.kind not in ("PAD", "PADV2") or op.outputs[0] in graph.outputs:
        return None
    source, paddings, *value = (graph.tensors[index] for index in op.inputs)
    output = graph.tensors[op.outputs[0]]
    given = paddings.data
    if given is None or given.size != 8 or source.data is not None or source.is_variable:
        return None
    if output.dtype is not DType.INT8 or output.quantization is None:
        return None
    before, after = source.quantization, output.quantization
    if before is None or (before.scales, before.zero_points) != (after.scales, after.zero_points):
        return None
    if value and (value[0].data is None or value[0].data.reshape(-1).tolist() != [after.zero_point]):
        return None
    batch, rows, columns, channels = given.reshape(4, 2).tolist()
    if any(batch + channels) or min(rows + columns) < 0:
        return None
    return Padding(*rows, *columns)


def _takes_padding(graph: Graph, op: Op, tensor: int, sides: Padding) -> bool:
    """Whether `op` is a convolution of `tensor` without padding, whose windows all reach into the tensor."""
    if op.kind not in _CONVOLUTIONS or op.options["padding"] != "VALID":
        return False
    if isinstance(op, WindowOp) and op.padding is not None:
        return False
    if op.inputs[0] != tensor or tensor in op.inputs[1:]:
        return False
    reaches = []
    for axis, initial in ((1, "h"), (2, "w")):
        dilation = op.options.get(f"dilation_{initial}_factor") or 1
        assert isinstance(dilation, int)
        reaches += [(graph.tensors[op.inputs[1]].shape[axis] - 1) * dilation + 1] * 2
    return all(n < reach for n, reach in zip(astuple(sides), reaches, strict=True))


def fold_activations(graph: Graph, ops: Iterable[Op]) -> tuple[Op, ...]:
    """`ops` without each activation that the op before can do: it only clamps, and that op does not yet."""
    left = _Left(ops)
    for op in left.ops():
        before = left.only_source(graph, op) if op.kind in _CLAMPS else None
        if before is None or before.kind not in _CLAMPED or len(op.outputs) != 1:
            continue
        if isinstance(before, LookupOp):  # its table is all that it does
            continue
        source, output = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
        fused = before.options.get("fused_activation_function", "NONE")
        if fused != "NONE" or source.quantization is None or source.quantization != output.quantization:
            continue
        table = _table(graph, op)
        if table is None or output.dtype is not DType.INT8:
            continue
        if np.array_equal(table, tables.by_bits(np.clip(tables.INT8, *activation_range(op.kind, output)))):
            options = {**before.options, "fused_activation_function": op.kind}
            left.put(replace(before, outputs=op.outputs, options=options))
            left.drop(op)
    return left.ops()


def compose_lookups(graph: Graph, ops: Iterable[Op]) -> tuple[Op, ...]:
    """`ops` with each chain of functions of one 8-bit element made one: a LookupOp."""
    left = _Left(ops)
    for op in left.ops():
        before = left.only_source(graph, op) if op.kind in _LOOKUPS or isinstance(op, LookupOp) else None
        inner = None if before is None else _table(graph, before)
        outer = None if inner is None else _table(graph, op)
        if before is not None and inner is not None and outer is not None and inner.dtype.itemsize == 1:
            composed = outer[inner.astype(np.int64) & 0xFF]
            table = tuple(composed.tolist())
            left.put(LookupOp(op.index, op.kind, before.inputs, op.outputs, op.options, table=table))
            left.drop(before)
    return left.ops()


class _Left:
    """The ops that are left, and by tensor those that read and make it."""

    def __init__(self, ops: Iterable[Op]) -> None:
        self._ops: dict[int, Op] = {}
        self._readers: dict[int, dict[int, None]] = {}  # of tensors, by the ops' indices
        self._makers: dict[int, dict[int, None]] = {}
        for op in ops:
            self.put(op)

    def ops(self) -> tuple[Op, ...]:
        """All of them, in order."""
        return tuple(self._ops.values())

    def readers(self, tensor: int) -> list[Op]:
        """Those that read `tensor`."""
        return [self._ops[index] for index in self._readers.get(tensor, ())]

    def only_source(self, graph: Graph, op: Op) -> Op | None:
        """The op that makes the one input of `op`, if nothing else needs that tensor."""
        if len(op.inputs) != 1 or op.inputs[0] in graph.outputs:
            return None
        (tensor,) = op.inputs
        makers = self._makers.get(tensor, {})
        if len(self._readers[tensor]) != 1 or len(makers) != 1:
            return None
        (maker,) = (self._ops[index] for index in makers)
        return maker if len(maker.outputs) == 1 else None

    def put(self, op: Op) -> None:
        """Adds `op`, or puts it in the place of what it was before."""
        if op.index in self._ops:
            self._forget(self._ops[op.index])
        self._ops[op.index] = op
        for tensors, users in ((op.inputs, self._readers), (op.outputs, self._makers)):
            for tensor in tensors:
                users.setdefault(tensor, {})[op.index] = None

    def drop(self, op: Op) -> None:
        """Takes away the op of this index."""
        self._forget(self._ops.pop(op.index))

    def _forget(self, op: Op) -> None:
        for tensors, users in ((op.inputs, self._readers), (op.outputs, self._makers)):
            for tensor in {*tensors}:
                del users[tensor][op.index]


def _table(graph: Graph, op: Op) -> npt.NDArray[np.generic] | None:
    """The outputs of `op` for each 8-bit input, in the order of its bits; None if it is no such function."""
    if isinstance(op, LookupOp):
        dtype = graph.tensors[op.outputs[0]].dtype
        alone = len(op.inputs) == 1 and len(op.table) == 256 and dtype is not DType.FLOAT32
        return np.array(op.table, dtype.numpy) if alone else None
    if op.kind not in _LOOKUPS:
        return None
    try:
        lowered = LOWERINGS[op.kind](graph, op) if op.kind in LOWERINGS else ()
    except UnsupportedError:
        return None
    if not isinstance(lowered, tuple) or [step.kernel for step in lowered] != [LOOKUP]:
        return None
    constant = lowered[0].args[-1]
    return constant.values if isinstance(constant, Constant) and constant.values.size == 256 else None
