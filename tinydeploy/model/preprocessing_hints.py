"""Preprocessing hints: the numpy expression that would make data fit a model's input."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.model.affine import dequantize
from tinydeploy.model.graph import DType, Tensor

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

_MAX_RANK = 5  # of arrays whose axes are tried in every order
_EXCESS = 0.02  # so much, of its range, may values lie outside of what an input can hold
_PIXEL = 255


def accepted_shapes(shape: Shape) -> list[Shape]:
    """The shapes that a sample may have: the input's, without a leading or a trailing 1 if one likes."""
    accepted = [shape]
    if shape[:1] == (1,):
        accepted.append(shape[1:])
    return accepted + [short[:-1] for short in accepted if short[-1:] == (1,)]


def fits(given: Shape, shape: Shape) -> bool:
    """Whether an array of shape `given` holds samples for an input of this shape."""
    return bool(given) and given[1:] in accepted_shapes(shape)


def of_shape(key: str, given: Shape, shape: Shape) -> str:
    """What makes an array `key` of the shape `given` fit; "" if nothing plain does."""
    for expression, made in _rearrangements(key, given, shape):
        if fits(made, shape):
            return expression
    sample = shape[1:] if shape[:1] == (1,) else shape
    if len(given) == len(sample) + 1 > 2 and given[1:-1] == sample[:-1]:
        return f"the model takes {sample[-1]} channels, not {given[-1]}: convert them as in training"
    if len(sample) == 3 and len(given) in (3, 4):
        return f"resize to {sample[0]}×{sample[1]}×{sample[2]} as in training"
    return ""


def _rearrangements(key: str, given: Shape, shape: Shape) -> Iterator[tuple[str, Shape]]:
    """Expressions and the shapes that they make, the plainest first."""
    core = shape[1:] if shape[:1] == (1,) else shape
    yield f"{key}[None]", (1, *given)
    reshaped = f"{key}.reshape({_listed((-1, *core))})"
    if _bare(given[1:]) == _bare(core):
        yield reshaped, (given[0], *core) if given else ()
    if 3 <= len(given) <= _MAX_RANK:
        yield from _transposed(key, given, _channels_last(len(given)))
        alone = (*range(1, len(given)), 0)
        yield f"{key}.transpose({_listed(alone)})[None]", (1, *(given[i] for i in alone))
        yield f"np.moveaxis({key}, -1, 0)", (given[-1], *given[:-1])
        for order in permutations(range(len(given))):
            yield from _transposed(key, given, order)
    whole = len(given) == 1 and given[0] % max(prod(core), 1) == 0  # all samples in a row
    if given and prod(given) * prod(core) and (whole or prod(core) in (prod(given), prod(given[1:]))):
        yield reshaped, (prod(given) // prod(core), *core)


def _bare(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)


def _channels_last(rank: int) -> Shape:
    """The order of axes that makes [n, channels, …] to [n, …, channels]."""
    return (0, *range(2, rank), 1)


def _transposed(key: str, given: Shape, order: Shape) -> Iterator[tuple[str, Shape]]:
    yield f"{key}.transpose({_listed(order)})", tuple(given[i] for i in order)


def _listed(numbers: Shape) -> str:
    return ", ".join(map(str, numbers))


def of_labels(given: Shape, samples: int) -> str:
    """What makes labels of the shape `given` as many as there are samples; "" if nothing plain does."""
    if len(given) == 2 and given[1] == samples:
        return "y[0]" if given[0] == 1 else "y.T"
    if given and samples and prod(given) == samples:
        return "y.reshape(-1)"
    if len(given) == 1 and samples and given[0] % samples == 0 and given[0]:
        return f"y.reshape({samples}, {given[0] // samples}) if each sample has {given[0] // samples}"
    return "x and y belong together, a label for each sample"


def of_type(key: str, values: Array, tensor: Tensor) -> str:
    """What makes values of another type fit."""
    wanted = tensor.dtype.value
    if values.dtype.kind in "SU":
        return f"{key}.astype('float32') if the text holds numbers"
    if tensor.dtype is DType.BOOL or (tensor.quantization is None and tensor.dtype is not DType.FLOAT32):
        return f"{key}.astype('{wanted}')"
    if values.dtype.kind == "b":
        return f"{key}.astype('float32')"
    low, high = int(values.min()), int(values.max())
    if low >= 0 and high <= _PIXEL and high > 1:
        return _pixels(key, tensor)
    floats = f"{key}.astype('float32'), scaled as in training"
    limits = np.iinfo(wanted) if tensor.dtype is not DType.FLOAT32 else None
    codes = limits is not None and limits.min <= low and high <= limits.max
    return floats + (f"; or {key}.astype('{wanted}') if these are the model's codes already" if codes else "")


def _pixels(key: str, tensor: Tensor) -> str:
    """What makes pixels from 0 to 255 fit."""
    floats = f"{key}.astype('float32')"
    if tensor.quantization is None:
        return f"{floats} / 255, or as in training"
    expressions = {
        (0.0, 255.0): f"{floats} / 255",
        (127.5, 127.5): f"{floats} / 127.5 - 1",
        (0.0, 1.0): floats,
    }
    found = pixel_scaling(tensor)
    if found is not None:
        return f"{expressions.get(found, floats)} makes of pixels what the input holds"
    return f"{floats}, scaled as in training{_held(tensor)}"


def pixel_scaling(tensor: Tensor) -> tuple[float, float] | None:
    """The mean and scale by which (pixel - mean) / scale fills a quantised input's range; None if none do."""
    if tensor.quantization is not None:
        for scaling, low, high in (((0.0, 255.0), 0, 1), ((127.5, 127.5), -1, 1), ((0.0, 1.0), 0, 255)):
            if _covers(tensor, low, high):
                return scaling
    return None


def of_range(key: str, given: Array, tensor: Tensor) -> str:
    """What may be wrong with values that hardly touch or that saturate the input."""
    question = f"was it scaled as in training?{_held(tensor)}"
    if given.dtype.kind != "f" or tensor.quantization is None:
        return question
    low, high = float(given.min()), float(given.max())
    pixels = low >= 0 and 1 < high <= _PIXEL
    unit = low >= 0 and high <= 1
    ways = (
        (pixels, f"{key} / 255", 0, 1),
        (pixels, f"{key} / 127.5 - 1", -1, 1),
        (unit, f"{key} * 255", 0, 255),
        (unit, f"{key} * 2 - 1", -1, 1),
        (low >= -1 and high <= 1, f"({key} + 1) / 2", 0, 1),
        (low >= -1 and high <= 1, f"({key} + 1) * 127.5", 0, 255),
    )
    for possible, expression, from_, to in ways:
        if possible and _covers(tensor, from_, to):
            return f"{expression} would fill it{_held(tensor)}"
    return question


def _covers(tensor: Tensor, low: float, high: float) -> bool:
    """Whether the input holds just about the values from `low` to `high`."""
    least, most = _held_range(tensor)
    slack = _EXCESS * (high - low)
    return bool(abs(least - low) <= slack and abs(most - high) <= slack)


def _held_range(tensor: Tensor) -> tuple[float, float]:
    limits = np.iinfo(tensor.dtype.value)
    least, most = dequantize(np.array([limits.min, limits.max]), tensor)
    return float(least), float(most)


def _held(tensor: Tensor) -> str:
    if tensor.quantization is None:
        return ""
    least, most = _held_range(tensor)
    return f" (the input holds {least:.4g} to {most:.4g})"
