"""Random small models of every op kind that the aot engine has, reproducible from a seed.

    make(seed)              a graph of 1 or of 3 to 8 ops; over consecutive seeds every kind comes first
    make(seed, "CONV_2D")   a graph of this op alone
    layer(seed)             one op, mostly one with weights, of the sizes at which kernels differ
    together(seed, kinds)   one graph with an op of each of these kinds

Among the kinds are "CONV_2D, ADD", two ops that the engine may do as one, and "DEQUANTIZE, QUANTIZE", with
float ops between them. Now and then the weights of a layer are an input of the model.

A scale mostly fits the values that arrive, so that outputs are not all saturated; one in six is arbitrary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np
from model_builder import ModelBuilder

ACTIVATIONS = ("NONE", "NONE", "RELU", "RELU6", "RELU_N1_TO_1")
MAX_ELEMENTS = 1500


@dataclass(frozen=True)
class Value:
    """A tensor of the model: its index, and what it is. `scale` is None for float."""

    index: int
    shape: tuple[int, ...]
    dtype: str = "int8"
    scale: float | None = 0.1
    zero_point: int = 0


class Maker:
    """A model under construction: `values` are what ops may read, `outputs` what none may read."""

    most_channels = 9  # of a convolution's output

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.model = ModelBuilder(f"random graph {seed}")
        self.inputs: list[int] = []
        self.values: list[Value] = []
        self.others: list[Value] = []  # bool, int32 …: for the ops that ask for them
        self.outputs: list[int] = []
        self.used: set[int] = set()

    # Tensors

    def scale(self, around: float) -> float:
        """A scale near `around`, or now and then any."""
        if self.random.random() < 1 / 6:
            return float(np.float32(10 ** self.random.uniform(-5, 1.5)))
        return float(np.float32(around * self.random.uniform(0.4, 2)))

    def zero_point(self, dtype: str = "int8") -> int:
        if dtype == "int16":
            return 0
        return self.random.choice(
            (0, -128, 127, self.random.randint(-128, 127), self.random.randint(-20, 20))
        )

    def shape(self, rank: int | None = None) -> tuple[int, ...]:
        rank = self.random.randint(1, 4) if rank is None else rank
        while True:
            shape = tuple(self.random.choice((1, 2, 3, 4, 5, 7, 8, 11)) for _ in range(rank))
            if math.prod(shape) <= MAX_ELEMENTS:
                return shape

    def add(
        self, shape: tuple[int, ...], dtype: str = "int8", scale: float | None = 0.1, zero_point: int = 0
    ) -> Value:
        """A tensor that an op is about to write."""
        index = self.model.tensor(shape, dtype, scale=scale, zero_point=zero_point)
        value = Value(index, shape, dtype, scale, zero_point)
        if dtype in ("int8", "int16"):
            self.values.append(value)
        else:
            self.others.append(value)
            self.outputs.append(index)
        return value

    def like(self, value: Value, shape: tuple[int, ...]) -> Value:
        """A tensor of the same type and quantisation."""
        return self.add(shape, value.dtype, value.scale, value.zero_point)

    def input(self, value: Value) -> Value:
        """A new input of the model, as `value` but for the index."""
        index = self.model.tensor(value.shape, value.dtype, scale=value.scale, zero_point=value.zero_point)
        self.inputs.append(index)
        return replace(value, index=index)

    def constant(self, value: Value) -> Value:
        """A new constant of random content, as `value` but for the index."""
        index = self.model.tensor(
            value.shape, value.dtype, scale=value.scale, zero_point=value.zero_point, data=self.content(value)
        )
        return replace(value, index=index)

    def content(self, value: Value) -> np.ndarray[Any, Any]:
        if value.dtype == "bool":
            return np.array([self.random.random() < 0.5 for _ in range(math.prod(value.shape))])
        limits = np.iinfo(value.dtype)
        drawn = [self.random.randint(limits.min, limits.max) for _ in range(math.prod(value.shape))]
        return np.array(drawn, value.dtype).reshape(value.shape)

    def integers(self, *values: int) -> int:
        """A constant int32 vector."""
        return self.model.tensor((len(values),), "int32", data=values)

    def pick(
        self, rank: int | None = None, *, wide: bool = False, fits: Callable[[Value], bool] | None = None
    ) -> Value:
        """A tensor to read, no scalar, preferably a late one, or a new input. `wide` allows int16.

        New inputs of int16 have the zero point 0.
        """
        found = [
            value
            for value in self.values
            if value.shape
            and (wide or value.dtype == "int8")
            and rank in (None, len(value.shape))
            and (fits is None or fits(value))
        ]
        if found and self.random.random() < 0.85:
            value = self.random.choice(found[-3:])
        else:
            shape = self.shape(rank)
            dtype = "int16" if wide and self.random.random() < 0.4 else "int8"
            scale = self.scale(0.1 if dtype == "int8" else 4e-4)
            value = self.input(Value(-1, shape, dtype, scale, self.zero_point(dtype)))
            if fits is not None and not fits(value):
                raise NotPossible
        self.used.add(value.index)
        return value

    def typed(self, dtype: str, fits: Callable[[Value], bool] | None = None) -> Value:
        """A tensor without a quantisation: one that an op has made, or a new input."""
        found = [v for v in self.others if v.dtype == dtype and v.shape and (fits is None or fits(v))]
        if found and self.random.random() < 0.7:
            return self.random.choice(found[-3:])
        value = Value(-1, self.shape(), dtype, None)
        if fits is not None and not fits(value):
            raise NotPossible
        return self.input(value)

    def twin(self, value: Value, shape: tuple[int, ...]) -> Value:
        """Another tensor of this quantisation and of `shape`: one that is there, an input or a constant."""
        wanted = replace(value, shape=shape)
        found = [v for v in self.values if replace(v, index=value.index) == wanted]
        kind = self.random.random()
        if found and kind < 0.5:
            chosen = self.random.choice(found)
            self.used.add(chosen.index)
            return chosen
        return self.input(wanted) if kind < 0.8 else self.constant(wanted)

    def op(self, kind: str, inputs: list[int], outputs: list[Value], **options: Any) -> None:
        self.model.op(kind, inputs, [value.index for value in outputs], **options)

    def activation(self) -> str:
        return self.random.choice(ACTIVATIONS)

    def build(self) -> bytes:
        """The model; its outputs are what no op has read, and some of the rest."""
        loose = [v.index for v in self.values if v.index not in self.used or self.random.random() < 0.1]
        return self.model.build(self.inputs, self.outputs + loose)


def symmetric(value: Value) -> bool:
    """Whether ops take the value that want int16 around zero."""
    return value.dtype == "int8" or value.zero_point == 0


def chained(make: Callable[[int], Maker], seed: int, kinds: Sequence[str], count: int) -> bytes:
    """The first possible graph of `count` ops of `kinds` by the makers that `make` gives for a seed."""
    for attempt in range(1000):
        maker = make(seed * 1000 + attempt)
        try:
            for _ in range(count):
                kind = maker.random.choice(kinds)
                KINDS[kind](maker, kind)
        except NotPossible:
            continue
        return maker.build()
    raise AssertionError(f"seed {seed} makes no graph")


class NotPossible(Exception):  # noqa: N818, it is no error
    """The op cannot follow what is there: another is drawn."""


# Element-wise


def _second(m: Maker, a: Value) -> Value:
    """An operand that broadcasts against `a`: less often, `a` is the one that is repeated."""
    if m.random.random() < 0.5:
        shape = a.shape
    else:
        shape = tuple(extent if m.random.random() < 0.5 else 1 for extent in a.shape)
        shape = shape[m.random.randint(0, len(shape)) :] if m.random.random() < 0.4 else shape
        if m.random.random() < 0.2:
            shape = tuple(
                m.random.randint(2, 3) if own == 1 else s for own, s in zip(a.shape, shape, strict=False)
            )
    try:
        if math.prod(np.broadcast_shapes(a.shape, shape)) > MAX_ELEMENTS:
            raise NotPossible
    except ValueError:
        raise NotPossible from None
    scale = m.scale(a.scale) if a.scale else None
    value = Value(-1, shape, a.dtype, scale, m.zero_point(a.dtype) if scale else 0)
    return m.constant(value) if m.random.random() < 0.4 else m.input(value)


def elementwise(m: Maker, kind: str) -> None:
    a = m.pick(wide=True, fits=symmetric)
    b = _second(m, a)
    shape = np.broadcast_shapes(a.shape, b.shape)
    first, second = (a, b) if m.random.random() < 0.5 else (b, a)
    if kind in ("MINIMUM", "MAXIMUM"):
        m.op(kind, [first.index, second.index], [m.like(a, shape)])
        return
    assert a.scale and b.scale
    larger, largest = max(a.scale, b.scale), 100 if a.dtype == "int8" else 25_000
    around = {"MUL": a.scale * b.scale * largest, "SQUARED_DIFFERENCE": larger * larger * largest}
    scale = m.scale(around.get(kind, a.scale + b.scale))
    if kind in ("ADD", "SUB"):
        scale = max(scale, larger * (1e-5 if a.dtype == "int8" else 1e-3))
    output = m.add(shape, a.dtype, scale, m.zero_point(a.dtype))
    options = {} if kind == "SQUARED_DIFFERENCE" else {"fused_activation_function": m.activation()}
    m.op(kind, [first.index, second.index], [output], **options)


def prelu(m: Maker, kind: str) -> None:
    x = m.pick(wide=True, fits=lambda value: len(value.shape) <= 4 and symmetric(value))
    slopes = _second(m, replace(x, dtype="int8", scale=0.05))
    if np.broadcast_shapes(x.shape, slopes.shape) != x.shape:
        raise NotPossible
    assert x.scale
    m.op(kind, [x.index, slopes.index], [m.add(x.shape, x.dtype, m.scale(x.scale), m.zero_point(x.dtype))])


def comparison(m: Maker, kind: str) -> None:
    types = ("int8", "int8", "int8", "int32", "int64", "bool")
    dtype = m.random.choice(types if kind in ("EQUAL", "NOT_EQUAL") else types[:-1])
    a = m.pick(fits=_compares) if dtype == "int8" else m.typed(dtype)
    b = _second(m, a)
    if not _compares(b):
        raise NotPossible
    first, second = (a, b) if m.random.random() < 0.5 else (b, a)
    output = m.add(np.broadcast_shapes(a.shape, b.shape), "bool", None)
    m.op(kind, [first.index, second.index], [output])


def _compares(value: Value) -> bool:
    """TFLite Micro ends the program if it is to compare at a scale of 1 or more."""
    return value.scale is None or value.scale < 1


def logical(m: Maker, kind: str) -> None:
    a = m.typed("bool")
    inputs = [a.index]
    shape = a.shape
    if kind != "LOGICAL_NOT":
        b = _second(m, a)
        inputs.append(b.index)
        shape = np.broadcast_shapes(a.shape, b.shape)
    m.op(kind, inputs, [m.add(shape, "bool", None)])


def cast(m: Maker, kind: str) -> None:
    source = m.random.choice(("bool", "int8", "int16", "int32"))
    target = m.random.choice(("int8", "int16", "int32"))
    if source in ("bool", "int32"):
        x = m.typed(source)
    else:
        x = m.pick(wide=True, fits=lambda value: value.dtype == source)
    output = m.add(x.shape, target, None if target == "int32" else 0.1)
    m.op(kind, [x.index], [output])


# Functions of one element


def activation(m: Maker, kind: str) -> None:
    x = m.pick(wide=kind not in ("ELU", "HARD_SWISH"), fits=symmetric)
    assert x.scale
    scale, zero_point, options = m.scale(x.scale), m.zero_point(x.dtype), {}
    if kind in ("LOGISTIC", "TANH") and x.dtype == "int16":
        if x.scale > 2.6:  # beyond the multiplier's 15 bits
            raise NotPossible
        scale = 1 / 32768
    elif kind in ("LOGISTIC", "TANH"):
        scale, zero_point = (1 / 256, -128) if kind == "LOGISTIC" else (1 / 128, 0)
    elif kind == "LEAKY_RELU":
        options["alpha"] = m.random.choice((0.0, 0.01, 0.3, 1.5))
    elif kind == "ELU":
        scale = max(scale, x.scale / 1e5)  # beyond int32, TFLite Micro's result is undefined
    elif kind == "HARD_SWISH":
        scale = max(scale, x.scale / 100)  # TFLite Micro refuses smaller ones
    m.op(kind, [x.index], [m.add(x.shape, x.dtype, scale, zero_point)], **options)


def softmax(m: Maker, kind: str) -> None:
    x = m.pick(wide=True, fits=symmetric)
    if x.dtype == "int16":
        output = m.add(x.shape, "int16", 1 / 32768)
    elif m.random.random() < 0.2:
        output = m.add(x.shape, "int16", 1 / 65536, -32768)
    else:
        output = m.add(x.shape, "int8", 1 / 256, -128)
    m.op(kind, [x.index], [output], beta=m.random.choice((1.0, 1.0, 0.5, 3.0)))


def quantize(m: Maker, kind: str) -> None:
    pairs = (
        ("float32", "int8"), ("float32", "int16"), ("uint8", "int8"), ("int16", "int16"), ("int16", "int8"),
        ("int8", "int8"), ("int8", "int8"), ("int8", "uint8"), ("int8", "int16"), ("int16", "int32"),
    )  # fmt: skip
    source, target = m.random.choice(pairs)
    if source in ("float32", "uint8"):
        unsigned = source == "uint8"
        x = m.input(
            Value(
                -1,
                m.shape(),
                source,
                m.scale(0.1) if unsigned else None,
                m.random.randint(0, 255) if unsigned else 0,
            )
        )
    else:
        x = m.pick(wide=True, fits=lambda value: value.dtype == source)
    ratio = {"int8": 1.0, "uint8": 1.0, "int16": 1 / 256, "int32": 1e-4}[target]
    ratio *= 256 if source == "int16" else 1
    zero_point = {"int8": m.zero_point(), "uint8": m.random.randint(0, 255), "int16": 0, "int32": 0}[target]
    output = m.add(x.shape, target, m.scale((x.scale or 0.05) * ratio), zero_point)
    m.op(kind, [x.index], [output])


def dequantize(m: Maker, kind: str) -> None:
    x = m.pick(wide=True)
    m.op(kind, [x.index], [m.add(x.shape, "float32", None)])


_FUNCTIONS = (
    "ABS",
    "COS",
    "ELU",
    "EXP",
    "FLOOR",
    "HARD_SWISH",
    "LOG",
    "LOGISTIC",
    "NEG",
    "RELU6",
    "SQRT",
    "TANH",
)
_SMOOTH = ("ABS", "ELU", "LOGISTIC", "TANH")  # what int16 has small tables for


def island(m: Maker, kind: str) -> None:
    """Float between DEQUANTIZE and QUANTIZE: movement, functions, or tensors of different scales joined."""
    x = m.pick(wide=True, fits=symmetric)
    assert x.scale
    wide = x.dtype == "int16"

    def between(kind: str, inputs: list[int], shape: tuple[int, ...], **options: Any) -> int:
        made = m.model.tensor(shape, "float32")
        m.model.op(kind, inputs, [made], **options)
        return made

    made, shape = between("DEQUANTIZE", [x.index], x.shape), x.shape
    for _ in range(m.random.randint(0, 1 if wide else 2)):
        if not wide and m.random.random() < 0.3:
            other = m.random.choice((made, m.model.tensor((), "float32", data=m.random.uniform(0.5, 2))))
            made = between(m.random.choice(("ADD", "MUL", "MAXIMUM")), [made, other], shape)
        else:
            made = between(m.random.choice(_SMOOTH if wide else _FUNCTIONS), [made], shape)
    if m.random.random() < 0.3:
        shape = (*shape[:-2], math.prod(shape[-2:]))
        made = between("RESHAPE", [made, m.integers(*shape)], shape)
    elif not wide and m.random.random() < 0.4:
        y = m.input(Value(-1, shape, "int8", m.scale(x.scale), m.zero_point()))
        second = between("DEQUANTIZE", [y.index], shape)
        shape = (*shape[:-1], 2 * shape[-1])
        made = between("CONCATENATION", [made, second], shape, axis=len(shape) - 1)
    scale = float(np.float32(x.scale * m.random.uniform(0.8, 2)))
    m.model.op("QUANTIZE", [made], [m.add(shape, x.dtype, scale, m.zero_point(x.dtype)).index])


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
    positions = _positions(m, (*x.shape[:batch_dims], *picked), x.shape[axis])
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
    positions = _positions(m, (count,), table.shape[0])
    if not m.inputs:
        raise NotPossible
    m.op(kind, [positions, table.index], [m.like(table, (count, *table.shape[1:]))])


def _positions(m: Maker, shape: tuple[int, ...], extent: int) -> int:
    """Positions below `extent`, in a constant or a new input."""
    if m.random.random() < 0.5:
        return m.input(Value(-1, shape, "int32", None)).index
    drawn = [m.random.randrange(extent) for _ in range(math.prod(shape))]
    return m.model.tensor(shape, "int32", data=np.array(drawn).reshape(shape))


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


# Layers


def _windows(
    m: Maker, x: Value, kernel: tuple[int, int], dilated: bool
) -> tuple[tuple[int, int], dict[str, Any]]:
    """The output's height and width, and the options."""
    padding = m.random.choice(("SAME", "VALID"))
    options: dict[str, Any] = {"padding": padding}
    size = []
    for axis, name in enumerate("hw"):
        stride = m.random.choice((1, 1, 2, 3))
        dilation = m.random.choice((1, 1, 1, 2, 3)) if dilated else 1
        options[f"stride_{name}"] = stride
        if dilated:
            options[f"dilation_{name}_factor"] = dilation
        reach = (kernel[axis] - 1) * dilation
        extent = x.shape[1 + axis] - (reach if padding == "VALID" else 0)
        if extent < 1:
            raise NotPossible
        size.append(math.ceil(extent / stride))
    return (size[0], size[1]), options


