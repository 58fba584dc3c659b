"""The reader of .npz files that nobody vouches for: a zip archive of .npy members.

Of each wanted member the header is judged first (its type, its shape, and its size against LIMIT_BYTES and
against what the archive says); only then its values are read. No other member is opened. The format: NEP 1,
and numpy.lib.format, whose header reader is used.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.errors import DataError
from tinydeploy.model.readers import foreign

Array = npt.NDArray[Any]

LIMIT_BYTES = 1 << 30  # of all arrays that are read from one file
_HEADER_BYTES = 4096  # numpy writes 128 for a plain array
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # those of np.savez and np.savez_compressed
_ENCRYPTED = 0x1
_NAMES_SHOWN = 8
_SAVE = "np.savez(file, x=…, y=…) writes one"


def read(file: Path, required: Iterable[str], optional: Iterable[str] = ()) -> dict[str, Array]:
    """The arrays of these names, C-ordered and in the machine's byte order; those of `optional` if present.

    Numbers, bools and strings are read. Raises DataError for everything else: no file, no .npz file, an array
    that is missing, damaged, encrypted, of Python objects or records, or too large.
    """
    _check_file(file)
    wanted = [*required]
    try:
        with zipfile.ZipFile(file) as archive:
            names = Counter(info.filename for info in archive.infolist())
            _check_names(file, names, wanted)
            wanted += [name for name in optional if f"{name}.npy" in names]
            total, found = 0, {}
            for name in wanted:
                found[name] = member(archive, f"{file}: {name}", f"{name}.npy", LIMIT_BYTES - total)
                total += found[name].nbytes
            return found
    except DataError:
        raise
    except Exception as error:  # whatever a damaged archive makes zipfile and zlib raise
        raise DataError(f"{file} cannot be read as an .npz file: {_reason(error)}", _SAVE) from error


def _reason(error: Exception) -> str:
    first = next(iter(str(error).splitlines()), "")[:120]
    return first if first.isprintable() and first else type(error).__name__


def _check_file(file: Path) -> None:
    try:
        if file.is_dir():
            raise DataError(f"{file} is a folder", f"one .npz file with x and y is wanted; {_SAVE}")
        if not file.exists():
            raise DataError(f"no such data file: {file}")
        if not file.is_file():
            raise DataError(f"{file} is no regular file", _SAVE)
        with file.open("rb") as stream:
            start = stream.read(512)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error
    if start.startswith(b"PK"):
        return
    if not start:
        raise DataError(f"{file} is empty", _SAVE)
    if start.startswith(foreign.LFS_START):
        raise DataError(f"{file} is {foreign.LFS[0]}", foreign.LFS[1])
    if start.startswith(b"\x93NUMPY"):
        raise DataError(f"{file} is a single array", f"np.savez('data.npz', x=np.load('{file.name}'), y=…)")
    if _is_text(start):
        table = f"a = np.genfromtxt('{file.name}', delimiter=',', skip_header=1)"
        split = "np.savez('data.npz', x=a[:, :-1], y=a[:, -1]) if the last column is the label"
        raise DataError(f"{file} is a text file, and an .npz is wanted", f"of a CSV: {table}; {split}")
    raise DataError(f"{file} is no .npz file", _SAVE)


def _is_text(start: bytes) -> bool:
    try:
        text = start.decode("utf-8", "ignore" if len(start) == 512 else "strict")
    except UnicodeDecodeError:
        return False
    return all(char.isprintable() or char.isspace() or char == "\ufeff" for char in text)


def _check_names(file: Path, names: Counter[str], wanted: list[str]) -> None:
    if not any(name.endswith(".npy") for name in names):
        held = _listed(names) or "nothing"
        raise DataError(f"{file} is a zip archive without arrays: it holds {held}", _SAVE)
    arrays = sorted(name.removesuffix(".npy") for name in names if name.endswith(".npy"))
    for name in wanted:
        if f"{name}.npy" not in names:
            inputs = [key for key in wanted if key.startswith("x")]
            given = ", ".join([*(f"{key}={_like(arrays, key, '…')}" for key in inputs), _labels(arrays)])
            raise DataError(
                f"{file} has no array '{name}': it holds {_listed(arrays)}", f"np.savez(file, {given})"
            )
    for name in (*wanted, "y"):
        if names[f"{name}.npy"] > 1:
            raise DataError(f"{file} holds '{name}' {names[f'{name}.npy']} times", _SAVE)


def _labels(arrays: list[str]) -> str:
    return f"y={_like(arrays, 'y', 'labels')}"


def _like(arrays: list[str], key: str, default: str) -> str:
    """The array that seems to be meant by `key`: x_test for x, before x_train."""
    letter = key[0]
    like = [name for name in arrays if name.lower() == letter or name.lower().startswith(f"{letter}_")]
    best = sorted(like, key=lambda name: ("test" not in name.lower(), name))
    return f"a['{best[0]}']" if best and len(key) == 1 and best[0].isprintable() else default


def _listed(names: Iterable[str]) -> str:
    some = ["".join(char if char.isprintable() else "\ufffd" for char in name[:60]) for name in names]
    more = f" and {len(some) - _NAMES_SHOWN:,} more" if len(some) > _NAMES_SHOWN else ""
    return ", ".join(some[:_NAMES_SHOWN]) + more


def member(archive: zipfile.ZipFile, where: str, name: str, room: int) -> Array:
    """The member's array, of at most `room` bytes."""
    info = archive.getinfo(name)
    if info.flag_bits & _ENCRYPTED:
        raise DataError(f"{where} is encrypted", _SAVE)
    if info.compress_type not in _METHODS:
        raise DataError(f"{where} is compressed in a way that numpy does not write", _SAVE)
    try:
        with archive.open(info) as stream:
            head = stream.read(_HEADER_BYTES)
            shape, fortran, dtype, start = _header(where, head)
            size = prod(shape) * dtype.itemsize
            there = info.file_size - start
            if max(size, prod(shape), there) > room:
                claimed = f"{max(size, there):,} bytes" if size < 1 << 62 else "more than any memory holds"
                raise DataError(
                    f"{where} would take {claimed}, and at most {LIMIT_BYTES:,} are read of a file",
                    "give fewer samples",
                )
            if size != there:
                raise DataError(
                    f"{where} is damaged: its header tells of {size:,} bytes, and {there:,} are there"
                )
            content = head[start:] + stream.read()
    except DataError:
        raise
    except Exception as error:  # a wrong checksum, a broken stream, a header that is no Python literal …
        raise DataError(f"{where} cannot be read: {_reason(error)}", _SAVE) from error
    values = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
    return np.ascontiguousarray(values).astype(dtype.newbyteorder("="), copy=False).reshape(shape)


def _header(where: str, head: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    """Shape, whether in Fortran's order, type, and where the values start; of a plain array."""
    stream = io.BytesIO(head)
    if not head.startswith(np.lib.format.MAGIC_PREFIX):
        raise DataError(f"{where} is no array of numpy's format", _SAVE)
    version = np.lib.format.read_magic(stream)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise DataError(f"{where} is of numpy's format {version[0]}.{version[1]}, not of a plain array's")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that Python 2 wrote it
        shape, fortran, dtype = readers[version](stream, max_header_size=_HEADER_BYTES)
    if dtype.hasobject:
        raise DataError(f"{where} holds Python objects", "astype(float), or astype(str) for names")
    if dtype.kind not in "biufSU" or dtype.itemsize == 0:
        raise DataError(f"{where} is {_type_name(dtype)}: numbers, bools or names are wanted")
    if not all(type(size) is int and size >= 0 for size in shape):
        raise DataError(f"{where} is damaged: its header gives the shape {str(shape)[:60]}")
    return shape, fortran, dtype, stream.tell()


def _type_name(dtype: np.dtype[Any]) -> str:
    if dtype.names is not None:
        return "a table of records"
    return str(dtype)[:60] if dtype.itemsize else "of strings without room for a character"
