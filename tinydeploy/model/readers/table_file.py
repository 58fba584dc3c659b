"""A table with a header, CSV or Parquet, as samples: columns of features, `label`, perhaps `group`.

A row that holds as many features as the model takes is a sample; a model that takes [rows, columns] gets
windows of rows.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tinydeploy.errors import DataError, UsageError
from tinydeploy.model.graph import Tensor
from tinydeploy.model.preparation import Preparation
from tinydeploy.model.readers.loaded import LIMIT_BYTES, Array, Loaded, check_room

CSV, PARQUET = (".csv", ".tsv"), (".parquet", ".pq")
_MOST_COLUMNS = 10_000
_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}


def read(file: Path, tensor: Tensor, wish: Preparation) -> Loaded:
    """X float32 [n, columns] or [n, window, columns], y of the column `label`, group of `group`.

    The window is the model's, the stride `wish`'s, or else a window. Windows lie within one group, and one
    class, in the rows' order; one of labels that are fractions has its last row's. Values are scaled by
    `wish`. Raises DataError and UsageError.
    """
    columns, how = _parquet(file) if file.suffix.lower() in PARQUET else _csv(file)
    for name in (wish.label, wish.group):
        if name not in columns and name not in ("label", "group"):
            raise DataError(f"{file} has no column '{name}'", f"it has {_listed(columns)}")
    kept = (wish.label, wish.group)
    features = wish.features or tuple(name for name in columns if name not in kept)
    for name in features:
        if name not in columns:
            raise DataError(f"{file} has no column '{name}'", f"it has {_listed(columns)}")
    if not features:
        raise DataError(f"{file} has no columns but label and group")
    values = np.stack([_numbers(file, name, columns[name]) for name in features], axis=1)
    y = _labels(file, wish.label, columns[wish.label]) if wish.label in columns else None
    group = np.asarray(columns[wish.group], str) if wish.group in columns else None
    scaled: Array = wish.applied(str(file), values)
    window, stride = _window(file, tensor, len(features), wish)
    rows = len(values)
    told = f"{rows:,} rows of {len(features)} columns ({how}: {_listed(features)})"
    if window:
        starts, dropped = _starts(file, rows, window, stride, y, group)
        check_room(str(file), len(starts), (window, len(features)))
        scaled = np.stack([scaled[start : start + window] for start in starts])
        y = None if y is None else y[starts + window - 1]
        group = None if group is None else group[starts]
        told += f", in windows of {window} rows every {stride}"
        told += f", without {dropped:,} that would lie in two groups or classes" if dropped else ""
    told += f", each {wish.formula}" if wish.mean or wish.scale else ", as they are"
    told += "" if y is not None else f"; there is no column '{wish.label}', so no labels"
    found = {"x": scaled.reshape(len(scaled), *tensor.shape[1:])}
    found |= {name: array for name, array in (("y", y), ("group", group)) if array is not None}
    done = replace(wish, features=tuple(features), window=window, stride=stride if window else 0)
    return Loaded(found, told, done)


def _window(file: Path, tensor: Tensor, features: int, wish: Preparation) -> tuple[int, int]:
    """Rows a sample, and from one to the next; 0 if a row is a sample. Raises DataError."""
    core = tensor.shape[1:]
    size = int(np.prod(core))
    if size == features and not wish.window:
        return 0, 0
    if size % features == 0 and (len(core) < 2 or core[-1] == features or wish.window):
        window = size // features
        if wish.window and wish.window != window:
            raise UsageError(f"`window` says {wish.window} rows, and the model takes {window} of {features}")
        if window > 1 or len([extent for extent in core if extent != 1]) > 1:
            return window, wish.stride or window
        return 0, 0
    raise DataError(
        f"{file} has {features} columns of features, and the model takes {list(tensor.shape)}",
        '[data] features = ["…", …] in tinydeploy.toml names those that it takes',
    )


def _starts(
    file: Path, rows: int, window: int, stride: int, y: Array | None, group: Array | None
) -> tuple[Array, int]:
    """First rows of all windows, and how many are left out."""
    starts = np.arange(0, rows - window + 1, stride)
    if not len(starts):
        raise DataError(f"{file} has {rows:,} rows, and a window is {window:,}")
    keep = np.ones(len(starts), bool)
    for column in (group, None if y is None or y.dtype.kind == "f" else y):
        if column is not None:
            breaks = np.concatenate([[0], np.cumsum(column[1:] != column[:-1])])
            keep &= breaks[starts] == breaks[starts + window - 1]
    if not keep.any():
        raise DataError(f"{file}: no window of {window:,} rows lies within one group and class")
    return starts[keep], int((~keep).sum())


def _csv(file: Path) -> tuple[dict[str, list[str]], str]:
    try:
        if file.stat().st_size > LIMIT_BYTES:
            raise DataError(f"{file} is larger than {LIMIT_BYTES:,} bytes", "give fewer samples")
        with file.open(newline="", encoding="utf-8-sig") as stream:
            delimiter = max(_DELIMITERS, key=_parts(stream.readline(1 << 20)))
            stream.seek(0)
            rows = csv.reader(stream, delimiter=delimiter, strict=True)
            header = [name.strip() for name in next(filter(None, rows), [])]
            _check_header(file, header)
            columns: list[list[str]] = [[] for _ in header]
            for row in rows:
                if not row:
                    continue
                if len(row) != len(header):
                    raise DataError(
                        f"{file}: line {rows.line_num} has {len(row)} fields, the header has {len(header)}"
                    )
                for column, cell in zip(columns, row, strict=True):
                    column.append(cell.strip())
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is no text in UTF-8", "save it as CSV UTF-8") from error
    except csv.Error as error:
        raise DataError(f"{file} cannot be read as a CSV file: {str(error)[:120]}") from error
    if not columns or not columns[0]:
        raise DataError(f"{file} has a header and no rows" if header else f"{file} is empty")
    return dict(zip(header, columns, strict=True)), f"CSV with {_DELIMITERS[delimiter]}"


def _parts(line: str) -> Callable[[str], int]:
    """In how many names a delimiter parts a line, where quotes may hold some of it."""
    return lambda delimiter: len(next(csv.reader([line], delimiter=delimiter), []))


def _check_header(file: Path, header: list[str]) -> None:
    if len(header) > _MOST_COLUMNS:
        raise DataError(f"{file} has {len(header):,} columns: too many")
    if header and all(_is_number(name) for name in header):
        raise DataError(f"{file} has no header: its first line holds numbers", "name the columns there")
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{file} has two columns '{twice}'")


def _parquet(file: Path) -> tuple[dict[str, list[Any]], str]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError(
            f"{file}: reading Parquet needs pyarrow, which is not installed",
            "pip install 'tinydeploy[parquet]', or save it as CSV",
        ) from error
    try:
        table = parquet.read_table(file)
        columns = {name: table[name].to_pylist() for name in table.column_names}
    except Exception as error:  # whatever a damaged file makes pyarrow raise
        raise DataError(f"{file} cannot be read as Parquet: {str(error)[:120]}") from error
    if not columns or not next(iter(columns.values())):
        raise DataError(f"{file} has no rows")
    return columns, "Parquet"


def _numbers(file: Path, name: str, cells: list[Any]) -> Array:
    try:
        found = np.asarray(cells, np.float64)
        if np.isfinite(found).all():
            return found
    except (ValueError, TypeError):
        pass
    row, cell = next((i, cell) for i, cell in enumerate(cells) if not _is_number(cell))
    held = f"holds '{str(cell)[:40]}'" if cell not in ("", None) else "is empty"
    hint = "fill or drop such rows, or leave the column out by [data] features"
    if isinstance(cell, str) and _is_number(cell.replace(",", ".", 1)):
        hint = "numbers are written with a point, and nothing between thousands: 1234.5"
    raise DataError(
        f"{file}: column '{name}' {held} in row {row + 1:,}, and features are finite numbers", hint
    )


def _is_number(cell: Any) -> bool:
    try:
        return bool(np.isfinite(float(cell)))
    except (ValueError, TypeError):
        return False


def _labels(file: Path, name: str, cells: list[Any]) -> Array:
    """Whole numbers, else fractions, else names. Raises DataError if one is missing."""
    if (empty := next((row for row, cell in enumerate(cells) if cell in ("", None)), None)) is not None:
        raise DataError(f"{file}: column '{name}' is empty in row {empty + 1:,}", "fill or drop such rows")
    kinds = (np.float64,) if isinstance(cells[0], float) else (np.int64, np.float64)
    for kind in kinds:
        try:
            return np.asarray(cells, kind)
        except (ValueError, TypeError, OverflowError):
            continue
    return np.asarray(cells, str)


def _listed(names: Mapping[str, Any] | tuple[str, ...]) -> str:
    shown = [
        "".join(c if c.isprintable() else "\ufffd" for c in name[:40]) for name in itertools.islice(names, 8)
    ]
    return ", ".join(shown) + (f" and {len(names) - 8:,} more" if len(names) > 8 else "")
