"""Dilated convolutions that a file writes as three ops, made one op again.

A converter that does not know the batch leaves a dilated convolution as TensorFlow computes it:
SPACE_TO_BATCH_ND lays the pixels that a filter meets beside each other, each block of them goes through a
plain convolution, and BATCH_TO_SPACE_ND lays the results back (tf.nn.with_space_to_batch). That is the
convolution with the block as its dilation, over the input with the paddings less the crops. 1-D convolutions
have ops between that add and take away a dimension, and an op on single elements may come before the last.

TFLite Micro pads SPACE_TO_BATCH_ND with memory that it never set, so these ops are also wrong there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from tinydeploy.graph import MAX_STEP, DType, Graph, Op, Tensor
from tinydeploy.host_ops import Call, Shape
from tinydeploy.shapes import infer

NOTE = "dilated convolutions as one op each"

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_RESHAPES = ("EXPAND_DIMS", "RESHAPE", "SQUEEZE")
_UNARY = ("ABS", "ELU", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "QUANTIZE", "RELU", "RELU6", "TANH")
_WITH_CONSTANT = ("ADD", "MAXIMUM", "MINIMUM", "MUL", "PRELU", "SQUARED_DIFFERENCE", "SUB")

_T = TypeVar("_T")
Edges = tuple[tuple[int, int], ...]  # before and after, for each dimension of space


class _OtherError(Exception):
    """The ops are no dilated convolution: they stay as they are."""


@dataclass(frozen=True)
class _Blocks:
    """What SPACE_TO_BATCH_ND or BATCH_TO_SPACE_ND does to the dimensions of space."""

    sides: Shape
    edges: Edges


@dataclass(frozen=True)
class _Branch:
    """The way from SPACE_TO_BATCH_ND to one BATCH_TO_SPACE_ND.

    `lift`, if there is one, adds a dimension in front of `convolution`; `rest` are the ops behind that, one
    of which takes the dimension away again; `end` lays the blocks back.
    """

    lift: Op | None
    convolution: Op
    rest: tuple[Op, ...]
    end: Op
    padding: Edges  # of the dilated convolution


def merge(graph: Graph) -> Graph:
    """`graph` with its dilated convolutions as such, and the ops for their blocks in `folded`.

    Where the padding is neither SAME nor VALID, SPACE_TO_BATCH_ND becomes a PAD. Ops that are another thing
    than a dilated convolution, or contradict themselves, stay as they are.
    """
    for op in graph.running:
        if op.kind == "SPACE_TO_BATCH_ND":
            try:
                graph = _Merger(graph, op).merged()
            except (_OtherError, ValueError, IndexError):
                continue
    return graph


def _need(condition: bool) -> None:
    if not condition:
        raise _OtherError


# What the ops are


def _branches(graph: Graph, start: Op) -> list[_Branch]:
    blocks = _blocks(graph, start)
    source, folded = graph.tensors[start.inputs[0]], graph.tensors[start.outputs[0]]
    _need(source.quantization == folded.quantization and len(source.shape) in (3, 4))
    lifts: list[tuple[Op | None, Op]] = []
    for reader in _readers(graph, folded):
        if reader.kind in _CONVOLUTIONS and reader.inputs[0] == folded.index:
            lifts.append((None, reader))
        else:
            _lifted_axis(graph, reader)
            lifts += [(reader, each) for each in _readers(graph, graph.tensors[reader.outputs[0]])]
    _need(bool(lifts))
    return [_branch(graph, blocks, lift, convolution) for lift, convolution in lifts]


def _branch(graph: Graph, blocks: _Blocks, lift: Op | None, convolution: Op) -> _Branch:
    _check_convolution(graph, convolution, lift)
    rest: list[Op] = []
    axis = None if lift is None else _lifted_axis(graph, lift)
    op = convolution
    while True:
        made = graph.tensors[op.outputs[0]]
        readers = _readers(graph, made)
        _need(len(readers) == 1)
        op = readers[0]
        if op.kind == "BATCH_TO_SPACE_ND":
            break
        if axis is not None and op.kind in _RESHAPES:
            lowered = graph.tensors[op.outputs[0]]
            _need(made.shape == _with_one(lowered.shape, axis) and made.quantization == lowered.quantization)
            axis = None
        else:
            _need(_is_pointwise(graph, op, made))
        rest.append(op)
    back = _blocks(graph, op)
    _need(axis is None and back.sides == blocks.sides)
    _need(graph.tensors[op.inputs[0]].quantization == graph.tensors[op.outputs[0]].quantization)
    padding = tuple(
        (before - left, after - right)
        for (before, after), (left, right) in zip(blocks.edges, back.edges, strict=True)
    )
    _need(min(min(pair) for pair in padding) >= 0)
    return _Branch(lift, convolution, tuple(rest), op, padding)


def _with_one(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], 1, *shape[axis:])


def _readers(graph: Graph, tensor: Tensor) -> list[Op]:
    """The ops that run and read `tensor`, which no one outside may want."""
    _need(tensor.index not in graph.outputs)
    return [op for op in graph.running if tensor.index in op.inputs]


def _blocks(graph: Graph, op: Op) -> _Blocks:
    _need(len(op.inputs) == 3 and min(op.inputs) >= 0)
    call = _consistent(graph, op)
    sides, edges = call.ints(1), call.ints(2)
    _need(min(sides, default=0) >= 1 and min(edges, default=-1) >= 0 and len(edges) == 2 * len(sides))
    _need(len(sides) <= len(call.inputs[0].shape) - 2)
    return _Blocks(sides, tuple(zip(edges[::2], edges[1::2], strict=True)))


def _consistent(graph: Graph, op: Op) -> Call:
    """The op with its tensors, whose shapes follow from one another."""
    given = tuple(graph.tensors[index] for index in op.inputs if index >= 0)
    call = Call(op, given, tuple(graph.tensors[index] for index in op.outputs))
    _need(infer(call) == tuple(tensor.shape for tensor in call.outputs))
    return call


def _lifted_axis(graph: Graph, op: Op) -> int:
    """Where the op adds a dimension of 1 to [blocks, space, channels]."""
    _need(op.kind in _RESHAPES)
    source, lifted = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    _need(source.quantization == lifted.quantization and len(source.shape) == 3)
    for axis in (1, 2):
        if lifted.shape == _with_one(source.shape, axis):
            return axis
    raise _OtherError


def _check_convolution(graph: Graph, op: Op, lift: Op | None) -> None:
    _need(op.kind in _CONVOLUTIONS and op.inputs[1] >= 0)
    source = graph.tensors[op.inputs[0]]
    _need(lift is None or lift.outputs[0] == source.index)
    _need(all(op.options[f"stride_{side}"] == 1 for side in "hw") and op.options["padding"] == "VALID")
    _need(op.inputs.count(source.index) == 1)
    _consistent(graph, op)


def _is_pointwise(graph: Graph, op: Op, source: Tensor) -> bool:
    """Whether the op computes each element from that of `source`, perhaps with a constant of its channel."""
    if graph.tensors[op.outputs[0]].shape != source.shape:
        return False
    if op.kind in _UNARY:
        return True
    others = [index for index in op.inputs if index != source.index]
    if op.kind not in _WITH_CONSTANT or len(others) != 1 or min(others) < 0:
        return False
    other = graph.tensors[others[0]]
    return other.data is not None and other.elements == (other.shape[-1] if other.shape else 1)


# What they become


class _Merger:
    """The graph under change."""

    def __init__(self, graph: Graph, start: Op) -> None:
        self._graph = graph
        self._start = start
        self._branches = _branches(graph, start)
        self._tensors = [*graph.tensors]
        self._ops = [*graph.ops]

    def merged(self) -> Graph:
        graph, start = self._graph, self._start
        gone = {branch.end.index for branch in self._branches}
        source = graph.tensors[start.inputs[0]]
        paddings = [self._option(branch) for branch in self._branches]
        if None in paddings:
            source = self._pad(source)
            paddings = ["VALID"] * len(paddings)
        else:
            gone.add(start.index)
        for branch, padding in zip(self._branches, paddings, strict=True):
            assert padding is not None
            self._lay_out(branch, source, padding)
        note = graph.note if NOTE in graph.note else "; ".join(filter(None, (graph.note, NOTE)))
        return replace(
            graph, tensors=tuple(self._tensors), ops=tuple(self._ops), folded=graph.folded | gone, note=note
        )

    def _option(self, branch: _Branch) -> str | None:
        """The convolution's padding; None if it has to be an op of its own."""
        kernel = self._graph.tensors[branch.convolution.inputs[1]].shape[1:3]
        padding = self._sides(branch, branch.padding, (0, 0))
        if not any(map(any, padding)):
            return "VALID"
        totals = [(n - 1) * step for n, step in zip(kernel, self._dilations(branch), strict=True)]
        same = [(total // 2, total - total // 2) for total in totals]
        return "SAME" if same == padding else None

    def _dilations(self, branch: _Branch) -> list[int]:
        """Of height and width. Raises _OtherError if they are beyond what a file may have."""
        call = Call(branch.convolution, (), ())
        sides = self._sides(branch, _blocks(self._graph, self._start).sides, 1)
        steps = [call.option(f"dilation_{name}_factor", 1) for name in "hw"]
        dilations = [side * step for side, step in zip(sides, steps, strict=True)]
        _need(max(dilations) <= MAX_STEP)
        return dilations

    def _sides(self, branch: _Branch, values: tuple[_T, ...], rest: _T) -> list[_T]:
        """Of what there is for each dimension of space, what is for the convolution's height and width."""
        if branch.lift is not None and _lifted_axis(self._graph, branch.lift) == 1:
            return [rest, *values]
        return [*values, rest][:2]

    def _pad(self, source: Tensor) -> Tensor:
        """Makes a PAD of the first op; its output."""
        padding, *others = {branch.padding for branch in self._branches}
        _need(not others)
        channels = len(source.shape) - 1 - len(padding)
        edges = ((0, 0), *padding, *((0, 0),) * channels)
        shape = tuple(before + n + after for n, (before, after) in zip(source.shape, edges, strict=True))
        padded = replace(self._graph.tensors[self._start.outputs[0]], shape=shape)
        self._tensors[padded.index] = padded
        inputs = source.index, self._constant("paddings", edges)
        self._ops[self._start.index] = Op(self._start.index, "PAD", inputs, (padded.index,), {})
        return padded

    def _lay_out(self, branch: _Branch, source: Tensor, padding: str) -> None:
        """Gives every op of the branch the whole of space; the last of them writes what the blocks made."""
        end = self._graph.tensors[branch.end.outputs[0]]
        shape = end.shape
        if branch.lift is not None:
            axis = _lifted_axis(self._graph, branch.lift)
            shape = _with_one(shape, axis)
            source = self._reshape(branch.lift, source, branch.lift.outputs[0], _with_one(source.shape, axis))
        dilation_h, dilation_w = self._dilations(branch)
        self._ops[branch.convolution.index] = replace(
            branch.convolution,
            inputs=(source.index, *branch.convolution.inputs[1:]),
            options={
                **branch.convolution.options,
                "padding": padding,
                "dilation_h_factor": dilation_h,
                "dilation_w_factor": dilation_w,
            },
        )
        for op in (branch.convolution, *branch.rest):
            is_last = op.outputs == branch.end.inputs[:1]
            output = end.index if is_last else op.outputs[0]
            if op.kind in _RESHAPES:
                shape = end.shape
                self._reshape(op, self._tensors[op.inputs[0]], output, shape)
                continue
            self._tensors[output] = replace(self._tensors[output], shape=shape)
            self._ops[op.index] = replace(self._ops[op.index], outputs=(output,))

    def _reshape(self, op: Op, source: Tensor, output: int, shape: Shape) -> Tensor:
        """Makes `op` a RESHAPE to `shape`; its output."""
        inputs = source.index, self._constant("shape", shape)
        self._ops[op.index] = Op(op.index, "RESHAPE", inputs, (output,), {})
        self._tensors[output] = replace(self._tensors[output], shape=shape)
        return self._tensors[output]

    def _constant(self, name: str, values: tuple[int, ...] | Edges) -> int:
        """The index of a new tensor of int32."""
        data = np.array(values, np.int32)
        data.flags.writeable = False
        index = len(self._tensors)
        self._tensors.append(
            Tensor(index, f"{name} of {self._start.index}", data.shape, DType.INT32, data=data)
        )
        return index
