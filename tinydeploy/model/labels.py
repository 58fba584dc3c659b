"""Labels, whatever form they have, as what an output can be judged by; and how they were read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.model.outputs import Shape

Array = npt.NDArray[Any]
_NUMBERS = "class numbers"
_SUM = 0.01  # by so much may the probabilities of a row miss one


class UnfitError(Exception):
    """Labels that an output cannot be judged by: why, in the middle of a sentence, and what fits.

    `wrong` labels would fit, were their values right.
    """

    def __init__(self, reason: str, hint: str = "", *, wrong: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
        self.wrong = wrong


@dataclass(frozen=True, eq=False)
class Labels:
    """What was read.

    `values` are class numbers [n, places] (int64), flags [n, places, labels] (bool), or values [n, elements].
    `names` are those of the classes, if the labels themselves are names. `told` says how they were read.
    """

    values: Array
    told: str
    names: tuple[str, ...] = ()


def class_numbers(y: Array, classes: int, grid: Shape, names: Sequence[str]) -> Labels:
    """Classes by number, by name, one-hot or by probability, for places that form the `grid` (() for one)."""
    shape = _bare(y.shape[1:])
    if y.dtype.kind in "SU":
        if shape != grid:
            raise UnfitError(f"y holds names in shape {list(y.shape)}", _wanted(grid))
        return _from_names(y, classes, names)
    _check_finite(y)
    if classes > 1 and shape == (*grid, classes):
        return _from_rows(y.reshape(len(y), -1, classes))
    if shape != grid:
        columns = f" or [n, {', '.join(map(str, (*grid, classes)))}] one-hot"
        raise UnfitError(f"y of shape {list(y.shape)} is no class numbers", _wanted(grid) + columns)
    if (y != np.trunc(y)).any():
        raise UnfitError("y holds fractions, and class numbers are whole", wrong=True)
    if y.size and (y.min() < 0 or y.max() >= classes):
        low, high = _number(y.min()), _number(y.max())
        hint = "y - 1: classes are numbered from 0" if low == "1" and high == str(classes) else ""
        raise UnfitError(
            f"y has labels {low} to {high} for {classes} classes",
            hint or "classes are numbered from 0",
            wrong=True,
        )
    told = _NUMBERS if y.dtype.kind in "iu" else f"{y.dtype}, read as class numbers"
    return Labels(y.reshape(len(y), -1).astype(np.int64), told)


def two_classes(y: Array, grid: Shape, names: Sequence[str], positive: str = "yes") -> Labels:
    """The classes 0 and 1: as such, as bool, as -1 and 1, one-hot, or by name. `positive` is what 1 means."""
    if y.dtype.kind in "biuf" and y.size and _bare(y.shape[1:]) == grid:
        _check_finite(y)
        if y.dtype.kind == "b":
            return Labels(y.reshape(len(y), -1).astype(np.int64), f"bool, True is {positive}")
        if np.isin(y, (-1, 1)).all() and (y == -1).any():
            return Labels((y.reshape(len(y), -1) > 0).astype(np.int64), "-1 and 1, read as 0 and 1")
    read = class_numbers(y, 2, grid, names)
    return replace(read, told=f"0 and 1, 1 is {positive}") if read.told == _NUMBERS else read


def flags(y: Array, labels: int, grid: Shape) -> Labels:
    """Labels of their own, each 0 or 1 (of any type), at each place."""
    wanted = _bare((*grid, labels))
    if y.dtype.kind in "SU" or _bare(y.shape[1:]) != wanted:
        shape = ", ".join(map(str, wanted))
        what = "names" if y.dtype.kind in "SU" else "shape " + str(list(y.shape))
        raise UnfitError(f"y is no {labels} labels of their own: {what}", f"y as [n, {shape}] of 0 and 1")
    _check_finite(y)
    if not np.isin(y, (0, 1)).all():
        raise UnfitError("y holds other values than 0 and 1")
    return Labels(y.reshape(len(y), -1, labels) != 0, f"{labels} labels of 0 and 1")


def wanted_values(y: Array, shape: Shape, limits: tuple[float, float] | None) -> Labels:
    """The values that an output of this shape should have, within `limits` if there are any."""
    if y.dtype.kind in "SU":
        raise UnfitError(f"y is {y.dtype}: values are numbers")
    if _bare(y.shape[1:]) != _bare(shape):
        wanted = f"no values for an output of shape {list(shape)}"
        raise UnfitError(f"y ({y.dtype} of shape {list(y.shape)}) holds {wanted}")
    _check_finite(y)
    if limits and y.size and (y.min() < limits[0] or y.max() > limits[1]):
        raise UnfitError(
            f"y lies between {_number(y.min())} and {_number(y.max())}, and the output between "
            f"{limits[0]:g} and {limits[1]:g}",
            wrong=True,
        )
    return Labels(y.reshape(len(y), -1).astype(np.float64), "values that the output should have")


def _from_names(y: Array, classes: int, names: Sequence[str]) -> Labels:
    given = y.astype(np.str_) if y.dtype.kind == "U" else np.char.decode(y, "utf-8", "replace")
    held = sorted(set(given.reshape(-1).tolist()))
    if names:
        missing = [name for name in held if name not in names]
        if missing:
            raise UnfitError(f"y has the label '{missing[0][:40]}', which `labels` does not name", wrong=True)
        order, told = list(names), "names, numbered as `labels` has them"
    elif len(held) == classes:
        order, told = (
            held,
            f"names, numbered by alphabet ({', '.join(held[:4])}{' …' if classes > 4 else ''})",
        )
    else:
        raise UnfitError(
            f"y has {len(held)} different names for {classes} classes",
            "`labels` in tinydeploy.toml names the classes in the model's order",
            wrong=True,
        )
    number = {name: index for index, name in enumerate(order)}
    numbers = np.array([number[name] for name in given.reshape(-1).tolist()], np.int64)
    return Labels(numbers.reshape(len(y), -1), told, tuple(order))


def _from_rows(rows: Array) -> Labels:
    """The class of each row [n, places, classes] that is one-hot, or probabilities with one largest."""
    classes = rows.shape[2]
    largest = rows.max(axis=2, keepdims=True)
    numbers = rows.argmax(axis=2).astype(np.int64)
    if (((rows == 0) | (rows == 1)).all(axis=2) & ((rows != 0).sum(axis=2) == 1)).all():
        return Labels(numbers, f"one-hot of {classes} classes, read as class numbers")
    sums = rows.sum(axis=2, dtype=np.float64)
    if (rows.min() >= 0 and (np.abs(sums - 1) <= _SUM).all()) and ((rows == largest).sum(axis=2) == 1).all():
        return Labels(numbers, f"probabilities of {classes} classes, of which the largest is taken")
    raise UnfitError(f"the rows of {classes} in y are neither one-hot nor probabilities with one largest")


def _check_finite(y: Array) -> None:
    if not np.isfinite(y).all():
        raise UnfitError("y holds NaN or infinite values", wrong=True)


def _wanted(grid: Shape) -> str:
    return f"class numbers go as y of shape [{', '.join(['n', *map(str, grid)])}]"


def _number(value: Any) -> str:
    return f"{value.item():g}" if value.dtype.kind == "f" else str(value.item())


def _bare(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)
