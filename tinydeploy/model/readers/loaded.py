"""What a reader of data gives: arrays by name, and in words what was understood of the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.errors import DataError
from tinydeploy.model.preparation import Preparation

Array = npt.NDArray[Any]
Shape = tuple[int, ...]

LIMIT_BYTES = 1 << 30  # of all arrays that are made of one source
MOST_FILES = 1_000_000


@dataclass(frozen=True, eq=False)
class Loaded:
    """`arrays` are x (or x0, x1 …), and y and group where the data have them, each with n rows.

    `what` says in half a line what was read and how. `prepared` is how raw values became the model's input;
    None where the data are taken to be prepared already.
    """

    arrays: Mapping[str, Array]
    what: str
    prepared: Preparation | None = None
    source: str = ""
    file: str = ""


def check_room(where: str, count: int, shape: Shape) -> None:
    """Refuses `count` samples of this shape in float32 that would take more than LIMIT_BYTES."""
    size = 4 * count * int(np.prod(shape, dtype=np.int64))
    if size > LIMIT_BYTES:
        raise DataError(
            f"{where} would take {size:,} bytes, and at most {LIMIT_BYTES:,} are read", "give fewer samples"
        )


def classes_of(root: Path, suffixes: tuple[str, ...], kind: str) -> tuple[list[tuple[Path, str]], int]:
    """The files with these suffixes in subfolders of `root`, with their classes; how many others there are.

    Files in `root` itself have no class: "" for all. Raises DataError for no files, or some with a class and
    some without.
    """
    found: list[tuple[Path, str]] = []
    others = 0
    try:
        for path in sorted(root.rglob("*")):
            parts = path.relative_to(root).parts
            if path.is_dir() or any(part.startswith(".") for part in parts):
                continue
            if path.suffix.lower() not in suffixes or not path.is_file():
                others += 1
                continue
            found.append((path, parts[0] if len(parts) > 1 else ""))
            if len(found) > MOST_FILES:
                raise DataError(f"{root} holds more than {MOST_FILES:,} {kind}", "give fewer samples")
    except OSError as error:
        raise DataError(f"{root} cannot be read: {error.strerror or error}") from error
    if not found:
        raise DataError(f"{root} holds no {kind}", f"one subfolder a class, with {', '.join(suffixes)}")
    classes = {name for _, name in found}
    if "" in classes and len(classes) > 1:
        loose = next(path for path, name in found if not name)
        raise DataError(
            f"{root} holds {kind} in subfolders and beside them: {loose.name}", "one subfolder a class"
        )
    return found, others


def labels_of(names: list[str]) -> Array | None:
    """The labels of names of classes: numbers if all are; None if there are no classes."""
    if not names or names[0] == "":
        return None
    if all(name.isdecimal() and len(name) < 10 for name in names):
        return np.array([int(name) for name in names], np.int64)
    return np.array(names)


def in_classes(names: list[str]) -> tuple[dict[str, Array], str]:
    """The array y of the names of classes, none if there are no classes, and how that is told."""
    y = labels_of(names)
    if y is None:
        return {}, "without classes"
    return {"y": y}, f"in {len({*names})} subfolders, each a class"


def left_out(others: int, kind: str) -> str:
    """What is said of files that were not read."""
    return f"; {others:,} files that are no {kind} are left out" if others else ""