def _weights(
    m: Maker, x: Value, shape: tuple[int, ...], axis: int, depth: int, narrow_bias: bool = True
) -> tuple[list[int], float]:
    """Weights and perhaps a bias, and a fitting scale for sums of `depth` products.

    `narrow_bias` says whether that of a 16x8 layer may be int32: TFLite Micro's DEPTHWISE_CONV_2D and
    TRANSPOSE_CONV take every one to be int64.
    """
    assert x.scale
    channels = shape[axis]
    computed = m.random.random() < 0.12  # by something else: an input of the model
    per_channel = not computed and m.random.random() < 0.7
    scales = [10 ** m.random.uniform(-3, -1) for _ in range(channels if per_channel else 1)]
    low, high = m.random.choice(((-127, 127), (-127, 127), (-128, 127), (-3, 3)))
    extremes = m.random.random() < 1 / 8
    drawn = [
        m.random.choice((-128, 127)) if extremes else m.random.randint(low, high)
        for _ in range(math.prod(shape))
    ]
    values = np.array(drawn).reshape(shape)
    if computed:
        weights = m.input(Value(-1, shape, "int8", scales[0])).index
    else:
        zero_point = m.random.choice((0,) * 9 + (m.random.randint(-128, 127),))
        weights = m.model.tensor(shape, scale=scales, zero_point=zero_point, data=values, axis=axis)
    inputs = [x.index, weights]
    if m.random.random() < 0.7:
        wide = x.dtype == "int16"
        usual = (500_000 if wide else 2000) * depth
        limit = m.random.choice((100, usual, usual, usual, usual if wide else 2**31 - 1))
        drawn = [m.random.randint(-limit, limit) for _ in range(channels)]
        bias_scales = [x.scale * scale for scale in scales]
        dtype = "int64" if wide and (not narrow_bias or m.random.random() < 0.7) else "int32"
        inputs.append(m.model.tensor((channels,), dtype, scale=bias_scales, data=drawn))
    elif axis == 0 and m.random.random() < 0.5:  # TFLite Micro crashes on this in DEPTHWISE_CONV_2D
        inputs.append(-1)
    least = x.scale * max(scales) / 100 if x.dtype == "int16" else 0.0  # 64-bit sums shift left by 7 at most
    return inputs, max(m.scale(x.scale * max(scales) * 50 * math.sqrt(depth)), least)


