"""Access to the tables and vectors of a .tflite file, which is untrusted.

The schema package reads fields without verifying offsets, so every table's vtable is checked first, every
vector is read through numpy (which checks its bounds), and what is decoded may not be larger than the file
itself, which bounds time and memory even if parts of the file overlap.
Layout: https://flatbuffers.dev/internals/ and tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.errors import ModelError

DAMAGED_HINT = "the file is damaged or was cut short; convert or download it again"


class File:
    """The bytes of a file, and how many may still be decoded. Errors of struct and numpy are the caller's."""

    def __init__(self, data: bytes, path: str) -> None:
        self.data = data
        self.path = path
        self.budget = len(data)

    def error(self, message: str, hint: str = DAMAGED_HINT) -> ModelError:
        """The error that says so of this file, to be raised."""
        return ModelError(f"{self.path}: {message}", hint)

    def spend(self, bytes_read: int) -> None:
        """Counts what is decoded. Raises ModelError if it is more than the file has."""
        self.budget -= bytes_read
        if self.budget < 0:
            raise self.error("parts of the file overlap")

    def table(self, table: Any) -> Any:
        """`table`, after checking that it and its vtable lie inside the file."""
        if table is None:
            raise self.error("a required part is missing")
        position: int = table._tab.Pos
        (to_vtable,) = struct.unpack_from("<i", self.data, position)
        vtable = position - to_vtable
        if vtable < 0:
            raise self.error("an offset points outside the file")
        vtable_bytes, table_bytes = struct.unpack_from("<HH", self.data, vtable)
        end = max(vtable + vtable_bytes, position + table_bytes)
        if vtable_bytes < 4 or end > len(self.data):
            raise self.error("an offset points outside the file")
        return table

    def tables(self, length: int, item: Callable[[int], Any]) -> Iterator[Any]:
        """The tables of a vector. One takes 8 bytes or more with its offset."""
        self.spend(8 * length)
        return (self.table(item(i)) for i in range(length))

    def vector(self, numbers: Any) -> npt.NDArray[Any]:
        """A vector of numbers as numpy gives it; the accessors return 0 for an absent one."""
        if not isinstance(numbers, np.ndarray):
            return np.zeros(0, np.int32)
        self.spend(numbers.nbytes)
        return numbers

    def text(self, raw: bytes | None) -> str:
        """A name as one harmless line."""
        self.spend(len(raw or b""))
        return printable(raw)


def printable(raw: bytes | None, limit: int = 120) -> str:
    """A name from the file as one harmless line."""
    text = (raw or b"")[: 4 * limit].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)[:limit]
