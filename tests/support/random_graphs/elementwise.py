"""Random ops element by element: arithmetic, comparisons, functions of one value."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from random_graphs.maker import Maker, NotPossible, Value, second_operand, symmetric


def elementwise(m: Maker, kind: str) -> None:
    a = m.pick(wide=True, fits=symmetric)
    b = second_operand(m, a)
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
    slopes = second_operand(m, replace(x, dtype="int8", scale=0.05))
    if np.broadcast_shapes(x.shape, slopes.shape) != x.shape:
        raise NotPossible
    assert x.scale
    m.op(kind, [x.index, slopes.index], [m.add(x.shape, x.dtype, m.scale(x.scale), m.zero_point(x.dtype))])


def comparison(m: Maker, kind: str) -> None:
    types = ("int8", "int8", "int8", "int32", "int64", "bool")
    dtype = m.random.choice(types if kind in ("EQUAL", "NOT_EQUAL") else types[:-1])
    a = m.pick(fits=_compares) if dtype == "int8" else m.typed(dtype)
    b = second_operand(m, a)
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
        b = second_operand(m, a)
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