def conv(m: Maker, kind: str) -> None:
    x = m.pick(4, wide=True, fits=symmetric)
    either = (m.random.randint(1, 4), m.random.randint(1, 4))
    kernel = m.random.choice((either, either, either, (1, 1), (3, 3), (3, 3)))
    size, options = _windows(m, x, kernel, dilated=True)
    if kind == "CONV_2D":
        groups = m.random.choice((1, 1, 1, 1, x.shape[3]))
        channels = groups * m.random.randint(1, max(1, m.most_channels // groups))
        shape, axis, depth = (channels, *kernel, x.shape[3] // groups), 0, x.shape[3] // groups
    else:
        options["depth_multiplier"] = m.random.choice((1, 1, 2, 3))
        channels = x.shape[3] * options["depth_multiplier"]
        shape, axis, depth = (1, *kernel, channels), 3, 1
    inputs, scale = _weights(m, x, shape, axis, depth * math.prod(kernel), narrow_bias=axis == 0)
    output = m.add((x.shape[0], *size, channels), x.dtype, scale, m.zero_point(x.dtype))
    m.op(kind, inputs, [output], fused_activation_function=m.activation(), **options)


def residual(m: Maker, kind: str) -> None:
    """A CONV_2D, and what adds or subtracts what it makes."""
    conv(m, "CONV_2D")
    made = m.values[-1]
    assert made.scale
    same = [value for value in m.values[:-1] if (value.shape, value.dtype) == (made.shape, made.dtype)]
    partner = replace(made, scale=m.scale(made.scale), zero_point=m.zero_point(made.dtype))
    other = m.random.choice(same) if same and m.random.random() < 0.7 else m.input(partner)
    assert other.scale
    larger = max(made.scale, other.scale)
    scale = max(m.scale(made.scale + other.scale), larger * (1e-5 if made.dtype == "int8" else 1e-3))
    inputs = [made.index, other.index] if m.random.random() < 0.5 else [other.index, made.index]
    m.used |= {made.index, other.index}
    output = m.add(made.shape, made.dtype, scale, m.zero_point(made.dtype))
    activation = "NONE" if m.random.random() < 0.7 else m.activation()
    m.op(m.random.choice(("ADD", "ADD", "SUB")), inputs, [output], fused_activation_function=activation)


def transpose_conv(m: Maker, kind: str) -> None:
    x = m.pick(4, wide=True, fits=symmetric)
    kernel, size, options = [], [], {"padding": m.random.choice(("SAME", "VALID"))}
    for axis, name in enumerate("hw", start=1):
        stride, extent = m.random.choice((1, 2, 2, 3)), m.random.randint(1, 4)
        options[f"stride_{name}"] = stride
        kernel.append(extent)
        reach = 0 if options["padding"] == "SAME" else max(extent - stride, 0)
        size.append(x.shape[axis] * stride + reach)
    channels = m.random.randint(1, 9)
    shape = (x.shape[0], *size, channels)
    if math.prod(shape) > 3 * MAX_ELEMENTS:
        raise NotPossible
    weights = (channels, *kernel, x.shape[3])
    (source, *rest), scale = _weights(m, x, weights, 0, x.shape[3] * math.prod(kernel), narrow_bias=False)
    if rest[1:] == [-1]:
        rest.pop()
    output = m.add(shape, x.dtype, scale, m.zero_point(x.dtype))
    inputs = [m.integers(*shape), rest[0], source, *rest[1:]]
    m.op(kind, inputs, [output], fused_activation_function=m.activation(), **options)


def batch_matmul(m: Maker, kind: str) -> None:
    a = m.pick(wide=True, fits=lambda value: 2 <= len(value.shape) <= 4 and symmetric(value))
    wide = a.dtype == "int16"
    adj_x, adj_y = m.random.random() < 0.4, m.random.random() < 0.5
    rows, depth = a.shape[:-3:-1] if adj_x else a.shape[-2:]
    columns = m.random.randint(1, 6)
    batches = tuple(extent if m.random.random() < 0.6 else 1 for extent in a.shape[:-2])
    batches = batches[m.random.randint(0, len(batches)) :] if m.random.random() < 0.4 else batches
    if m.random.random() < 0.2:
        batches = tuple(
            m.random.randint(1, 3) if own == 1 else s for own, s in zip(a.shape, batches, strict=False)
        )
    assert a.scale
    zero_point = m.random.choice((0, m.zero_point(a.dtype)))
    matrix = (columns, depth) if adj_y else (depth, columns)
    b = Value(-1, (*batches, *matrix), a.dtype, m.scale(2e-4 if wide else 0.05), zero_point)
    try:
        shape = (*np.broadcast_shapes(a.shape[:-2], batches), rows, columns)
    except ValueError:
        raise NotPossible from None
    if math.prod(shape) > MAX_ELEMENTS:
        raise NotPossible
    b = m.constant(b) if m.random.random() < 0.4 else m.input(b)
    assert b.scale
    scale = m.scale(a.scale * b.scale * (10_000 if wide else 50) * math.sqrt(depth))
    least = a.scale * b.scale / 100 if wide else 0.0  # 64-bit sums shift left by 7 at most
    output = m.add(shape, a.dtype, max(scale, least), m.zero_point(a.dtype))
    m.op(kind, [a.index, b.index], [output], adj_x=adj_x, adj_y=adj_y)


def fully_connected(m: Maker, kind: str) -> None:
    x = m.pick(wide=True, fits=symmetric)
    units = m.random.randint(1, 4 * m.most_channels // 3)
    inputs, scale = _weights(m, x, (units, x.shape[-1]), 0, x.shape[-1])
    keep = len(x.shape) == 2 or m.random.random() < 0.5
    shape = (*x.shape[:-1], units) if keep else (math.prod(x.shape[:-1]), units)
    output = m.add(shape, x.dtype, scale, m.zero_point(x.dtype))
    m.op(kind, inputs, [output], fused_activation_function=m.activation(), keep_num_dims=keep)


def pool(m: Maker, kind: str) -> None:
    x = m.pick(4, wide=True)
    kernel = (m.random.randint(1, 4), m.random.randint(1, 4))
    size, options = _windows(m, x, kernel, dilated=False)
    options |= {"filter_height": kernel[0], "filter_width": kernel[1]}
    output = m.like(x, (x.shape[0], *size, x.shape[3]))
    m.op(kind, [x.index], [output], fused_activation_function=m.activation(), **options)


def lstm(m: Maker, kind: str) -> None:
    x = m.pick(3, wide=True)
    time_major = m.random.random() < 0.3
    batch = x.shape[1] if time_major else x.shape[0]
    units = m.random.randint(1, 7)
    wide = x.dtype == "int16"
    if wide and x.scale and x.scale > 0.9:  # 64-bit sums shift left by 7 at most
        raise NotPossible
    zero_point = 0 if wide else m.random.randint(-20, 20)
    output = m.add((*x.shape[:2], units), x.dtype, m.scale(1 / 32768 if wide else 1 / 128), zero_point)
    inputs = [-1] * 24
    inputs[0] = x.index
    for gate in range(4):
        for first, depth in ((1, x.shape[2]), (5, units)):
            drawn = [[m.random.randint(-127, 127) for _ in range(depth)] for _ in range(units)]
            scale = 10 ** m.random.uniform(-3, -1.5)
            inputs[first + gate] = m.model.tensor((units, depth), scale=scale, data=drawn)
        largest = 1_000_000 if wide else 5000
        bias = [m.random.randint(-largest, largest) for _ in range(units)]
        inputs[12 + gate] = m.model.tensor((units,), "int64" if wide else "int32", scale=1e-4, data=bias)
    inputs[18] = m.model.tensor(
        (batch, units), x.dtype, scale=output.scale, zero_point=output.zero_point, variable=True
    )
    inputs[19] = m.model.tensor((batch, units), "int16", scale=2.0 ** -m.random.randint(9, 13), variable=True)
    options = {"time_major": time_major, "cell_clip": m.random.choice((0.0, 0.0, 10.0, 1.0))}
    m.op(kind, inputs, [output], fused_activation_function="TANH", **options)


def svdf(m: Maker, kind: str) -> None:
    x = m.pick(2)
    (batches, depth), memory, rank, units = x.shape, *(m.random.randint(1, 5) for _ in range(3))
    filters = rank * units
    dtype = m.random.choice(("int8", "int16"))
    zero_point = m.random.randint(-20, 20) if dtype == "int8" else 0
    state_scale = (0.05 if dtype == "int8" else 1e-3) * m.random.uniform(0.5, 2)
    scales = [10 ** m.random.uniform(-3, -1.5), 10 ** m.random.uniform(-4, -2.5)]
    shapes = [(filters, depth), (filters, memory)]
    weights = [
        m.constant(Value(-1, shape, type_, scale, m.random.choice((0, 0, 0, 5))))
        for shape, type_, scale in zip(shapes, ("int8", dtype), scales, strict=True)
    ]
    bias = m.model.tensor(
        (units,), "int32", scale=state_scale * scales[1], data=[m.random.randint(-9999, 9999)] * units
    )
    state = m.model.tensor(
        (batches, filters * memory), dtype, scale=state_scale, zero_point=zero_point, variable=True
    )
    largest = 100 if dtype == "int8" else 2e4
    output = m.add((batches, units), "int8", m.scale(state_scale * scales[1] * largest), m.zero_point())
    inputs = [x.index, weights[0].index, weights[1].index, bias, state]
    m.op(kind, inputs, [output], rank=rank, fused_activation_function=m.random.choice(("NONE", "RELU")))


def variable(m: Maker, kind: str) -> None:
    """What a variable holds takes part in what it is assigned; it may be initialised."""
    x = m.pick(wide=True, fits=symmetric)
    name = {"shared_name": f"state {len(m.used)}"}

    def handle() -> int:
        index = m.model.tensor((), "resource")
        m.model.op("VAR_HANDLE", [], [index], **name)
        return index

    if kind == "CALL_ONCE" or m.random.random() < 0.3:
        with m.model.subgraph() as initialiser:
            m.model.op("ASSIGN_VARIABLE", [handle(), m.constant(x).index], [])
        m.model.op("CALL_ONCE", [], [], init_subgraph_index=initialiser)
    before = m.like(x, x.shape)
    one = handle()
    m.op("READ_VARIABLE", [one], [before])
    m.used.add(before.index)
    after = m.like(x, x.shape)
    if m.random.random() < 0.5:
        m.op("MAXIMUM", [x.index, before.index], [after])
    else:
        m.op("ADD", [x.index, before.index], [after])
    m.model.op("ASSIGN_VARIABLE", [one if m.random.random() < 0.5 else handle(), after.index], [])
    if m.random.random() < 0.3:
        m.op("READ_VARIABLE", [one], [m.like(x, x.shape)])


KINDS: dict[str, Callable[[Maker, str], None]] = {
    **dict.fromkeys(("ADD", "SUB", "MUL", "MINIMUM", "MAXIMUM", "SQUARED_DIFFERENCE"), elementwise),
    "PRELU": prelu,
    **dict.fromkeys(("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"), comparison),
    **dict.fromkeys(("LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT"), logical),
    **dict.fromkeys(("RELU", "RELU6", "LEAKY_RELU", "LOGISTIC", "TANH", "HARD_SWISH"), activation),
    **dict.fromkeys(("ABS", "ELU"), activation),
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), reshape),
    **dict.fromkeys(("PAD", "PADV2"), pad),
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), conv),
    "CONV_2D, ADD": residual,
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), pool),
    "FULLY_CONNECTED": fully_connected,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": lstm,
    "SVDF": svdf,
    **dict.fromkeys(("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE"), variable),
    "SOFTMAX": softmax,
    "QUANTIZE": quantize,
    "DEQUANTIZE": dequantize,
    "DEQUANTIZE, QUANTIZE": island,
    "CONCATENATION": concatenation,
    "PACK": pack,
    "UNPACK": unpack,
    "SPLIT": split,
    "STRIDED_SLICE": strided_slice,
    "TRANSPOSE": transpose,
    **dict.fromkeys(("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"), resize),
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"), reduction),
    **dict.fromkeys(("ARG_MAX", "ARG_MIN"), arg_max),
    **dict.fromkeys(("SPACE_TO_DEPTH", "DEPTH_TO_SPACE"), blocks),
    **dict.fromkeys(("SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"), batches),
    "L2_NORMALIZATION": l2_normalization,
    "CAST": cast,
    "SPLIT_V": split_v,
    "SLICE": slices,
    "REVERSE_V2": reverse,
    "BROADCAST_TO": broadcast_to,
    "MIRROR_PAD": mirror_pad,
    "GATHER": gather,
    "EMBEDDING_LOOKUP": embedding_lookup,
    "TRANSPOSE_CONV": transpose_conv,
    "BATCH_MATMUL": batch_matmul,
}


