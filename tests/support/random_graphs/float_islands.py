"""Random islands of float ops between DEQUANTIZE and QUANTIZE."""

from __future__ import annotations

import math
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
