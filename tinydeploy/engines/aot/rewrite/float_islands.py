"""Float islands: what is computed in float32 between DEQUANTIZE and QUANTIZE, done on integers.

Converters leave ops in float that have no quantised form (ELU, EXP, NEG …), or that they do not know (SPLIT).
A float tensor of such an island is a function of the integers of one tensor, element by element. An op that
is a function of its elements makes another such function; one that only moves elements moves the integers;
and QUANTIZE is a table that has an entry for each integer. So is a quantised op without a kernel of ours, if
it is a function of one element. What is left is refused by the name of the op that stays float.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tinydeploy.engines.aot.lowering import in_float
from tinydeploy.engines.aot.lowering.lowerings import LOWERINGS
from tinydeploy.engines.aot.own_ops import FloatOp, LookupOp
from tinydeploy.engines.aot.rewrite.float_ops import (
    ADVICE,
    ELSE,
    INTEGERS,
    MOVES,
    ORDERS,
    POINTWISE,
    QUANTISABLE,
    kept_float,
)
from tinydeploy.engines.aot.rewrite.float_tables import Failure, Table
from tinydeploy.engines.aot.rewrite.float_values import FloatValues, Refused, Value
from tinydeploy.host import reference
from tinydeploy.model.graph import DType, Graph, Op
from tinydeploy.model.ops.catalogue import JOINS


@dataclass(frozen=True)
class Folded:
    """What is to be lowered: `ops` of `graph`, which has some tensors behind the model's own.

    `refused` says by op why it cannot be.
    """

    graph: Graph
    ops: tuple[Op, ...]
    refused: Mapping[int, str]


def fold(graph: Graph) -> Folded:
    """`graph` without its islands, as far as they can be had by tables."""
    return _Islands(graph).folded()


class _Islands:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._floats = FloatValues(graph)
        self._tensors = self._floats.tensors
        self._functions = self._floats.functions
        self._values = self._floats.values
        self._origins: dict[int, int] = {}  # of nodes: the first op that asks for it
        self._ops: list[Op] = []
        self._tables: dict[int, tuple[int, ...]] = {}  # by position in _ops: the nodes of its inputs
        self._refused: dict[int, str] = {}
        self._there: set[int] = set()  # tensors that have a value and are made as well
        self._lost: set[int] = set()  # tensors that are not there, because of an op that is refused
        self._float = kept_float(graph)
        self._waiting: dict[int, tuple[Op, str]] = {}  # by output: the op, and why it is no table

    def folded(self) -> Folded:
        for op in self._graph.running:
            try:
                self._op(op)
            except Refused as reason:
                self._refused[op.index] = str(reason)
                self._lost |= {*op.outputs}
        wanted = [node for nodes in self._tables.values() for node in nodes]
        found = iter(self._functions.tables(wanted))
        for position, nodes in self._tables.items():
            self._give(position, [next(found) for _ in nodes])
        graph = replace(self._graph, tensors=tuple(self._tensors))
        return Folded(graph, tuple(self._ops), self._refused)

    def _op(self, op: Op) -> None:
        inputs = [index for index in op.inputs if index >= 0]
        self._stop_waiting(op)
        if not self._lost.isdisjoint(inputs):
            self._lost |= {*op.outputs}  # the op that is to blame has been named
        elif op.kind == "DEQUANTIZE" and self._starts(op):
            pass
        elif op.kind in POINTWISE and self._is_function(op):
            self._function(op)
        elif op.kind == "QUANTIZE" and op.inputs[0] in self._waiting:
            self._quantize_waiting(op)
        elif op.kind == "QUANTIZE" and op.inputs[0] in self._values:
            self._quantize(op)
        elif op.kind in ORDERS and not self._values.keys().isdisjoint(op.inputs[:1]):
            self._order(op)
        elif self._moved(op) and not self._float.intersection(op.outputs):
            self._move(op)
        else:
            self._keep(op, inputs)

    def _keep(self, op: Op, inputs: Sequence[int]) -> None:
        """Leaves `op` as it is, if it does not compute in float and what it reads is there."""
        types = {self._tensors[index].dtype for index in (*inputs, *op.outputs)}
        computes = DType.FLOAT32 in types and op.kind not in (*JOINS, *MOVES, "QUANTIZE", "DEQUANTIZE")
        if computes or {*inputs} & self._values.keys() - self._there:
            advice = QUANTISABLE if op.kind in LOWERINGS else ELSE
            if {*inputs} & {*self._graph.inputs}:
                advice = "let the converter quantise the model's inputs: inference_input_type = tf.int8"
            raise Refused(f"it computes in float32; {ADVICE.get(op.kind, advice)}")
        self._ops.append(op)

    def _starts(self, op: Op) -> bool:
        """Whether this DEQUANTIZE is one that can be dealt with; if so, that is done."""
        if len(op.inputs) != 1 or len(op.outputs) != 1:
            return False
        source, output = self._tensors[op.inputs[0]], self._tensors[op.outputs[0]]
        codes = self._floats.codes(source)
        if codes is None or source.shape != output.shape or output.dtype is not DType.FLOAT32:
            return False
        node = self._functions.op("DEQUANTIZE", (codes,), DType.FLOAT32)
        self._values[output.index] = Value((source.index,), (node,))
        if output.index in self._float:
            self._ops.append(op)
            self._there.add(output.index)
        return True

    # Functions of one element

    def _is_function(self, op: Op) -> bool:
        """Whether an op of POINTWISE is part of an island, or one of integers that has no kernel."""
        if not self._values.keys().isdisjoint(op.inputs):
            return True
        inputs = [self._tensors[index] for index in op.inputs if index >= 0]
        by_one = any(t.data is not None and t.elements == 1 for t in inputs)
        tabled = op.kind not in LOWERINGS or (op.kind == "DIV" and by_one and reference.available())
        return tabled and any(t.dtype in INTEGERS and t.data is None for t in inputs)

    def _function(self, op: Op) -> None:
        types = {self._tensors[index].dtype for index in (*op.inputs, *op.outputs) if index >= 0}
        try:
            self._compose(op)
        except Refused as reason:
            if self._waits(op):
                self._waiting[op.outputs[0]] = op, str(reason)
                return
            if DType.FLOAT32 in types or op.kind in LOWERINGS:
                raise
            raise Refused(f"there is no kernel for {op.kind}") from None

    def _compose(self, op: Op) -> None:
        """Makes the output's functions of the inputs'."""
        if len(op.outputs) != 1 or min(op.inputs) < 0:
            raise Refused("an input is missing")
        output = self._tensors[op.outputs[0]]
        operands = [self._floats.operand(op, index, output) for index in op.inputs]
        values = [operand for operand in operands if isinstance(operand, Value)]
        if not values:
            raise Refused("it computes in float32 with constants alone")
        first = values[0]
        if any((value.bases, value.join) != (first.bases, first.join) for value in values):
            raise Refused("it takes two different tensors in float32, so that no table of one will do")
        quantization = self._floats.quantization(output)
        nodes = []
        for part in range(len(first.nodes)):
            args = tuple(o.nodes[part] if isinstance(o, Value) else o for o in operands)
            nodes.append(
                self._functions.op(op.kind, args, output.dtype, quantization, tuple(op.options.items()))
            )
            self._origins.setdefault(nodes[-1], op.index)
        value = Value(first.bases, tuple(nodes), first.join)
        if output.dtype not in (DType.FLOAT32, DType.BOOL) or output.index in self._float:
            self._emit(op, value)
        if quantization is None:
            self._values[output.index] = value

    # What is more than a table

    def _order(self, op: Op) -> None:
        """ARG_MAX or ARG_MIN of a function that rises, or falls, with the integers: theirs."""
        value, base = self._values[op.inputs[0]], self._tensors[self._values[op.inputs[0]].bases[0]]
        if value.join is not None or base.dtype not in (DType.INT8, DType.INT16):
            raise Refused("it compares in float32 what is quantised differently")
        (table,) = self._functions.tables(value.nodes)
        if isinstance(table, Failure):
            raise Refused(table.reason)
        ascending = np.roll(table, table.size // 2).astype(np.float64)  # by the integers
        rises = bool((ascending[1:] > ascending[:-1]).all())
        if not rises and not (ascending[1:] < ascending[:-1]).all():
            raise Refused("it compares in float32 what does not rise or fall with its integers")
        kind = op.kind if rises else ORDERS[op.kind]
        inputs, options = (base.index, *op.inputs[1:]), {**op.options, "dequantized": True}
        self._ops.append(replace(op, kind=kind, inputs=inputs, options=options))

    def _waits(self, op: Op) -> bool:
        """Whether `op` is one of in_float.py, of what DEQUANTIZE makes and perhaps a constant in float."""
        if op.kind not in in_float.KINDS or len(op.inputs) != 2 or len(op.outputs) != 1:
            return False
        operands = [self._floats.integers(index) for index in op.inputs]
        if None in operands or not self._float.isdisjoint(op.outputs):
            return False
        return any(self._tensors[index].data is None for index in operands if index is not None)

    def _stop_waiting(self, op: Op) -> None:
        """Refuses each op that waits for a QUANTIZE, if `op` is something else that reads it."""
        for index in self._waiting.keys() & {*op.inputs}:
            if op.kind != "QUANTIZE":
                waiting, reason = self._waiting.pop(index)
                self._refused[waiting.index] = reason
                self._lost.add(index)

    def _quantize_waiting(self, op: Op) -> None:
        """An op of two tensors between DEQUANTIZE and QUANTIZE becomes one from integers to integers."""
        waiting, _ = self._waiting[op.inputs[0]]
        output = self._tensors[op.outputs[0]]
        if output.dtype not in (DType.INT8, DType.INT16) or self._floats.quantization(output) is None:
            raise Refused(f"it turns float32 into {output.dtype.value}")
        if output.shape != self._tensors[waiting.outputs[0]].shape:
            raise Refused("its output has another shape than its input")
        inputs = tuple(self._floats.integers(index) for index in waiting.inputs)
        given = tuple(index for index in inputs if index is not None)
        self._ops.append(
            FloatOp(op.index, op.kind, given, op.outputs, waiting.options, function=waiting.kind)
        )

    # The end

    def _quantize(self, op: Op) -> None:
        value, output = self._values[op.inputs[0]], self._tensors[op.outputs[0]]
        quantization = self._floats.quantization(output)
        if output.dtype not in (DType.INT8, DType.INT16) or quantization is None:
            raise Refused(f"it turns float32 into {output.dtype.value}")
        if output.shape != self._tensors[op.inputs[0]].shape:
            raise Refused("its output has another shape than its input")
        nodes = [self._functions.op("QUANTIZE", (node,), output.dtype, quantization) for node in value.nodes]
        for node in nodes:
            self._origins.setdefault(node, op.index)
        self._emit(op, Value(value.bases, tuple(nodes), value.join))

    def _emit(self, op: Op, value: Value) -> None:
        """The op in which `value` gets into the output of `op`."""
        self._tables[len(self._ops)] = value.nodes
        self._there |= {*op.outputs}
        if value.join is None:
            self._ops.append(Op(op.index, op.kind, value.bases, op.outputs, {}))
        else:
            self._ops.append(replace(value.join, index=op.index, inputs=value.bases, outputs=op.outputs))

    def _give(self, position: int, tables: Sequence[Table | Failure]) -> None:
        """The tables to the op at `position`; where there are none, the op that is to blame is refused."""
        op = self._ops[position]
        entries: list[int] = []
        for table in tables:
            if isinstance(table, Failure):
                self._refused.setdefault(self._origins.get(table.node, op.index), table.reason)
            else:
                entries += (table.view(np.int32) if table.dtype == np.float32 else table).tolist()
        self._ops[position] = LookupOp(**vars(op), table=tuple(entries))

    # Movement

    def _moved(self, op: Op) -> tuple[int, ...]:
        """The inputs that the op moves, if they are float and any of them can be had by integers."""
        inputs = (
            op.inputs if op.kind in JOINS else op.inputs[MOVES[op.kind] :][:1] if op.kind in MOVES else ()
        )
        return inputs if not self._values.keys().isdisjoint(inputs) else ()

    def _move(self, op: Op) -> None:
        parts = [self._floats.part(index) for index in self._moved(op)]
        first = parts[0]
        if any(part.nodes != first.nodes for part in parts):
            self._join(op, parts)
            return
        if first.join is not None:
            raise Refused("it moves in float32 what was joined from differently quantised tensors")
        moving = dict(zip(self._moved(op), (part.bases[0] for part in parts), strict=True))
        base, outputs = self._tensors[first.bases[0]], []
        inputs = tuple(moving.get(index, index) for index in op.inputs)
        kind = op.kind
        if kind in ("PAD", "PADV2"):
            kind, inputs = "PADV2", (*inputs[:2], self._floats.padding(op, first, base))
        for index in op.outputs:
            shape, name = self._tensors[index].shape, self._tensors[index].name
            outputs.append(self._floats.add(replace(base, name=name, shape=shape, data=None)))
            self._values[index] = Value((outputs[-1],), first.nodes)
        self._ops.append(replace(op, kind=kind, inputs=inputs, outputs=tuple(outputs)))

    def _join(self, op: Op, parts: Sequence[Value]) -> None:
        """Tensors of different functions, joined: each keeps its own until all are quantised alike."""
        if op.kind not in JOINS or any(part.join is not None for part in parts):
            raise Refused("it moves in float32 what is quantised differently")
        if op.options.get("fused_activation_function", "NONE") != "NONE":
            raise Refused("it has a fused activation in float32")
        bases = tuple(part.bases[0] for part in parts)
        nodes = tuple(part.nodes[0] for part in parts)
        self._values[op.outputs[0]] = Value(bases, nodes, op)
