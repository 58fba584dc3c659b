"""Data that a Python file makes: its function `load`, run in a process of its own.

Only whoever types a command names such a file: a tinydeploy.toml, which may have come with a model, does not.
This module as `python -m tinydeploy.evaluate.python_data` is that process.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tinydeploy.errors import DataError, UsageError
from tinydeploy.host.interpreter import Archive, Child, serve
from tinydeploy.model.readers.loaded import Loaded

FUNCTION = "load"
_TIMEOUT = 3600.0  # seconds: it may download, or train
_NAMES = ("x", "y", "group")


def is_python(named: str) -> bool:
    """Whether data are named as a Python file, or as one and its function: data.py, data.py:load."""
    return _parted(named)[0].endswith(".py")


def file(named: str) -> str:
    """The Python file of such a name; another name as it is."""
    return _parted(named)[0]


def load(named: str) -> Loaded:
    """The arrays that the function returns: (x, y), (x, y, group), or arrays by name.

    Raises UsageError without such a file, and DataError if the function fails.
    """
    path, function = _parted(named)
    try:
        is_there = Path(path).is_file()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error
    if not is_there:
        raise UsageError(f"no such file: {path}", "data as a Python file: data.py, or data.py:load")
    child = Child(__name__)
    try:
        child.forget()
        child.ask({"path": np.array(str(Path(path).resolve())), "function": np.array(function)})
        answer = child.answer(_TIMEOUT)
        reason = child.reason()
    finally:
        child.close()
    if answer is None:
        raise DataError(f"{path}: {function}() failed: {reason}")
    return Loaded(answer, f"{', '.join(answer)} by {function}() of {path}")


def _parted(named: str) -> tuple[str, str]:
    path, _, function = named.rpartition(":")
    return (path, function) if path.endswith(".py") and function.isidentifier() else (named, FUNCTION)


def _reply(question: Archive) -> Archive:
    """The child's side."""
    path, function = str(question["path"]), str(question["function"])
    sys.path.insert(0, str(Path(path).parent))
    found = runpy.run_path(path).get(function)
    if not callable(found):
        raise ValueError(f"there is no function {function}() in it")
    made: Any = found()
    named = dict(made) if isinstance(made, dict) else None
    if named is None:
        if not isinstance(made, tuple | list) or not 1 <= len(made) <= len(_NAMES):
            raise ValueError("it returns neither (x, y) nor arrays by name")
        named = dict(zip(_NAMES, made, strict=False))
    arrays = {str(name): np.asarray(value) for name, value in named.items() if value is not None}
    for name, array in arrays.items():
        if array.dtype.kind not in "biufSU" or array.ndim == 0:
            raise ValueError(f"its '{name}' is no array of numbers or names")
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


if __name__ == "__main__":
    serve(_reply)
