"""The graph: the model as a frozen graph of tensors and ops, whatever file it came from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from math import prod

import numpy as np
import numpy.typing as npt

MAX_RANK = 8
MAX_TENSOR_BYTES = 2**31 - 1
MAX_STEP = 2**15  # strides, dilations, filter sizes

OptionValue = int | float | str | bool | tuple[int, ...]


class DType(Enum):
    """Element types that a model may hold; the value is numpy's name."""

    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    FLOAT32 = "float32"
    BOOL = "bool"

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """The numpy dtype."""
        return np.dtype(self.value)

    @property
    def bytes(self) -> int:
        """Size of one element."""
        return self.numpy.itemsize


@dataclass(frozen=True)
class Quantization:
    """Affine quantisation: real = scale * (q - zero_point), per tensor or along `axis`.

    `scales` are float32 values; there are one (per tensor) or shape[axis] of them.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int = 0

    @property
    def per_channel(self) -> bool:
        """Whether each slice along `axis` has a scale of its own."""
        return len(self.scales) > 1

    @property
    def scale(self) -> float:
        """The scale of a per-tensor quantisation."""
        return self.scales[0]

    @property
    def zero_point(self) -> int:
        """The zero point of a per-tensor quantisation."""
        return self.zero_points[0]


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor. `data` is set (and read-only) for constants, None for activations and variables.

    `initial` is what a variable holds before the first inference; None is its zero point. `is_open` says that
    the file leaves an extent open, mostly the batch: `shape` is what runs; `is_int4`, that in the file two
    elements share a byte: `data` has one in each.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: DType
    quantization: Quantization | None = None
    data: npt.NDArray[np.generic] | None = None
    is_variable: bool = False
    initial: npt.NDArray[np.generic] | None = None
    is_open: bool = False
    is_int4: bool = False

    @property
    def elements(self) -> int:
        """Number of elements; 1 for a scalar."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Size in bytes."""
        return self.elements * self.dtype.bytes


def same_code(a: Tensor, b: Tensor) -> bool:
    """Whether a number means the same in both tensors: in type, scales and zero points."""
    quantizations = [t.quantization and (t.quantization.scales, t.quantization.zero_points) for t in (a, b)]
    return a.dtype is b.dtype and quantizations[0] == quantizations[1]


@dataclass(frozen=True)
class Op:
    """One operator. `kind` is TFLite's builtin name (CONV_2D); an absent optional input is -1.

    `options` holds the builtin options by their schema names in snake case, with enums as their
    schema names: stride_h, stride_w, padding ("SAME"), fused_activation_function ("RELU6") …
    """

    index: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, OptionValue]
    version: int = 1


@dataclass(frozen=True, eq=False)
class Graph:
    """A model: tensors, ops in execution order, and which tensors go in and out.

    `folded` are the indices of the ops whose outputs are constants, computed when the model was read, or that
    became part of another op: they are in `ops`, as in the file, and do not run. `signature` is the name of
    the function, if the file has several.
    """

    path: str
    file: bytes = field(repr=False)
    description: str
    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    note: str = ""  # what was changed of the file's model
    folded: frozenset[int] = frozenset()
    signature: str = ""
    rewritten: Callable[[], bytes] | None = field(default=None, repr=False)

    @cached_property
    def content(self) -> bytes:
        """The model as a .tflite: the file, or what had to be made of it to be run: tflite_rewriter.py."""
        return self.file if self.rewritten is None else self.rewritten()

    @cached_property
    def running(self) -> tuple[Op, ...]:
        """The ops that an inference runs: all but the folded ones."""
        return tuple(op for op in self.ops if op.index not in self.folded)

    @cached_property
    def sha256(self) -> str:
        """Hex digest of the model file."""
        return hashlib.sha256(self.file).hexdigest()

    @property
    def file_bytes(self) -> int:
        """Size of the model file."""
        return len(self.file)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference, over all ops."""
        return sum(op_macs(self, op) for op in self.ops)

    @property
    def constant_bytes(self) -> int:
        """Bytes of all constant tensors that a running op reads."""
        used = {i for op in self.running for i in op.inputs if i >= 0}
        return sum(self.tensors[i].bytes for i in used if self.tensors[i].data is not None)


def op_shape(graph: Graph, op: Op) -> tuple[int, ...]:
    """The shape of what the op makes; of what it takes last, if it only assigns; () if it does neither."""
    tensors = op.outputs[:1] or op.inputs[-1:]
    return graph.tensors[tensors[0]].shape if tensors else ()


def op_macs(graph: Graph, op: Op) -> int:
    """Multiply-accumulates of one op, as MLPerf Tiny counts them: those of layers and matrix products."""
    if op.kind == "CONV_2D":
        kernel = graph.tensors[op.inputs[1]].shape  # [out, h, w, in]
        return graph.tensors[op.outputs[0]].elements * prod(kernel[1:])
    if op.kind == "DEPTHWISE_CONV_2D":
        kernel = graph.tensors[op.inputs[1]].shape  # [1, h, w, out]
        return graph.tensors[op.outputs[0]].elements * kernel[1] * kernel[2]
    if op.kind == "FULLY_CONNECTED":
        units, depth = graph.tensors[op.inputs[1]].shape
        return graph.tensors[op.outputs[0]].elements // units * units * depth
    if op.kind == "TRANSPOSE_CONV":
        kernel = graph.tensors[op.inputs[1]].shape  # [out, h, w, in]
        return graph.tensors[op.inputs[2]].elements * prod(kernel[:3])
    if op.kind == "BATCH_MATMUL":
        shape = (1, 1, *graph.tensors[op.inputs[0]].shape)
        return graph.tensors[op.outputs[0]].elements * shape[-2 if op.options["adj_x"] else -1]
    if op.kind == "UNIDIRECTIONAL_SEQUENCE_LSTM":
        shape = graph.tensors[op.inputs[0]].shape  # [batch, time, features] in either order
        matrices = [graph.tensors[i] for i in op.inputs[1:9] if i >= 0]
        return shape[0] * shape[1] * sum(tensor.elements for tensor in matrices)
    if op.kind == "SVDF":
        batches, _ = graph.tensors[op.inputs[0]].shape
        return batches * sum(graph.tensors[i].elements for i in op.inputs[1:3])
    return 0


def positions_below(graph: Graph, tensor: Tensor) -> int | None:
    """The bound of the positions in `tensor` that GATHER or EMBEDDING_LOOKUP pick by; None if none does."""
    bounds: list[int] = []
    for op in graph.ops:
        table, axis = None, op.options.get("axis", 0)
        if op.kind == "GATHER" and tensor.index == op.inputs[1]:
            table = op.inputs[0]
        elif op.kind == "EMBEDDING_LOOKUP" and tensor.index == op.inputs[0]:
            table = op.inputs[1]
        if table is not None and isinstance(axis, int):
            bounds += graph.tensors[table].shape[axis:][:1]
    return min(bounds, default=None)
