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

from tinydeploy.engines.aot.lowering.lowerings import LOWERINGS
from tinydeploy.engines.aot.rewrite.float_ops import (
    ADVICE,
    ELSE,
    INTEGERS,
    JOINS,
    MOVES,
    POINTWISE,
    QUANTISABLE,
    kept_float,
)
from tinydeploy.engines.aot.rewrite.float_tables import CODES, CONSTANT, Failure, Functions, Node, Table
from tinydeploy.model.graph import DType, Graph, Op, OptionValue, Tensor


@dataclass(frozen=True)
class Folded:
    """What is to be lowered: `ops` of `graph`, which has some tensors behind the model's own.

    `refused` says by op why it cannot be.
    """

    graph: Graph
    ops: tuple[Op, ...]
    refused: Mapping[int, str]


@dataclass(frozen=True)
class _Value:
    """What a float tensor is: nodes of float_tables.py over the integers of tensors.

    There is one such part; or several, which `join` (CONCATENATION, PACK) puts together.
    """

    bases: tuple[int, ...]
    nodes: tuple[int, ...]
    join: Op | None = None


class _Refused(Exception):  # noqa: N818, it is no error of ours
    """Why an op stays in float."""


def fold(graph: Graph) -> Folded:
    """`graph` without its islands, as far as they can be had by tables."""
    return _Islands(graph).folded()


