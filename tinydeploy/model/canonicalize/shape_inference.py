"""Shape inference: the shapes of what ops make, for tensors whose shape the file leaves open.

A converter writes 1 for each extent that it does not know. For a batch that is what runs; for what a batch
was folded into (the rows of a matrix, the blocks of SPACE_TO_BATCH_ND) it is a stand-in, and the true extent
follows from the inputs. Shapes are as TensorFlow defines them for each op.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np

from tinydeploy.model.canonicalize.constant_moves import index_of
from tinydeploy.model.canonicalize.constant_ops import Call, ContradictionError, Shape, positive_axis
from tinydeploy.model.ops import catalogue
from tinydeploy.model.ops.op_kind import GoesBy

Rule = Callable[[Call], tuple[Shape, ...]]
RULES: dict[str, Rule] = {}


def _of(*kinds: str) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        RULES.update(dict.fromkeys(kinds, rule))
        return rule

    return register


def infer(call: Call) -> tuple[Shape, ...] | None:
    """The outputs' shapes; None if the kind of op is not known here.

    Raises ValueError if they hang on values that are computed at run time, or if the inputs do not fit, which
    is a ContradictionError where TFLite Micro might not notice, and read what is not there.
    """
    rule = RULES.get(call.op.kind) or _BY_PARTS.get(catalogue.of(call.op.kind).goes_by)
    return None if rule is None else rule(call)


@_of("CUMSUM", "REVERSE_V2")
def _same(call: Call) -> tuple[Shape, ...]:
    return (call.inputs[0].shape,)


def _broadcast(call: Call) -> tuple[Shape, ...]:
    shapes = [tensor.shape for tensor in call.inputs]
    try:
        return (np.broadcast_shapes(*shapes),)
    except ValueError as error:
        raise ContradictionError(f"its inputs {', '.join(map(str, shapes))} do not broadcast") from error


# Of kinds that have no rule of their own.
_BY_PARTS: dict[GoesBy, Rule] = {GoesBy.ELEMENT: _broadcast, GoesBy.PIXEL: _same}


@_of("SELECT")
def _select(call: Call) -> tuple[Shape, ...]:
    return (call.inputs[1].shape,)  # its condition may have the first dimension alone


# Layers


def _window(call: Call, extents: tuple[int, ...], channels: int) -> tuple[Shape, ...]:
    batches, *sides, _ = call.inputs[0].shape
    places = []
    for side, extent, initial in zip(sides, extents, "hw", strict=True):
        reach = (extent - 1) * max(1, call.option(f"dilation_{initial}_factor", 1)) + 1
        inside = side if call.op.options["padding"] == "SAME" else side - reach + 1
        places.append(-(-inside // call.option(f"stride_{initial}", 1)))
    return ((batches, *places, channels),)


@_of("CONV_2D", "DEPTHWISE_CONV_2D")
def _convolution(call: Call) -> tuple[Shape, ...]:
    kernel = call.inputs[1].shape
    return _window(call, kernel[1:3], kernel[0 if call.op.kind == "CONV_2D" else 3])


@_of("AVERAGE_POOL_2D", "MAX_POOL_2D")
def _pool(call: Call) -> tuple[Shape, ...]:
    extents = call.option("filter_height"), call.option("filter_width")
    return _window(call, extents, call.inputs[0].shape[3])


@_of("FULLY_CONNECTED")
def _fully_connected(call: Call) -> tuple[Shape, ...]:
    source, (units, depth) = call.inputs[0].shape, call.inputs[1].shape
    if call.option("keep_num_dims"):
        return ((*source[:-1], units),)
    if prod(source) % depth:
        raise ValueError(f"{list(source)} are no rows of {depth}")
    return ((prod(source) // depth, units),)


@_of("BATCH_MATMUL")
def _matmul(call: Call) -> tuple[Shape, ...]:
    a, b = (tensor.shape for tensor in call.inputs[:2])
    rows, columns = a[-1 if call.option("adj_x") else -2], b[-2 if call.option("adj_y") else -1]
    return ((*np.broadcast_shapes(a[:-2], b[:-2]), rows, columns),)


@_of("UNIDIRECTIONAL_SEQUENCE_LSTM")
def _lstm(call: Call) -> tuple[Shape, ...]:
    return ((*call.inputs[0].shape[:2], call.outputs[0].shape[-1]),)


@_of("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
def _resize(call: Call) -> tuple[Shape, ...]:
    batches, _, _, channels = call.inputs[0].shape
    return ((batches, *call.ints(1), channels),)


@_of("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL")
def _reduce(call: Call) -> tuple[Shape, ...]:
    source = call.inputs[0].shape
    axes = {positive_axis(axis, len(source)) for axis in call.ints(1)}
    kept = [(1 if axis in axes else extent, axis) for axis, extent in enumerate(source)]
    return (tuple(extent for extent, axis in kept if axis not in axes or call.option("keep_dims")),)


@_of("ARG_MAX", "ARG_MIN")
def _arg_max(call: Call) -> tuple[Shape, ...]:
    source, (axis,) = list(call.inputs[0].shape), call.ints(1)
    del source[positive_axis(axis, len(source))]
    return (tuple(source),)


# Shapes that stand in an input


@_of("RESHAPE")
def _reshape(call: Call) -> tuple[Shape, ...]:
    given = call.ints(1) if len(call.inputs) > 1 else call.op.options.get("new_shape", ())
    assert isinstance(given, tuple)
    elements, known = call.inputs[0].elements, prod(extent for extent in given if extent != -1)
    if given.count(-1) == 1 and known > 0:
        given = tuple(elements // known if extent == -1 else extent for extent in given)
    if min(given, default=1) < 0 or prod(given) != elements:
        raise ValueError(f"{elements} elements have no shape {list(given)}")
    return (given,)


@_of("FILL", "TRANSPOSE_CONV")
def _first(call: Call) -> tuple[Shape, ...]:
    return (call.ints(0),)


@_of("BROADCAST_TO")
def _second(call: Call) -> tuple[Shape, ...]:
    return (call.ints(1),)


@_of("TILE")
def _tile(call: Call) -> tuple[Shape, ...]:
    return (tuple(n * m for n, m in zip(call.inputs[0].shape, call.ints(1), strict=True)),)


# Moves


@_of("EXPAND_DIMS")
def _expand(call: Call) -> tuple[Shape, ...]:
    source, (axis,) = call.inputs[0].shape, call.ints(1)
    place = positive_axis(axis, len(source) + 1)
    return ((*source[:place], 1, *source[place:]),)


@_of("SQUEEZE")
def _squeeze(call: Call) -> tuple[Shape, ...]:
    source, dims = call.inputs[0].shape, call.op.options.get("squeeze_dims", ())
    assert isinstance(dims, tuple)
    gone = {positive_axis(axis, len(source)) for axis in dims}
    for axis in gone:
        if source[axis] != 1:
            raise ContradictionError(f"it takes dimension {axis} away, which is {source[axis]}")
    gone = gone or {axis for axis, extent in enumerate(source) if extent == 1}
    return (tuple(extent for axis, extent in enumerate(source) if axis not in gone),)


@_of("TRANSPOSE")
def _transpose(call: Call) -> tuple[Shape, ...]:
    return (tuple(call.inputs[0].shape[axis] for axis in call.ints(1)),)


@_of("PAD", "PADV2", "MIRROR_PAD")
def _pad(call: Call) -> tuple[Shape, ...]:
    paddings = call.ints(1)
    padded = zip(call.inputs[0].shape, paddings[::2], paddings[1::2], strict=True)
    return (tuple(before + extent + after for extent, before, after in padded),)


@_of("CONCATENATION")
def _concatenation(call: Call) -> tuple[Shape, ...]:
    shapes = [tensor.shape for tensor in call.inputs]
    axis = positive_axis(call.option("axis"), len(shapes[0]))
    joined = sum(shape[axis] for shape in shapes)
    return ((*shapes[0][:axis], joined, *shapes[0][axis + 1 :]),)


@_of("PACK")
def _pack(call: Call) -> tuple[Shape, ...]:
    source = call.inputs[0].shape
    axis = positive_axis(call.option("axis"), len(source) + 1)
    return ((*source[:axis], len(call.inputs), *source[axis:]),)


@_of("UNPACK")
def _unpack(call: Call) -> tuple[Shape, ...]:
    source = list(call.inputs[0].shape)
    del source[positive_axis(call.option("axis"), len(source))]
    return (tuple(source),) * len(call.outputs)


@_of("SPLIT")
def _split(call: Call) -> tuple[Shape, ...]:
    (axis,), source = call.ints(0), list(call.inputs[1].shape)
    source[positive_axis(axis, len(source))] //= len(call.outputs)
    return (tuple(source),) * len(call.outputs)


@_of("SPLIT_V")
def _split_v(call: Call) -> tuple[Shape, ...]:
    source, sizes, (axis,) = call.inputs[0].shape, call.ints(1), call.ints(2)
    axis = positive_axis(axis, len(source))
    rest = source[axis] - sum(size for size in sizes if size >= 0)
    return tuple((*source[:axis], rest if n == -1 else n, *source[axis + 1 :]) for n in sizes)


@_of("STRIDED_SLICE")
def _strided_slice(call: Call) -> tuple[Shape, ...]:
    whole = np.broadcast_to(np.int8(0), call.inputs[0].shape)  # one element, whatever the shape
    return (whole[index_of(call)].shape,)


@_of("SLICE")
def _slice(call: Call) -> tuple[Shape, ...]:
    bounds = [*zip(call.inputs[0].shape, call.ints(1), call.ints(2), strict=True)]
    if any(begin < 0 or begin + max(size, 0) > extent for extent, begin, size in bounds):
        raise ContradictionError(f"it begins at {call.ints(1)}, and reaches beyond its input")
    return (tuple(extent - begin if size == -1 else size for extent, begin, size in bounds),)


@_of("GATHER")
def _gather(call: Call) -> tuple[Shape, ...]:
    source, indices = call.inputs[0].shape, call.inputs[1].shape
    axis, shared = positive_axis(call.option("axis"), len(source)), call.option("batch_dims")
    return ((*source[:axis], *indices[shared:], *source[axis + 1 :]),)


@_of("EMBEDDING_LOOKUP")
def _embedding(call: Call) -> tuple[Shape, ...]:
    return ((*call.inputs[0].shape, *call.inputs[1].shape[1:]),)


@_of("SPACE_TO_BATCH_ND")
def _space_to_batch(call: Call) -> tuple[Shape, ...]:
    (batches, *rest), blocks, paddings = call.inputs[0].shape, call.ints(1), call.ints(2)
    padded = [rest[i] + paddings[2 * i] + paddings[2 * i + 1] for i in range(len(blocks))]
    if any(extent % block for extent, block in zip(padded, blocks, strict=True)):
        raise ValueError(f"{padded} are no blocks of {list(blocks)}")
    sides = (extent // block for extent, block in zip(padded, blocks, strict=True))
    return ((batches * prod(blocks), *sides, *rest[len(blocks) :]),)


@_of("BATCH_TO_SPACE_ND")
def _batch_to_space(call: Call) -> tuple[Shape, ...]:
    (batches, *rest), blocks, crops = call.inputs[0].shape, call.ints(1), call.ints(2)
    if batches % prod(blocks):
        raise ValueError(f"{batches} batches are no blocks of {list(blocks)}")
    sides = (rest[i] * blocks[i] - crops[2 * i] - crops[2 * i + 1] for i in range(len(blocks)))
    return ((batches // prod(blocks), *sides, *rest[len(blocks) :]),)


@_of("SPACE_TO_DEPTH", "DEPTH_TO_SPACE")
def _blocks(call: Call) -> tuple[Shape, ...]:
    batches, height, width, channels = call.inputs[0].shape
    block = call.option("block_size")
    if call.op.kind == "SPACE_TO_DEPTH":
        return ((batches, height // block, width // block, channels * block**2),)
    return ((batches, height * block, width * block, channels // block**2),)
