"""Constant folding of ops that move elements, in numpy: one small function for each kind."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinydeploy.model.canonicalize.constant_ops import Array, Call, UnknownError, folds, positive_axis
from tinydeploy.model.graph import DType

# Moves


@folds("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def _reshape(call: Call) -> Array:
    return call.array(0).reshape(call.outputs[0].shape)


@folds("TRANSPOSE")
def _transpose(call: Call) -> Array:
    return call.array(0).transpose(call.ints(1))


@folds("REVERSE_V2")
def _reverse(call: Call) -> Array:
    return np.flip(call.array(0), call.ints(1))


def index_of(call: Call) -> tuple[Any, ...]:
    """What STRIDED_SLICE takes of its input, as numpy's index."""
    if call.option("offset"):
        raise UnknownError
    begins, ends, steps = (call.ints(position) for position in (1, 2, 3))
    if not len(begins) == len(ends) == len(steps):
        raise ValueError("its bounds differ in number")

    def masked(name: str, position: int) -> bool:
        return bool(call.option(f"{name}_mask") >> position & 1)

    chosen: list[Any] = []
    for position, bounds in enumerate(zip(begins, ends, steps, strict=True)):
        begin, end, step = bounds
        if masked("ellipsis", position):
            chosen.append(...)
        elif masked("new_axis", position):
            chosen.append(None)
        elif masked("shrink_axis", position):
            chosen.append(0 if masked("begin", position) else begin)
        elif step == 0:
            raise ValueError("a stride is 0")
        else:
            first, last = masked("begin", position), masked("end", position)
            chosen.append(slice(None if first else begin, None if last else end, step))
    return tuple(chosen)


@folds("STRIDED_SLICE")
def _strided_slice(call: Call) -> Array:
    return np.asarray(call.array(0)[index_of(call)])


@folds("SLICE")
def _slice(call: Call) -> Array:
    source, begins, sizes = call.array(0), call.ints(1), call.ints(2)
    bounds = zip(source.shape, begins, sizes, strict=True)
    chosen = [(begin, extent - begin if size == -1 else size, extent) for extent, begin, size in bounds]
    if any(begin < 0 or size < 0 or begin + size > extent for begin, size, extent in chosen):
        raise ValueError("it reaches beyond its input")
    return source[tuple(slice(begin, begin + size) for begin, size, _ in chosen)]


@folds("CONCATENATION")
def _concatenation(call: Call) -> Array:
    quantizations = {tensor.quantization for tensor in (*call.inputs, *call.outputs)}
    if call.op.options.get("fused_activation_function", "NONE") != "NONE" or len(quantizations) > 1:
        raise UnknownError
    sources = call.arrays()
    return np.concatenate(sources, positive_axis(call.option("axis"), sources[0].ndim))


@folds("PACK")
def _pack(call: Call) -> Array:
    sources = call.arrays()
    return np.stack(sources, positive_axis(call.option("axis"), sources[0].ndim + 1))


@folds("UNPACK")
def _unpack(call: Call) -> tuple[Array, ...]:
    source = call.array(0)
    axis = positive_axis(call.option("axis"), source.ndim)
    if source.shape[axis] != len(call.outputs):
        raise ValueError(f"it makes {source.shape[axis]} tensors where the file says {len(call.outputs)}")
    return tuple(np.moveaxis(source, axis, 0))


@folds("SPLIT")
def _split(call: Call) -> tuple[Array, ...]:
    (axis,), source = call.ints(0), call.array(1)
    return tuple(np.split(source, len(call.outputs), positive_axis(axis, source.ndim)))


@folds("SPLIT_V")
def _split_v(call: Call) -> tuple[Array, ...]:
    source, sizes, (axis,) = call.array(0), call.ints(1), call.ints(2)
    extent = source.shape[positive_axis(axis, source.ndim)]
    rest = extent - sum(size for size in sizes if size >= 0)
    shares = [rest if size == -1 else size for size in sizes]
    if min(shares, default=-1) < 0 or sum(shares) != extent:
        raise ValueError(f"{list(sizes)} are no shares of {extent}")
    return tuple(np.split(source, np.cumsum(shares)[:-1], positive_axis(axis, source.ndim)))


@folds("GATHER")
def _gather(call: Call) -> Array:
    source, indices = call.array(0), call.array(1)
    if call.option("batch_dims"):
        raise UnknownError
    axis = positive_axis(call.option("axis"), source.ndim)
    call.require((*source.shape[:axis], *indices.shape, *source.shape[axis + 1 :]))
    if indices.size and not 0 <= indices.min() <= indices.max() < source.shape[axis]:
        raise ValueError(f"it picks beyond the {source.shape[axis]} elements")
    return source.take(indices, axis)


@folds("FILL")
def _fill(call: Call) -> Array:
    value = call.array(1)
    if call.outputs[0].quantization is not None:
        raise UnknownError  # a state to begin with, which takes less as an op than as a constant
    call.require(call.ints(0))
    return np.broadcast_to(value.reshape(()), call.outputs[0].shape)


@folds("ZEROS_LIKE")
def _zeros_like(call: Call) -> Array:
    (source,), (output,) = call.inputs, call.outputs
    if source.dtype not in (DType.INT32, DType.INT64) or output.dtype is not source.dtype:
        raise UnknownError
    call.require(source.shape)
    return np.zeros(output.shape, output.dtype.numpy)


@folds("BROADCAST_TO")
def _broadcast_to(call: Call) -> Array:
    call.require(call.ints(1))
    return np.broadcast_to(call.array(0), call.outputs[0].shape)


@folds("TILE")
def _tile(call: Call) -> Array:
    source, times = call.array(0), call.ints(1)
    call.require(tuple(extent * n for extent, n in zip(source.shape, times, strict=True)))
    return np.tile(source, times)