class _Islands:
    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._tensors = [*graph.tensors]
        self._functions = Functions()
        self._values: dict[int, _Value] = {}
        self._origins: dict[int, int] = {}  # of nodes: the first op that asks for it
        self._ops: list[Op] = []
        self._tables: dict[int, tuple[int, ...]] = {}  # by position in _ops: the nodes of its inputs
        self._refused: dict[int, str] = {}
        self._there: set[int] = set()  # tensors that have a value and are made as well
        self._lost: set[int] = set()  # tensors that are not there, because of an op that is refused
        self._float = kept_float(graph)

    def folded(self) -> Folded:
        for op in self._graph.running:
            try:
                self._op(op)
            except _Refused as reason:
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
        if not self._lost.isdisjoint(inputs):
            self._lost |= {*op.outputs}  # the op that is to blame has been named
        elif op.kind == "DEQUANTIZE" and self._starts(op):
            pass
        elif op.kind in POINTWISE and self._is_function(op):
            self._function(op)
        elif op.kind == "QUANTIZE" and op.inputs[0] in self._values:
            self._quantize(op)
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
            raise _Refused(f"it computes in float32; {ADVICE.get(op.kind, advice)}")
        self._ops.append(op)

    def _starts(self, op: Op) -> bool:
        """Whether this DEQUANTIZE is one that can be dealt with; if so, that is done."""
        if len(op.inputs) != 1 or len(op.outputs) != 1:
            return False
        source, output = self._tensors[op.inputs[0]], self._tensors[op.outputs[0]]
        codes = self._codes(source)
        if codes is None or source.shape != output.shape or output.dtype is not DType.FLOAT32:
            return False
        node = self._functions.op("DEQUANTIZE", (codes,), DType.FLOAT32)
        self._values[output.index] = _Value((source.index,), (node,))
        if output.index in self._float:
            self._ops.append(op)
            self._there.add(output.index)
        return True

    def _codes(self, tensor: Tensor) -> int | None:
        """The node of a tensor's own integers, if it has such."""
        found = tensor.quantization
        if tensor.dtype not in INTEGERS or tensor.is_variable or found is None or found.per_channel:
            return None
        return self._functions.add(Node(CODES, tensor.dtype, quantization=(found.scale, found.zero_point)))

    # Functions of one element

    def _is_function(self, op: Op) -> bool:
        """Whether an op of POINTWISE is part of an island, or one of integers that has no kernel."""
        if not self._values.keys().isdisjoint(op.inputs):
            return True
        inputs = [self._tensors[index] for index in op.inputs if index >= 0]
        return op.kind not in LOWERINGS and any(t.dtype in INTEGERS and t.data is None for t in inputs)

    def _function(self, op: Op) -> None:
        types = {self._tensors[index].dtype for index in (*op.inputs, *op.outputs) if index >= 0}
        try:
            self._compose(op)
        except _Refused:
            if DType.FLOAT32 in types or op.kind in LOWERINGS:
                raise
            raise _Refused(f"there is no kernel for {op.kind}") from None

    def _compose(self, op: Op) -> None:
        """Makes the output's functions of the inputs'."""
        if len(op.outputs) != 1 or min(op.inputs) < 0:
            raise _Refused("an input is missing")
        output = self._tensors[op.outputs[0]]
        operands = [self._operand(op, index, output) for index in op.inputs]
        values = [operand for operand in operands if isinstance(operand, _Value)]
        if not values:
            raise _Refused("it computes in float32 with constants alone")
        first = values[0]
        if any((value.bases, value.join) != (first.bases, first.join) for value in values):
            raise _Refused("it takes two different tensors in float32, so that no table of one will do")
        quantization = self._quantization(output)
        nodes = []
        for part in range(len(first.nodes)):
            args = tuple(o.nodes[part] if isinstance(o, _Value) else o for o in operands)
            nodes.append(
                self._functions.op(op.kind, args, output.dtype, quantization, tuple(op.options.items()))
            )
            self._origins.setdefault(nodes[-1], op.index)
        value = _Value(first.bases, tuple(nodes), first.join)
        if output.dtype not in (DType.FLOAT32, DType.BOOL) or output.index in self._float:
            self._emit(op, value)
        if quantization is None:
            self._values[output.index] = value

    def _operand(self, op: Op, index: int, output: Tensor) -> _Value | int:
        """An input of a function: what it is of integers, or the node of a constant that is one number."""
        tensor, value = self._tensors[index], self._values.get(index)
        data = tensor.data
        if value is not None and value.join is None and len(op.inputs) > 1:
            data = self._dequantized(value)
        if data is not None:
            single = data.reshape(-1)[:1]
            if data.size == 0 or not (data == single).all():
                raise _Refused("it takes a constant in float32 that differs from element to element")
            given = None if tensor.dtype is DType.FLOAT32 else self._quantization(tensor)
            number = single.astype(tensor.dtype.numpy).tobytes()
            return self._functions.add(Node(CONSTANT, tensor.dtype, quantization=given, data=number))
        if value is None:
            codes = self._codes(tensor)
            if codes is None:
                what = (
                    "a float input of the model" if index in self._graph.inputs else "what is not quantised"
                )
                raise _Refused(f"it computes with {what}: let the converter quantise the model's inputs")
            value = _Value((index,), (codes,))
        if tensor.shape != output.shape:
            raise _Refused(f"it makes {list(output.shape)} of {list(tensor.shape)} in float32")
        return value

    def _dequantized(self, value: _Value) -> Table | None:
        """What a DEQUANTIZE of a constant makes."""
        base, node = self._tensors[value.bases[0]], self._functions.nodes[value.nodes[0]]
        if base.data is None or node.kind != "DEQUANTIZE" or base.quantization is None:
            return None
        centred = base.data.astype(np.float64) - base.quantization.zero_point
        return (centred * base.quantization.scale).astype(np.float32)

    def _quantization(self, tensor: Tensor) -> tuple[float, int] | None:
        found = tensor.quantization
        if tensor.dtype in (DType.FLOAT32, DType.BOOL) or found is None:
            return None
        if found.per_channel:
            raise _Refused("a tensor is quantised per channel")
        return found.scale, found.zero_point

    # The end

    def _quantize(self, op: Op) -> None:
        value, output = self._values[op.inputs[0]], self._tensors[op.outputs[0]]
        quantization = self._quantization(output)
        if output.dtype not in (DType.INT8, DType.INT16) or quantization is None:
            raise _Refused(f"it turns float32 into {output.dtype.value}")
        if output.shape != self._tensors[op.inputs[0]].shape:
            raise _Refused("its output has another shape than its input")
        nodes = [self._functions.op("QUANTIZE", (node,), output.dtype, quantization) for node in value.nodes]
        for node in nodes:
            self._origins.setdefault(node, op.index)
        self._emit(op, _Value(value.bases, tuple(nodes), value.join))

    def _emit(self, op: Op, value: _Value) -> None:
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
        options: dict[str, OptionValue] = {**op.options, "table": tuple(entries)}
        self._ops[position] = replace(op, options=options)

    # Movement

    def _moved(self, op: Op) -> tuple[int, ...]:
        """The inputs that the op moves, if they are float and any of them can be had by integers."""
        inputs = (
            op.inputs if op.kind in JOINS else op.inputs[MOVES[op.kind] :][:1] if op.kind in MOVES else ()
        )
        return inputs if not self._values.keys().isdisjoint(inputs) else ()

    def _move(self, op: Op) -> None:
        parts = [self._part(index) for index in self._moved(op)]
        first = parts[0]
        if any(part.nodes != first.nodes for part in parts):
            self._join(op, parts)
            return
        if first.join is not None:
            raise _Refused("it moves in float32 what was joined from differently quantised tensors")
        moving = dict(zip(self._moved(op), (part.bases[0] for part in parts), strict=True))
        base, outputs = self._tensors[first.bases[0]], []
        inputs = tuple(moving.get(index, index) for index in op.inputs)
        kind = op.kind
        if kind in ("PAD", "PADV2"):
            kind, inputs = "PADV2", (*inputs[:2], self._padding(op, first, base))
        for index in op.outputs:
            shape, name = self._tensors[index].shape, self._tensors[index].name
            outputs.append(self._add(replace(base, name=name, shape=shape, data=None)))
            self._values[index] = _Value((outputs[-1],), first.nodes)
        self._ops.append(replace(op, kind=kind, inputs=inputs, outputs=tuple(outputs)))

    def _part(self, index: int) -> _Value:
        """The value of a float tensor that is moved; a constant's numbers are the entries of a table."""
        if index in self._values:
            return self._values[index]
        tensor = self._tensors[index]
        if tensor.data is None:
            raise _Refused("it joins in float32 what is quantised and what is not")
        numbers, codes = np.unique(tensor.data.reshape(-1).view(np.int32), return_inverse=True)
        if tensor.dtype is not DType.FLOAT32 or numbers.size > 256:
            raise _Refused("it takes a float constant of more than 256 different numbers")
        entries = np.resize(numbers, 256).view(np.float32)
        node = self._functions.add(Node(CONSTANT, DType.FLOAT32, data=entries.tobytes()))
        data = codes.astype(np.uint8).view(np.int8).reshape(tensor.shape)
        base = replace(tensor, dtype=DType.INT8, data=data, quantization=None)
        return _Value((self._add(base),), (node,))

    def _padding(self, op: Op, value: _Value, base: Tensor) -> int:
        """The constant of the integer that stands for what PAD or PADV2 pads with."""
        wanted: Table = np.zeros(1, np.float32)
        if op.kind == "PADV2":
            given = self._tensors[op.inputs[2]].data
            if given is None or given.size != 1:
                raise _Refused("it pads in float32 with what is computed")
            wanted = given.reshape(1)
        (table,) = self._functions.tables(value.nodes)
        if isinstance(table, Failure):
            raise _Refused(table.reason)
        (found,) = np.nonzero(table == wanted)
        if found.size == 0:
            raise _Refused(f"it pads in float32 with {wanted[0]:.6g}, for which its input has no integer")
        data = found[:1].astype(f"uint{8 * base.dtype.bytes}").view(base.dtype.numpy).reshape(())
        return self._add(replace(base, name="padding", shape=(), data=data))

    def _join(self, op: Op, parts: Sequence[_Value]) -> None:
        """Tensors of different functions, joined: each keeps its own until all are quantised alike."""
        if op.kind not in JOINS or any(part.join is not None for part in parts):
            raise _Refused("it moves in float32 what is quantised differently")
        if op.options.get("fused_activation_function", "NONE") != "NONE":
            raise _Refused("it has a fused activation in float32")
        bases = tuple(part.bases[0] for part in parts)
        nodes = tuple(part.nodes[0] for part in parts)
        self._values[op.outputs[0]] = _Value(bases, nodes, op)

    def _add(self, tensor: Tensor) -> int:
        self._tensors.append(replace(tensor, index=len(self._tensors)))
        return len(self._tensors) - 1
