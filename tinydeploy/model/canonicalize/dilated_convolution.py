"""Rewrite of dilated convolutions that a file writes as three ops: made one op again.

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

from tinydeploy.model.canonicalize.constant_ops import Call, Shape
from tinydeploy.model.canonicalize.shape_inference import infer
from tinydeploy.model.graph import MAX_STEP, DType, Graph, Op, Tensor, same_code
from tinydeploy.model.ops import catalogue
from tinydeploy.model.ops.op_kind import GoesBy
from tinydeploy.results.setting import Edit

EDIT = Edit("dilated convolution", "dilated convolutions as one op each")

_RESHAPES = catalogue.kinds(lambda op: op.reshapes)

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
class _Lift:
    """An op that adds a dimension of 1 at `axis`."""

    op: Op
    axis: int


@dataclass(frozen=True)
class _Branch:
    """The way from SPACE_TO_BATCH_ND to one BATCH_TO_SPACE_ND, which is `end`.

    `rest` are the ops behind `convolution`, one of which takes away the dimension that `lift` adds, if there
    is one. `padding` and `dilations`, of height and width, are those of the dilated convolution.
    """

    lift: _Lift | None
    convolution: Op
    rest: tuple[Op, ...]
    end: Op
    padding: Edges
    dilations: tuple[int, int]


@dataclass(frozen=True)
class _Region:
    """The ops from a SPACE_TO_BATCH_ND on. `paddings` are the options of its branches' convolutions.

    They are VALID where `padding` is what has to be an op of its own.
    """

    start: Op
    branches: tuple[_Branch, ...]
    paddings: tuple[str, ...]
    padding: Edges | None


def merge(graph: Graph) -> Graph:
    """`graph` with its dilated convolutions as such, and the ops for their blocks in `folded`.

    Where the padding is neither SAME nor VALID, SPACE_TO_BATCH_ND becomes a PAD. Ops that are another thing
    than a dilated convolution, or contradict themselves, stay as they are.
    """
    starts = [op for op in graph.running if op.kind == "SPACE_TO_BATCH_ND"]
    if not starts:
        return graph
    finder, merger = _Finder(graph), _Merger(graph)
    for start in starts:
        try:
            region = finder.region(start)
        except (_OtherError, ValueError, IndexError, ArithmeticError):
            continue
        merger.merge(region)
    return merger.merged()


def _need(condition: bool) -> None:
    if not condition:
        raise _OtherError


def _with_one(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], 1, *shape[axis:])


class _Finder:
    """What the ops of a graph are. Its methods raise _OtherError, and errors of shapes, where it is none."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._readers: dict[int, list[Op]] = {}
        for op in graph.running:
            for index in {*op.inputs}:
                self._readers.setdefault(index, []).append(op)

    def region(self, start: Op) -> _Region:
        source, folded = self._moved(start)
        _need(len(source.shape) in (3, 4) and not source.is_variable)
        lifts: list[tuple[_Lift | None, Op]] = []
        for reader in self._inside(folded):
            if catalogue.of(reader.kind).is_convolution:
                lifts.append((None, reader))
            else:
                lift = self._lift(reader, folded)
                lifts += [(lift, each) for each in self._inside(self._graph.tensors[reader.outputs[0]])]
        _need(bool(lifts))
        branches = tuple(self._branch(start, lift, convolution) for lift, convolution in lifts)
        options = [self._option(branch) for branch in branches]
        if None not in options:
            return _Region(start, branches, tuple(filter(None, options)), None)
        padding, *others = {branch.padding for branch in branches}
        _need(not others)
        return _Region(start, branches, ("VALID",) * len(branches), padding)

    def _branch(self, start: Op, lift: _Lift | None, convolution: Op) -> _Branch:
        made = self._convolved(convolution, lift.op.outputs[0] if lift else start.outputs[0])
        blocks, rest = self._blocks(start), list[Op]()
        axis = lift.axis if lift else None
        while (op := self._only_reader(made)).kind != "BATCH_TO_SPACE_ND":
            output = self._graph.tensors[op.outputs[0]]
            if axis is not None and op.kind in _RESHAPES:
                self._moved(op, made)
                _need(made.shape == _with_one(output.shape, axis))
                axis = None
            else:
                _need(self._is_pointwise(op, made))
            rest.append(op)
            made = output
        self._moved(op, made)
        back = self._blocks(op)
        _need(axis is None and back.sides == blocks.sides)
        padding = tuple(
            (before - left, after - right)
            for (before, after), (left, right) in zip(blocks.edges, back.edges, strict=True)
        )
        _need(min(min(pair) for pair in padding) >= 0)
        steps = [Call(convolution, (), ()).option(f"dilation_{side}_factor", 1) for side in "hw"]
        sides = _of_sides(lift, blocks.sides, 1)
        height, width = (side * step for side, step in zip(sides, steps, strict=True))
        _need(max(height, width) <= MAX_STEP)
        return _Branch(lift, convolution, tuple(rest), op, padding, (height, width))

    def _option(self, branch: _Branch) -> str | None:
        """The convolution's padding; None if it has to be an op of its own."""
        kernel = self._graph.tensors[branch.convolution.inputs[1]].shape[1:3]
        padding = _of_sides(branch.lift, branch.padding, (0, 0))
        if not any(map(any, padding)):
            return "VALID"
        totals = [(n - 1) * step for n, step in zip(kernel, branch.dilations, strict=True)]
        return "SAME" if padding == [(total // 2, total - total // 2) for total in totals] else None

    def _inside(self, tensor: Tensor) -> list[Op]:
        """The ops that read `tensor`, which nobody else may want."""
        _need(tensor.index not in self._graph.outputs and not tensor.is_variable)
        return self._readers.get(tensor.index, [])

    def _only_reader(self, tensor: Tensor) -> Op:
        readers = self._inside(tensor)
        _need(len(readers) == 1)
        return readers[0]

    def _moved(self, op: Op, source: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Input and output of an op that only moves, from `source` if that is given."""
        given, made = self._graph.tensors[op.inputs[0]], self._graph.tensors[op.outputs[0]]
        _need(same_code(given, made) and source in (None, given))
        return given, made

    def _blocks(self, op: Op) -> _Blocks:
        _need(len(op.inputs) == 3 and min(op.inputs) >= 0)
        call = self._call(op)
        sides, edges = call.ints(1), call.ints(2)
        _need(min(sides, default=0) >= 1 and min(edges, default=-1) >= 0 and len(edges) == 2 * len(sides))
        _need(len(sides) <= len(call.inputs[0].shape) - 2)
        self._check_shapes(call)
        return _Blocks(sides, tuple(zip(edges[::2], edges[1::2], strict=True)))

    def _call(self, op: Op) -> Call:
        given = tuple(self._graph.tensors[index] for index in op.inputs if index >= 0)
        return Call(op, given, tuple(self._graph.tensors[index] for index in op.outputs))

    def _check_shapes(self, call: Call) -> None:
        _need(infer(call) == tuple(tensor.shape for tensor in call.outputs))

    def _lift(self, op: Op, folded: Tensor) -> _Lift:
        """Where the op adds a dimension of 1 to [blocks, space, channels]."""
        _need(op.kind in _RESHAPES)
        _, lifted = self._moved(op, folded)
        _need(len(folded.shape) == 3)
        for axis in (1, 2):
            if lifted.shape == _with_one(folded.shape, axis):
                return _Lift(op, axis)
        raise _OtherError

    def _convolved(self, op: Op, source: int) -> Tensor:
        """What a convolution of the tensor `source` makes."""
        _need(catalogue.of(op.kind).is_convolution and op.inputs[0] == source)
        _need(op.inputs[1] >= 0 and op.inputs.count(op.inputs[0]) == 1)
        _need(all(op.options[f"stride_{side}"] == 1 for side in "hw") and op.options["padding"] == "VALID")
        self._check_shapes(self._call(op))
        return self._graph.tensors[op.outputs[0]]

    def _is_pointwise(self, op: Op, source: Tensor) -> bool:
        """Whether the op takes each element from that of `source`, and perhaps a constant of its channel."""
        kind = catalogue.of(op.kind)
        if self._graph.tensors[op.outputs[0]].shape != source.shape or kind.goes_by is not GoesBy.ELEMENT:
            return False
        if kind.is_function:
            return True
        others = [index for index in op.inputs if index != source.index]
        if len(others) != 1 or min(others) < 0:
            return False
        other = self._graph.tensors[others[0]]
        return other.data is not None and other.elements == (other.shape[-1] if other.shape else 1)


def _of_sides(lift: _Lift | None, values: tuple[_T, ...], rest: _T) -> list[_T]:
    """Of what there is for each dimension of space, what is for the convolution's height and width."""
    return [rest, *values] if lift and lift.axis == 1 else [*values, rest][:2]


class _Merger:
    """The graph under change."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._tensors = [*graph.tensors]
        self._ops = [*graph.ops]
        self._gone: set[int] = set()

    def merged(self) -> Graph:
        if not self._gone:
            return self._graph
        return replace(
            self._graph,
            tensors=tuple(self._tensors),
            ops=tuple(self._ops),
            folded=self._graph.folded | self._gone,
            edits=(*self._graph.edits, EDIT),
        )

    def merge(self, region: _Region) -> None:
        source = self._tensors[region.start.inputs[0]]
        if region.padding is None:
            self._gone.add(region.start.index)
        else:
            source = self._pad(region.start, source, region.padding)
        for branch, padding in zip(region.branches, region.paddings, strict=True):
            self._lay_out(branch, source, padding)
            self._gone.add(branch.end.index)

    def _pad(self, start: Op, source: Tensor, padding: Edges) -> Tensor:
        """Makes a PAD of the first op; its output."""
        edges = ((0, 0), *padding, *((0, 0),) * (len(source.shape) - 1 - len(padding)))
        shape = tuple(before + n + after for n, (before, after) in zip(source.shape, edges, strict=True))
        padded = replace(self._tensors[start.outputs[0]], shape=shape)
        self._tensors[padded.index] = padded
        inputs = source.index, self._constant(start, edges)
        self._ops[start.index] = Op(start.index, "PAD", inputs, (padded.index,), {})
        return padded

    def _lay_out(self, branch: _Branch, source: Tensor, padding: str) -> None:
        """Gives every op of the branch the whole of space; the last of them writes what the blocks made."""
        end = self._tensors[branch.end.outputs[0]]
        shape = end.shape
        if branch.lift is not None:
            op, axis = branch.lift.op, branch.lift.axis
            shape = _with_one(shape, axis)
            source = self._reshape(op, source, op.outputs[0], _with_one(source.shape, axis))
        height, width = branch.dilations
        self._ops[branch.convolution.index] = replace(
            branch.convolution,
            inputs=(source.index, *branch.convolution.inputs[1:]),
            options={
                **branch.convolution.options,
                "padding": padding,
                "dilation_h_factor": height,
                "dilation_w_factor": width,
            },
        )
        for op in (branch.convolution, *branch.rest):
            output = end.index if op.outputs[0] == branch.end.inputs[0] else op.outputs[0]
            if op.kind in _RESHAPES:
                shape = end.shape
                self._reshape(op, self._tensors[op.inputs[0]], output, shape)
                continue
            self._tensors[output] = replace(self._tensors[output], shape=shape)
            self._ops[op.index] = replace(self._ops[op.index], outputs=(output,))

    def _reshape(self, op: Op, source: Tensor, output: int, shape: Shape) -> Tensor:
        """Makes `op` a RESHAPE to `shape`; its output."""
        inputs = source.index, self._constant(op, shape)
        self._ops[op.index] = Op(op.index, "RESHAPE", inputs, (output,), {})
        self._tensors[output] = replace(self._tensors[output], shape=shape)
        return self._tensors[output]

    def _constant(self, op: Op, values: Shape | Edges) -> int:
        """The index of a new tensor of int32, for `op`."""
        data = np.array(values, np.int32)
        data.flags.writeable = False
        tensor = Tensor(len(self._tensors), f"of op {op.index}", data.shape, DType.INT32, data=data)
        self._tensors.append(tensor)
        return tensor.index