LAYERS = [*KINDS, *(("CONV_2D", "CONV_2D, ADD", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD") * 6)]


class LayerMaker(Maker):
    """Makes what kernels for particular cores take: images of one batch, channels by fours and eights."""

    most_channels = 20

    def shape(self, rank: int | None = None) -> tuple[int, ...]:
        if rank != 4 or self.random.random() < 0.3:
            return super().shape(rank)
        while True:
            height, width = self.random.randint(1, 12), self.random.randint(1, 12)
            shape = (1, height, width, self.random.choice((1, 3, 4, 8, 8, 12, 16, 16, 24, 32, 40)))
            if math.prod(shape) <= MAX_ELEMENTS:
                return shape


def layer(seed: int) -> bytes:
    """The random layer of this seed: a .tflite file of one op."""
    return make(seed, LAYERS[seed % len(LAYERS)], LayerMaker)


def make(seed: int, kind: str | None = None, maker_class: type[Maker] = Maker) -> bytes:
    """The random model of this seed: .tflite bytes."""
    random = Random(seed)
    kinds = list(KINDS)
    ops = 1 if kind is not None or random.random() < 0.4 else random.randint(3, 8)
    for attempt in range(1000):
        maker = maker_class(seed * 1000 + attempt)
        try:
            for position in range(ops):
                chosen = kind or (kinds[seed % len(kinds)] if position == 0 else random.choice(kinds))
                KINDS[chosen](maker, chosen)
        except NotPossible:
            continue
        return maker.build()
    raise AssertionError(f"seed {seed} makes no graph")


def together(seed: int, kinds: Sequence[str]) -> bytes:
    """One model in which each of these kinds of op occurs, in a random order."""
    maker = Maker(seed)
    for kind in maker.random.sample(kinds, len(kinds)):
        while True:
            try:
                KINDS[kind](maker, kind)
                break
            except NotPossible:
                continue
    return maker.build()
