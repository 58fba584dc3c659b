"""Samples that are given as arrays, as a notebook has them."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.errors import DataError
from tinydeploy.model.graph import Graph

Array = npt.NDArray[Any]
Data = str | Path | Mapping[str, npt.ArrayLike] | Sequence[Any]
_FORM = "data={'x': …, 'y': …}, or data=(x, y)"


def names(graph: Graph) -> list[str]:
    """What the arrays of the model's inputs are called."""
    return ["x"] if len(graph.inputs) == 1 else [f"x{i}" for i in range(len(graph.inputs))]


def arrays(data: Any, inputs: Sequence[str]) -> dict[str, Array]:
    """The arrays by name, `inputs` and perhaps y and group: C-ordered, in the machine's byte order.

    `data` maps names to what numpy can make arrays of, or is (x, y), (x, y, group) or (x,), where x is a
    list of arrays if the model has several inputs. Raises DataError for everything else.
    """
    named = dict(data) if isinstance(data, Mapping) else _by_place(data, inputs)
    known = [*inputs, "y", "group"]
    for name in named:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.3)
            hint = f"did you mean '{near[0]}'?" if near else f"the model takes {', '.join(known)}"
            raise DataError(f"the data have an unknown array '{name}'", hint)
    for name in inputs:
        if named.get(name) is None:
            raise DataError(f"the data have no array '{name}'", _FORM if len(inputs) == 1 else "")
    return {name: _array(name, value) for name, value in named.items() if value is not None}


def _by_place(data: Any, inputs: Sequence[str]) -> dict[str, Any]:
    if not isinstance(data, tuple) or not 1 <= len(data) <= 3:
        raise DataError(f"the data are {type(data).__name__} where a path or arrays are wanted", _FORM)
    x, *rest = data
    if len(inputs) == 1:
        named = {inputs[0]: x}
    elif isinstance(x, tuple | list) and len(x) == len(inputs):
        named = dict(zip(inputs, x, strict=True))
    else:
        raise DataError(f"the model has {len(inputs)} inputs", f"x is a list of {len(inputs)} arrays")
    return named | dict(zip(("y", "group"), rest, strict=False))


def _array(name: str, value: Any) -> Array:
    try:
        array = np.asarray(value)
    except Exception as error:  # whatever lists of unequal lengths, or somebody's own arrays, raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:120]
        raise DataError(f"the data's '{name}' is no array: {reason}") from error
    if array.dtype.kind not in "biufSU" or array.ndim == 0:
        what = f"{array.dtype} array" if array.ndim else f"{type(value).__name__}"
        raise DataError(f"the data's '{name}' is a {what} where numbers of many samples are wanted", _FORM)
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False))


def digest(named: Mapping[str, Array]) -> str:
    """SHA-256 over names, types, shapes and values."""
    found = hashlib.sha256()
    for name in sorted(named):
        array = named[name]
        found.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        found.update(array.tobytes())
    return found.hexdigest()
