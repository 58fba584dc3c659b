"""Random ops that only move elements."""

from __future__ import annotations

import math
from dataclasses import replace

from random_graphs.maker import MAX_ELEMENTS, Maker, NotPossible, Value, drawn_positions, symmetric

# Movement


def concatenation(m: Maker, kind: str) -> None:
    x = m.pick(wide=True, fits=symmetric)
    axis = m.random.randrange(len(x.shape))
    parts = [x]
    for _ in range(m.random.choice((0, 1, 1, 2, 4))):
        shape = list(x.shape)
        shape[axis] = m.random.randint(1, 4)
        parts.append(m.twin(x, tuple(shape)))
    m.random.shuffle(parts)
    shape = list(x.shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    axis -= len(shape) if m.random.random() < 0.3 else 0
    m.op(kind, [part.index for part in parts], [m.like(x, tuple(shape))], axis=axis)


def pack(m: Maker, kind: str) -> None:
    x = m.pick(wide=True)
    parts = [x] + [m.twin(x, x.shape) for _ in range(m.random.randint(0, 3))]
    axis = m.random.randint(0, len(x.shape))
    shape = (*x.shape[:axis], len(parts), *x.shape[axis:])
    axis -= len(shape) if m.random.random() < 0.3 else 0
    m.op(kind, [part.index for part in parts], [m.like(x, shape)], axis=axis, values_count=len(parts))


def unpack(m: Maker, kind: str) -> None:
    x = m.pick(wide=True, fits=lambda value: len(value.shape) > 1)
    axis = m.random.randrange(len(x.shape))
    outputs = [m.like(x, x.shape[:axis] + x.shape[axis + 1 :]) for _ in range(x.shape[axis])]
    m.op(kind, [x.index], outputs, axis=axis, num=x.shape[axis])


def split(m: Maker, kind: str) -> None:
    x = m.pick(wide=True)
    axis = m.random.randrange(len(x.shape))
    parts = m.random.choice([n for n in range(1, x.shape[axis] + 1) if x.shape[axis] % n == 0])
    share = list(x.shape)
    share[axis] //= parts
    position = m.integers(axis - (len(share) if m.random.random() < 0.3 else 0))
    m.op(kind, [position, x.index], [m.like(x, tuple(share)) for _ in range(parts)], num_splits=parts)


def split_v(m: Maker, kind: str) -> None:
    x = m.pick(wide=True)
    axis = m.random.randrange(len(x.shape))
    extent = x.shape[axis]
    cuts = sorted(m.random.sample(range(1, extent), m.random.randint(0, min(3, extent - 1))))
    sizes = [end - start for start, end in zip((0, *cuts), (*cuts, extent), strict=True)]
    shapes = [(*x.shape[:axis], size, *x.shape[axis + 1 :]) for size in sizes]
    if m.random.random() < 0.3:
        sizes[m.random.randrange(len(sizes))] = -1
    position = m.integers(axis - (len(x.shape) if m.random.random() < 0.3 else 0))
    inputs = [x.index, m.integers(*sizes), position]
    m.op(kind, inputs, [m.like(x, shape) for shape in shapes], num_splits=len(shapes))


def slices(m: Maker, kind: str) -> None:
    x = m.pick(wide=True, fits=lambda value: len(value.shape) <= 5)
    begins = [m.random.randrange(extent) for extent in x.shape]
    shape = [m.random.randint(1, extent - begin) for extent, begin in zip(x.shape, begins, strict=True)]
    sizes = list(shape)
    for axis, (extent, begin) in enumerate(zip(x.shape, begins, strict=True)):
        if m.random.random() < 0.2:
            shape[axis], sizes[axis] = extent - begin, -1
    dtype = m.random.choice(("int32", "int64"))
    vectors = [m.model.tensor((len(values),), dtype, data=values) for values in (begins, sizes)]
    m.op(kind, [x.index, *vectors], [m.like(x, tuple(shape))])


def reverse(m: Maker, kind: str) -> None:
    x = m.pick(wide=True)
    axis = m.random.randrange(len(x.shape))
    m.op(kind, [x.index, m.integers(axis)], [m.like(x, x.shape)])


def broadcast_to(m: Maker, kind: str) -> None:
    x = m.pick(wide=True, fits=lambda value: len(value.shape) <= 4)
    front = tuple(m.random.randint(1, 3) for _ in range(m.random.randint(0, 1)))
    shape = front + tuple(m.random.randint(1, 5) if extent == 1 else extent for extent in x.shape)
    if math.prod(shape) > MAX_ELEMENTS:
        raise NotPossible
    m.op(kind, [x.index, m.integers(*shape)], [m.like(x, shape)])


def blocks(m: Maker, kind: str) -> None:
    size = m.random.choice((1, 2, 2, 3))
    batches, height, width, depth = m.random.randint(1, 2), *(m.random.randint(1, 4) for _ in range(3))
    wide, deep = (batches, height * size, width * size, depth), (batches, height, width, depth * size**2)
    source, target = (wide, deep) if kind == "SPACE_TO_DEPTH" else (deep, wide)
    x = m.twin(m.pick(), source)
    m.op(kind, [x.index], [m.like(x, target)], block_size=size)


def batches(m: Maker, kind: str) -> None:
    x = m.pick(m.random.choice((3, 4)))
    block = [m.random.choice((1, 2, 2, 3)) for _ in x.shape[1:-1]]
    count = math.prod(block)
    if kind == "SPACE_TO_BATCH_ND":  # without padding: TFLite Micro's is what its memory happened to hold
        grown = (extent * size for extent, size in zip(x.shape[1:-1], block, strict=True))
        x = m.twin(x, (x.shape[0], *grown, x.shape[-1]))
        edges = [[0, 0] for _ in block]
        space = [extent // size for extent, size in zip(x.shape[1:-1], block, strict=True)]
        shape = (x.shape[0] * count, *space, x.shape[-1])
    else:
        x = m.twin(x, (m.random.randint(1, 2) * count, *x.shape[1:]))
        space = [extent * size for extent, size in zip(x.shape[1:-1], block, strict=True)]
        edges = [[m.random.randint(0, min(2, (n - 1) // 2)) for _ in range(2)] for n in space]
        space = [extent - sum(pair) for extent, pair in zip(space, edges, strict=True)]
        shape = (x.shape[0] // count, *space, x.shape[-1])
    if math.prod(shape) > 3 * MAX_ELEMENTS:
        raise NotPossible
    table = m.model.tensor((len(block), 2), "int32", data=edges)
    m.op(kind, [x.index, m.integers(*block), table], [m.like(x, shape)])


def mirror_pad(m: Maker, kind: str) -> None:
    x = m.pick(fits=lambda value: len(value.shape) <= 3)
    mode = m.random.choice(("REFLECT", "SYMMETRIC"))
    most = [extent - (mode == "REFLECT") for extent in x.shape]
    paddings = [[m.random.randint(0, min(2, limit)) for _ in range(2)] for limit in most]
    shape = tuple(sum(pair) + extent for pair, extent in zip(paddings, x.shape, strict=True))
    if math.prod(shape) > 3 * MAX_ELEMENTS:
        raise NotPossible
    inputs = [x.index, m.model.tensor((len(paddings), 2), "int32", data=paddings)]
    m.op(kind, inputs, [m.like(x, shape)], mode=mode)


def gather(m: Maker, kind: str) -> None:
    x = m.pick()
    axis = m.random.randrange(len(x.shape))
    batch_dims = m.random.choice((0, 0, axis, m.random.randint(0, axis)))
    picked = tuple(m.random.randint(1, 4) for _ in range(m.random.randint(0, 2)))
    positions = drawn_positions(m, (*x.shape[:batch_dims], *picked), x.shape[axis])
    shape = (*x.shape[:axis], *picked, *x.shape[axis + 1 :])
    if math.prod(shape) > 3 * MAX_ELEMENTS:
        raise NotPossible
    options = {
        "axis": axis - (len(x.shape) if m.random.random() < 0.3 else 0),
        "batch_dims": batch_dims - (batch_dims + len(picked) if picked and m.random.random() < 0.3 else 0),
    }
    m.op(kind, [x.index, positions], [m.like(x, shape)], **options)


def embedding_lookup(m: Maker, kind: str) -> None:
    table = Value(
        -1, (m.random.randint(1, 9), *m.shape(m.random.randint(1, 2))), "int8", m.scale(0.1), m.zero_point()
    )
    table = m.constant(table) if m.random.random() < 0.7 else m.input(table)
    count = m.random.randint(1, 5)
    positions = drawn_positions(m, (count,), table.shape[0])
    if not m.inputs:
        raise NotPossible
    m.op(kind, [positions, table.index], [m.like(table, (count, *table.shape[1:]))])


def strided_slice(m: Maker, kind: str) -> None:
    x = m.pick(wide=True, fits=lambda value: len(value.shape) <= 4)
    begins, ends, steps, shape = [], [], [], []
    masks = {"begin_mask": 0, "end_mask": 0, "shrink_axis_mask": 0}
    for axis, extent in enumerate(x.shape):
        begin, end = m.random.randint(-extent - 2, extent + 1), m.random.randint(-extent - 2, extent + 1)
        step = m.random.choice((1, 1, 2, 3, -1, -2))
        masked = [m.random.random() < 0.3 for _ in range(2)]
        shrink = m.random.random() < 0.15
        chosen = range(extent)[slice(None if masked[0] else begin, None if masked[1] else end, step)]
        if shrink:
            begin, end, step, masked = m.random.randrange(extent), 0, 1, [False, False]
        elif len(chosen) == 0:
            masked, step = [True, True], 1
            chosen = range(extent)
        begins.append(begin)
        ends.append(end)
        steps.append(step)
        for name, bit in zip(masks, (*masked, shrink), strict=True):
            masks[name] |= bit << axis
        if not shrink:
            shape.append(len(chosen))
    vectors = [m.integers(*values) for values in (begins, ends, steps)]
    m.op(kind, [x.index, *vectors], [m.like(x, tuple(shape))], **masks)


def pad(m: Maker, kind: str) -> None:
    x = m.pick(wide=True)
    paddings = [(m.random.choice((0, 0, 1, 2)), m.random.choice((0, 0, 1, 3))) for _ in x.shape]
    shape = tuple(before + extent + after for extent, (before, after) in zip(x.shape, paddings, strict=True))
    if math.prod(shape) > 3 * MAX_ELEMENTS:
        raise NotPossible
    inputs = [x.index, m.model.tensor((len(paddings), 2), "int32", data=paddings)]
    if kind == "PADV2":
        inputs.append(m.constant(replace(x, shape=())).index)
    m.op(kind, inputs, [m.like(x, shape)])


def transpose(m: Maker, kind: str) -> None:
    x = m.pick(wide=True, fits=lambda value: len(value.shape) <= 5)
    permutation = m.random.sample(range(len(x.shape)), len(x.shape))
    m.op(kind, [x.index, m.integers(*permutation)], [m.like(x, tuple(x.shape[axis] for axis in permutation))])


def reshape(m: Maker, kind: str) -> None:
    x = m.pick(wide=True)
    if kind == "EXPAND_DIMS":
        axis = m.random.randint(0, len(x.shape))
        output = m.like(x, (*x.shape[:axis], 1, *x.shape[axis:]))
        m.op(kind, [x.index, m.integers(axis)], [output])
    elif kind == "SQUEEZE":
        ones = [axis for axis, extent in enumerate(x.shape) if extent == 1]
        gone = [axis for axis in ones if m.random.random() < 0.7] or ones
        output = m.like(x, tuple(extent for axis, extent in enumerate(x.shape) if axis not in gone))
        m.op(kind, [x.index], [output], squeeze_dims=gone)
    else:
        rest = math.prod(x.shape)
        shape: list[int] = []
        while rest > 1 and len(shape) < 3:
            shape.append(m.random.choice([n for n in range(1, rest + 1) if rest % n == 0]))
            rest //= shape[-1]
        output = m.like(x, (*shape, rest))
        m.op(kind, [x.index, m.integers(*output.shape)], [output], new_shape=list(output.shape))


def resize(m: Maker, kind: str) -> None:
    x = m.pick(4, wide=kind != "RESIZE_BILINEAR")
    size = (m.random.randint(1, 12), m.random.randint(1, 12))
    shape = (x.shape[0], *size, x.shape[3])
    if math.prod(shape) > 3 * MAX_ELEMENTS:
        raise NotPossible
    options = {name: m.random.random() < 0.5 for name in ("align_corners", "half_pixel_centers")}
    if kind == "RESIZE_BILINEAR" and all(options.values()):
        options["align_corners"] = False  # TFLite Micro refuses both
    m.op(kind, [x.index, m.integers(*size)], [m.like(x, shape)], **options)
