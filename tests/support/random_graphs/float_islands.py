"""Random islands of float ops between DEQUANTIZE and QUANTIZE."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from random_graphs.maker import Maker, Value, symmetric

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
    """Float behind DEQUANTIZE: movement, functions, slopes, tensors of different scales joined, ARG_MAX."""
    x = m.pick(wide=True, fits=symmetric)
    assert x.scale
    wide = x.dtype == "int16"

    def between(kind: str, inputs: list[int], shape: tuple[int, ...], **options: Any) -> int:
        made = m.model.tensor(shape, "float32")
        m.model.op(kind, inputs, [made], **options)
        return made

    made, shape = between("DEQUANTIZE", [x.index], x.shape), x.shape
    scale = float(np.float32(x.scale * m.random.uniform(0.8, 2)))
    if kind == "DEQUANTIZE, ARG_MAX":
        made = between("NEG", [made], shape) if m.random.random() < 0.5 else made
        axis = m.random.randrange(len(shape))
        output = m.add(shape[:axis] + shape[axis + 1 :], "int32", None)
        m.op("ARG_MAX", [made, m.integers(axis)], [output])
        # Without an op that makes integers, it would be a float model.
        m.model.op("QUANTIZE", [made], [m.add(shape, x.dtype, scale, m.zero_point(x.dtype)).index])
        return
    if len(shape) <= 4 and m.random.random() < 0.3:
        made, reach = _two_in_float(m, x, made, between)
        scale = max(
            scale, float(np.float32(reach / 2**30))
        )  # beyond int32, TFLite Micro's result is undefined
        m.model.op("QUANTIZE", [made], [m.add(shape, x.dtype, scale, m.zero_point(x.dtype)).index])
        return
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
    m.model.op("QUANTIZE", [made], [m.add(shape, x.dtype, scale, m.zero_point(x.dtype)).index])


def _two_in_float(m: Maker, x: Value, made: int, between: Callable[..., int]) -> tuple[int, float]:
    """An op of `made`, `x` in float, and another such tensor or constants: the result, and its reach."""
    kind = m.random.choice(("ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "PRELU"))
    shape = tuple(extent if m.random.random() < 0.7 else 1 for extent in x.shape)
    assert x.scale
    codes = 256 if x.dtype == "int8" else 65536
    second = 2.0
    if kind not in ("DIV", "PRELU") and m.random.random() < 0.5:
        scale, zero_point = m.scale(x.scale), m.zero_point(x.dtype)
        second = codes * scale
        y = m.input(Value(-1, shape, x.dtype, scale, zero_point))
        other = between("DEQUANTIZE", [y.index], shape)
    else:
        data = np.array([m.random.uniform(0.2, 2) for _ in range(math.prod(shape))]).reshape(shape)
        other = m.model.tensor(shape, "float32", data=data)
    reach = codes * x.scale + second
    return between(kind, [made, other], x.shape), max(reach * reach, 5 * reach)
