"""A random model under construction, and the tensors that its ops read and make."""

from __future__ import annotations

import math
from collections.abc import Callable
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


class NotPossible(Exception):  # noqa: N818, it is no error
    """The op cannot follow what is there: another is drawn."""


# Element-wise


def second_operand(m: Maker, a: Value) -> Value:
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


def drawn_positions(m: Maker, shape: tuple[int, ...], extent: int) -> int:
    """Positions below `extent`, in a constant or a new input."""
    if m.random.random() < 0.5:
        return m.input(Value(-1, shape, "int32", None)).index
    drawn = [m.random.randrange(extent) for _ in range(math.prod(shape))]
    return m.model.tensor(shape, "int32", data=np.array(drawn).reshape(shape))
