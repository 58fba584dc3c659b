"""Constant folding: the ops that are computed when a model is read, in numpy, a small function for each kind.

Arithmetic is that of plain integers, modulo their width; quantised numbers are moved, never computed with.
The file is untrusted: none of these makes anything before its shape is known to be the one that the file
says, or no larger than what it reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.model.graph import DType, Op, Tensor

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

MAX_EXTENTS = 64  # in one tensor that names extents


class UnknownError(ValueError):
    """The op's options are not known here: it stays as it is."""


class ContradictionError(ValueError):
    """The op cannot be: it reaches beyond what it reads, or its inputs do not fit each other."""


@dataclass(frozen=True)
class Call:
    """An op with its tensors; those that it reads are constants."""

    op: Op
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    def array(self, position: int) -> Array:
        """What input `position` holds. Raises ValueError if the op has none."""
        found = self.inputs[position].data if position < len(self.inputs) else None
        if found is None:
            raise ValueError(f"its input {position} is computed at run time, or missing")
        return found

    def arrays(self) -> list[Array]:
        """What all inputs hold."""
        return [self.array(position) for position in range(len(self.inputs))]

    def ints(self, position: int) -> tuple[int, ...]:
        """The values of input `position`, which names axes, extents or places."""
        values = self.array(position).reshape(-1)
        if values.dtype.kind != "i" or values.size > MAX_EXTENTS:
            raise ValueError(f"input {position} does not name extents")
        return tuple(values.tolist())

    def option(self, name: str, default: int = 0) -> int:
        """An integer option."""
        value = self.op.options.get(name, default)
        assert isinstance(value, int)
        return value

    def require(self, shape: Shape) -> None:
        """Raises ValueError unless `shape` is what the file says of the first output."""
        if shape != self.outputs[0].shape:
            raise ValueError(f"it makes {list(shape)} where the file says {list(self.outputs[0].shape)}")


Results = Array | tuple[Array, ...]
Folder = Callable[[Call], Results]
FOLDERS: dict[str, Folder] = {}


def folds(*kinds: str) -> Callable[[Folder], Folder]:
    """Registers a function that computes these kinds of ops."""

    def register(folder: Folder) -> Folder:
        FOLDERS.update(dict.fromkeys(kinds, folder))
        return folder

    return register


def positive_axis(axis: int, rank: int) -> int:
    """An axis counted from the front."""
    if not -rank <= axis < rank:
        raise ContradictionError(f"axis {axis} is out of range for {rank} dimensions")
    return axis % rank


def _computable(*arrays: Array) -> None:
    """Leaves an op alone that computes with other numbers than plain integers of one type."""
    if len({array.dtype for array in arrays}) != 1 or arrays[0].dtype.kind != "i" or arrays[0].itemsize < 4:
        raise UnknownError


# Shapes


@folds("SHAPE")
def _shape(call: Call) -> Array:
    wide = call.outputs[0].dtype is DType.INT64
    return np.array(call.inputs[0].shape, np.int64 if wide else np.int32)


@folds("RANK")
def _rank(call: Call) -> Array:
    return np.array(len(call.inputs[0].shape), np.int32)


@folds("BROADCAST_ARGS")
def _broadcast_args(call: Call) -> Array:
    shape = np.broadcast_shapes(call.ints(0), call.ints(1))
    return np.array(shape, call.array(0).dtype)


@folds("RANGE")
def _range(call: Call) -> Array:
    start, limit, delta = (call.array(position) for position in range(3))
    _computable(start, limit, delta)
    # Python's range knows its length without its elements.
    values = range(int(start.item()), int(limit.item()), int(delta.item()))
    call.require((len(values),))
    return np.array(values, start.dtype)


# Arithmetic of plain integers, modulo their width


@folds("CAST")
def _cast(call: Call) -> Array:
    source, target = call.array(0), call.outputs[0].dtype
    if source.dtype.kind not in "ib" or target is DType.FLOAT32:
        raise UnknownError
    call.require(source.shape)
    return source.astype(target.numpy)


def _truncated(a: Array, b: Array) -> Array:
    quotient = np.abs(a) // np.abs(b)
    return np.where((a < 0) != (b < 0), -quotient, quotient).astype(a.dtype)


_BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "ADD": np.add,
    "SUB": np.subtract,
    "MUL": np.multiply,
    "DIV": _truncated,
    "FLOOR_DIV": np.floor_divide,
    "FLOOR_MOD": np.mod,
    "MAXIMUM": np.maximum,
    "MINIMUM": np.minimum,
    "EQUAL": np.equal,
    "NOT_EQUAL": np.not_equal,
    "GREATER": np.greater,
    "GREATER_EQUAL": np.greater_equal,
    "LESS": np.less,
    "LESS_EQUAL": np.less_equal,
}


@folds(*_BINARY)
def _binary(call: Call) -> Array:
    a, b = call.array(0), call.array(1)
    _computable(a, b)
    if call.op.options.get("fused_activation_function", "NONE") != "NONE":
        raise UnknownError
    if call.op.kind in ("DIV", "FLOOR_DIV", "FLOOR_MOD") and not b.all():
        raise ValueError("it divides by zero")
    call.require(np.broadcast_shapes(a.shape, b.shape))
    return _BINARY[call.op.kind](a, b)


_LOGICAL: dict[str, Callable[[Array, Array], Array]] = {
    "LOGICAL_AND": np.logical_and,
    "LOGICAL_OR": np.logical_or,
}


@folds(*_LOGICAL)
def _logical(call: Call) -> Array:
    a, b = call.array(0), call.array(1)
    call.require(np.broadcast_shapes(a.shape, b.shape))
    return _LOGICAL[call.op.kind](a, b)


@folds("LOGICAL_NOT")
def _logical_not(call: Call) -> Array:
    return np.logical_not(call.array(0))


@folds("NEG", "ABS")
def _unary(call: Call) -> Array:
    source = call.array(0)
    _computable(source)
    return np.negative(source) if call.op.kind == "NEG" else np.abs(source)


@folds("SELECT", "SELECT_V2")
def _select(call: Call) -> Array:
    condition, a, b = (call.array(position) for position in range(3))
    if condition.dtype != np.bool_ or a.dtype != b.dtype:
        raise ValueError("its inputs differ in type")
    if call.op.kind == "SELECT" and not condition.shape == a.shape == b.shape:
        raise UnknownError  # the older op broadcasts in another way
    call.require(np.broadcast_shapes(condition.shape, a.shape, b.shape))
    return np.where(condition, a, b)


_REDUCED: dict[str, Callable[..., Any]] = {
    "SUM": np.sum,
    "REDUCE_PROD": np.prod,
    "REDUCE_MAX": np.max,
    "REDUCE_MIN": np.min,
}


@folds(*_REDUCED)
def _reduce(call: Call) -> Array:
    source = call.array(0)
    _computable(source)
    axes = tuple({positive_axis(axis, source.ndim) for axis in call.ints(1)})
    keep = bool(call.option("keep_dims"))
    if not axes or prod(source.shape) == 0:
        raise UnknownError
    extra = {"dtype": source.dtype} if call.op.kind in ("SUM", "REDUCE_PROD") else {}
    return np.asarray(_REDUCED[call.op.kind](source, axis=axes, keepdims=keep, **extra))
