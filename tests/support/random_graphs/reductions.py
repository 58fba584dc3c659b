"""Random reductions along axes."""

from __future__ import annotations

import math

from random_graphs.maker import Maker


def reduction(m: Maker, kind: str) -> None:
    scaled = kind in ("MEAN", "SUM")
    x = m.pick(wide=scaled)
    assert x.scale
    rank = len(x.shape)
    axes = m.random.sample(range(rank), m.random.randint(1, rank))
    keep = m.random.random() < 0.5
    shape = tuple(1 if i in axes else extent for i, extent in enumerate(x.shape) if keep or i not in axes)
    given = [axis - rank if m.random.random() < 0.3 else axis for axis in axes]
    count = math.prod(x.shape[axis] for axis in axes)
    if scaled:
        zero_point = m.zero_point() if x.dtype == "int8" else 0
        scale = m.scale(x.scale * math.sqrt(count) ** (-1 if kind == "MEAN" else 1))
        output = m.add(shape, x.dtype, scale, zero_point)
    else:
        output = m.like(x, shape)
    m.op(kind, [x.index, m.integers(*given)], [output], keep_dims=keep)


def arg_max(m: Maker, kind: str) -> None:
    x = m.pick()
    axis = m.random.randrange(len(x.shape))
    output = m.add(x.shape[:axis] + x.shape[axis + 1 :], "int32", None)
    given = m.integers(axis - (len(x.shape) if m.random.random() < 0.3 else 0))
    m.op(kind, [x.index, given], [output])


def l2_normalization(m: Maker, kind: str) -> None:
    x = m.pick(fits=lambda value: len(value.shape) <= 4)
    m.op(kind, [x.index], [m.add(x.shape, "int8", 1 / 128, 0)])
