"""Float values: what the float tensors of an island are of the integers of others."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tinydeploy.engines.aot.rewrite.float_ops import INTEGERS
from tinydeploy.engines.aot.rewrite.float_tables import CODES, CONSTANT, Failure, Functions, Node, Table
from tinydeploy.model.graph import DType, Graph, Op, Tensor


@dataclass(frozen=True)
class Value:
    """What a float tensor is: nodes of float_tables.py over the integers of tensors.

    There is one such part; or several, which `join` (CONCATENATION, PACK) puts together.
    """

    bases: tuple[int, ...]
    nodes: tuple[int, ...]
    join: Op | None = None


class Refused(Exception):  # noqa: N818, it is no error of ours
    """Why an op stays in float."""


class FloatValues:
    """What is known of the float tensors of `graph`. `tensors` are its own, and those that are added."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.tensors = [*graph.tensors]
        self.functions = Functions()
        self.values: dict[int, Value] = {}

    def codes(self, tensor: Tensor) -> int | None:
        """The node of a tensor's own integers, if it has such."""
        found = tensor.quantization
        if tensor.dtype not in INTEGERS or tensor.is_variable or found is None or found.per_channel:
            return None
        return self.functions.add(Node(CODES, tensor.dtype, quantization=(found.scale, found.zero_point)))

    def operand(self, op: Op, index: int, output: Tensor) -> Value | int:
        """An input of a function: what it is of integers, or the node of a constant that is one number."""
        tensor, value = self.tensors[index], self.values.get(index)
        data = tensor.data
        if value is not None and value.join is None and len(op.inputs) > 1:
            data = self.dequantized(value)
        if data is not None:
            single = data.reshape(-1)[:1]
            if data.size == 0 or not (data == single).all():
                raise Refused("it takes a constant in float32 that differs from element to element")
            given = None if tensor.dtype is DType.FLOAT32 else self.quantization(tensor)
            number = single.astype(tensor.dtype.numpy).tobytes()
            return self.functions.add(Node(CONSTANT, tensor.dtype, quantization=given, data=number))
        if value is None:
            codes = self.codes(tensor)
            if codes is None:
                what = (
                    "a float input of the model" if index in self._graph.inputs else "what is not quantised"
                )
                raise Refused(f"it computes with {what}: let the converter quantise the model's inputs")
            value = Value((index,), (codes,))
        if tensor.shape != output.shape:
            raise Refused(f"it makes {list(output.shape)} of {list(tensor.shape)} in float32")
        return value

    def dequantized(self, value: Value) -> Table | None:
        """What a DEQUANTIZE of a constant makes."""
        base, node = self.tensors[value.bases[0]], self.functions.nodes[value.nodes[0]]
        if base.data is None or node.kind != "DEQUANTIZE" or base.quantization is None:
            return None
        centred = base.data.astype(np.float64) - base.quantization.zero_point
        return (centred * base.quantization.scale).astype(np.float32)

    def quantization(self, tensor: Tensor) -> tuple[float, int] | None:
        """Scale and zero point, if it has such."""
        found = tensor.quantization
        if tensor.dtype in (DType.FLOAT32, DType.BOOL) or found is None:
            return None
        if found.per_channel:
            raise Refused("a tensor is quantised per channel")
        return found.scale, found.zero_point

    def integers(self, index: int) -> int | None:
        """The tensor that `index` is but for a DEQUANTIZE, or a constant of float; None if it is neither."""
        value, tensor = self.values.get(index), self.tensors[index]
        if value is None:
            return index if tensor.dtype is DType.FLOAT32 and tensor.data is not None else None
        base, node = self.tensors[value.bases[0]], self.functions.nodes[value.nodes[0]]
        plain = value.join is None and node.kind == "DEQUANTIZE" and base.dtype is not DType.UINT8
        return base.index if plain and base.shape == tensor.shape else None

    def part(self, index: int) -> Value:
        """The value of a float tensor that is moved; a constant's numbers are the entries of a table."""
        if index in self.values:
            return self.values[index]
        tensor = self.tensors[index]
        if tensor.data is None:
            raise Refused("it joins in float32 what is quantised and what is not")
        numbers, codes = np.unique(tensor.data.reshape(-1).view(np.int32), return_inverse=True)
        if tensor.dtype is not DType.FLOAT32 or numbers.size > 256:
            raise Refused("it takes a float constant of more than 256 different numbers")
        entries = np.resize(numbers, 256).view(np.float32)
        node = self.functions.add(Node(CONSTANT, DType.FLOAT32, data=entries.tobytes()))
        data = codes.astype(np.uint8).view(np.int8).reshape(tensor.shape)
        base = replace(tensor, dtype=DType.INT8, data=data, quantization=None)
        return Value((self.add(base),), (node,))

    def padding(self, op: Op, value: Value, base: Tensor) -> int:
        """The constant of the integer that stands for what PAD or PADV2 pads with."""
        wanted: Table = np.zeros(1, np.float32)
        if op.kind == "PADV2":
            given = self.tensors[op.inputs[2]].data if len(op.inputs) > 2 else None
            if given is None or given.size != 1:
                raise Refused("it pads in float32 with what is computed")
            wanted = given.reshape(1)
        (table,) = self.functions.tables(value.nodes)
        if isinstance(table, Failure):
            raise Refused(table.reason)
        (found,) = np.nonzero(table == wanted)
        if found.size == 0:
            raise Refused(f"it pads in float32 with {wanted[0]:.6g}, for which its input has no integer")
        data = found[:1].astype(f"uint{8 * base.dtype.bytes}").view(base.dtype.numpy).reshape(())
        return self.add(replace(base, name="padding", shape=(), data=data))

    def add(self, tensor: Tensor) -> int:
        """The index of `tensor`, which is new."""
        self.tensors.append(replace(tensor, index=len(self.tensors)))
        return len(self.tensors) - 1
