"""Outputs of a model: the scores of classes, a class number, probabilities of their own, or values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.errors import UsageError
from tinydeploy.model import logits
from tinydeploy.model.graph import Graph, Op, Tensor
from tinydeploy.model.ops import catalogue

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

# These leave an element what it is.
_SAME_ORDER = catalogue.kinds(lambda op: op.reshapes)
_SAME_PLACES = catalogue.kinds(lambda op: op.recodes)


class Kind(Enum):
    """What the elements of an output are; the value is the word for people."""

    SOFTMAX = "SOFTMAX"
    LOGITS = "logits"  # of a SOFTMAX that was cut off
    INDEX = "class numbers"
    LOGISTIC = "LOGISTIC"
    RAW = "values"


@dataclass(frozen=True)
class Output:
    """Output number `position` of the model, whose elements are seen as [places, labels].

    `labels` are the classes or labels that each place (a pixel, a step; mostly there is one place) has an
    element for, along `axis` of the tensor. `classes` is how many classes a class number of an INDEX tells
    apart. `copies` is the position of the model input whose shape the output has, if there is exactly one: it
    may be a reconstruction.
    """

    position: int
    tensor: Tensor
    kind: Kind
    axis: int
    labels: int
    classes: int
    copies: int | None = None

    @property
    def places(self) -> int:
        """How many places there are."""
        return self.tensor.elements // self.labels

    @property
    def grid(self) -> Shape:
        """The places' shape, without ones; () for a single place."""
        shape = list(self.tensor.shape)
        if self.labels > 1:
            del shape[self.axis]
        return _bare(tuple(shape))

    @property
    def name(self) -> str:
        """How people are told of it: output 1 "scores" [1, 10]."""
        return f'output {self.position} "{self.tensor.name}" {list(self.tensor.shape)}'

    def by_place(self, values: Array) -> Array:
        """Values [n, *shape of the tensor] as [n, places, labels]."""
        if self.labels > 1:
            values = np.moveaxis(values, self.axis + 1, -1)
        return values.reshape(len(values), self.places, self.labels)


def outputs(graph: Graph) -> tuple[Output, ...]:
    """Every output of the graph, in the model's order."""
    return tuple(_output(graph, position) for position in range(len(graph.outputs)))


def named(graph: Graph, wanted: str) -> Output:
    """The output of this number or tensor name. Raises UsageError with those that there are."""
    found = outputs(graph)
    for output in found:
        if wanted in (str(output.position), output.tensor.name):
            return output
    names = ", ".join(f'{output.position} "{output.tensor.name}"' for output in found[:8])
    raise UsageError(f"the model has no output '{wanted}'", f"it has {names}")


def _output(graph: Graph, position: int) -> Output:
    tensor = graph.tensors[graph.outputs[position]]
    makers = {op.outputs[0]: op for op in graph.running if op.outputs}
    chain = list(_back(graph, makers, tensor.index))
    source = chain[-1].inputs[0] if chain else tensor.index
    maker = makers.get(source)
    shape = graph.tensors[source].shape
    kind = _KINDS.get(maker.kind if maker else "", Kind.RAW)
    if position == 0 and logits.EDIT in graph.edits:
        kind = Kind.LOGITS
    if kind is Kind.INDEX:
        classes = _told_apart(graph, maker) if maker else 1
        return Output(position, tensor, kind, 0, 1, classes)
    if kind in (Kind.RAW, Kind.LOGITS):
        chain, shape = [], tensor.shape
    axis, labels = _label_axis(kind, shape)
    moved = _moved(graph, chain, shape, axis, labels)
    if moved is None:  # the labels lie where no axis is: what the elements are is not known
        kind, (axis, labels) = Kind.RAW, _label_axis(Kind.RAW, tensor.shape)
    else:
        axis = moved
    return Output(position, tensor, kind, axis, labels, labels, _copied(graph, tensor, kind))


_KINDS = {
    "SOFTMAX": Kind.SOFTMAX,
    "LOG_SOFTMAX": Kind.SOFTMAX,
    "LOGISTIC": Kind.LOGISTIC,
    "ARG_MAX": Kind.INDEX,
    "ARG_MIN": Kind.INDEX,
}


def _back(graph: Graph, makers: dict[int, Op], tensor: int) -> Iterator[Op]:
    """From the output upwards, the ops that leave its elements what they are."""
    op = makers.get(tensor)
    while op is not None and op.kind in (*_SAME_ORDER, *_SAME_PLACES, "TRANSPOSE"):
        yield op
        op = makers.get(op.inputs[0])


def _label_axis(kind: Kind, shape: Shape) -> tuple[int, int]:
    """The axis of the classes or labels in a tensor of this shape, and how many there are.

    SOFTMAX works along the last axis. One element by itself is a label; of [1, 10] each element is one; of
    what has places (rank 3 and more) the last axis holds them, and for values ones are no axes.
    """
    last = max(len(shape) - 1, 0)
    if kind is Kind.RAW:
        last = max((axis for axis, size in enumerate(shape) if size > 1), default=last)
    return last, shape[last] if shape else 1


def _moved(graph: Graph, chain: list[Op], shape: Shape, axis: int, labels: int) -> int | None:
    """Where the labels' axis is after the chain's ops, the last of which works first; None if nowhere."""
    for op in reversed(chain):
        after = graph.tensors[op.outputs[0]].shape
        if op.kind == "TRANSPOSE":
            order = graph.tensors[op.inputs[1]].data
            if order is None:
                return None
            axis = [int(old) % len(shape) for old in order.reshape(-1)].index(axis)
        elif op.kind in _SAME_ORDER:
            # The axis stays if as many elements lie behind one step along it.
            behind = prod(shape[axis + 1 :])
            fits = [i for i, size in enumerate(after) if size == labels and prod(after[i + 1 :]) == behind]
            if not fits and labels > 1:
                return None
            axis = fits[-1] if fits else max(len(after) - 1, 0)
        shape = after
    return axis


def _told_apart(graph: Graph, op: Op) -> int:
    """How many classes ARG_MAX chooses from."""
    scores, axis = graph.tensors[op.inputs[0]], graph.tensors[op.inputs[1]].data
    if axis is None or not scores.shape:
        return scores.elements
    return scores.shape[int(axis.reshape(-1)[0]) % len(scores.shape)]


def _copied(graph: Graph, tensor: Tensor, kind: Kind) -> int | None:
    if kind in (Kind.SOFTMAX, Kind.LOGITS) or tensor.elements == 1:
        return None
    shapes = [_bare(graph.tensors[index].shape) for index in graph.inputs]
    return shapes.index(_bare(tensor.shape)) if shapes.count(_bare(tensor.shape)) == 1 else None


def _bare(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)
