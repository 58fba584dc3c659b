"""The graph: the model as a frozen graph of tensors and ops, whatever file it came from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import numpy as np
import numpy.typing as npt

from tinydeploy.model.dtype import DType as DType  # part of what a graph is
from tinydeploy.model.ops import catalogue
from tinydeploy.results.setting import Edit

MAX_RANK = 8
MAX_TENSOR_BYTES = 2**31 - 1
MAX_STEP = 2**15  # strides, dilations, filter sizes

OptionValue = int | float | str | bool | tuple[int, ...]


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
    edits: tuple[Edit, ...] = ()  # what was changed of the file's model
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

    @cached_property
    def has_state(self) -> bool:
        """Whether an inference may leave something for the next: in a variable, or in a custom op."""
        return any(tensor.is_variable for tensor in self.tensors) or any(
            op.kind.startswith("CUSTOM") for op in self.running
        )

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
    macs = catalogue.of(op.kind).macs
    if macs is None:
        return 0
    inputs = [graph.tensors[index].shape if index >= 0 else None for index in op.inputs]
    return macs(inputs, graph.tensors[op.outputs[0]].shape, op.options)


def positions_below(graph: Graph, tensor: Tensor) -> int | None:
    """The bound of the positions in `tensor` that ops (GATHER …) pick elements by; None if none does."""
    bounds: list[int] = []
    for op in graph.ops:
        picks, axis = catalogue.of(op.kind).picks, op.options.get("axis", 0)
        if picks is None or tensor.index != op.inputs[picks[1]] or not isinstance(axis, int):
            continue
        table = graph.tensors[op.inputs[picks[0]]].shape
        if op.kind == "GATHER_ND":  # a position for each of the table's first axes
            bounds += table[: tensor.shape[-1]] if tensor.shape else ()
        else:
            bounds += table[axis:][:1]
    return min(bounds, default=None)
