"""Data sets as MLPerf Tiny's runner has them, a y_labels.csv beside the files it names; or made up."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinydeploy.errors import DataError
from tinydeploy.firmware.mlperf_tiny import Benchmark

TRUTH = "y_labels.csv"
MADE_UP = 24  # samples
AT_LEAST = 5  # files: each window of the official runner takes another
_SEED = 20
_MOST_BYTES = 64 << 20  # of a file


@dataclass(frozen=True)
class Entry:
    """A file of a data set, its true class, and its samples: one, or one a window of the file."""

    file: str
    label: int
    samples: tuple[bytes, ...]


@dataclass(frozen=True)
class DataSet:
    """Entries in order. `is_made_up` says that neither samples nor labels mean anything."""

    entries: tuple[Entry, ...]
    is_made_up: bool = False

    @property
    def samples(self) -> list[bytes]:
        """All samples, one entry's after another's."""
        return [sample for entry in self.entries for sample in entry.samples]


def read(folder: Path, benchmark: Benchmark, count: int | None = None) -> DataSet:
    """The first `count` entries (None: all) of a data set, in `folder` or in its folder of the benchmark.

    Each line of y_labels.csv is: file, how many classes, class[, bytes of a window, bytes from one to the
    next]. Raises DataError with the file or line that cannot be used.
    """
    inside = next(
        (folder / name for name in (benchmark.id, benchmark.data_folder) if (folder / name).is_dir()), folder
    )
    truth = inside / TRUTH
    try:
        with truth.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {truth}: {getattr(error, 'strerror', None) or error}") from error
    if not rows:
        raise DataError(f"{truth} names no files")
    return DataSet(
        tuple(_entry(inside, row, benchmark, f"{truth}:{line}") for line, row in enumerate(rows[:count], 1))
    )


def _entry(folder: Path, row: Sequence[str], benchmark: Benchmark, where: str) -> Entry:
    words = [word.strip() for word in row]
    if len(words) < 3 or not words[1].isdecimal() or not words[2].isdecimal():
        raise DataError(f"{where} is not 'file, classes, class'")
    label = int(words[2])
    if label >= benchmark.classes:
        raise DataError(f"{where}: there is no class {label} of {benchmark.classes} in {benchmark.id}")
    path = folder / words[0]
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path} is larger than {_MOST_BYTES >> 20} MiB")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{where}: cannot read {path}: {error.strerror}") from error
    size, stride = benchmark.sent_bytes, benchmark.stride
    windows = (
        [content[at : at + size] for at in range(0, len(content) - size + 1, stride)] if stride else [content]
    )
    if not windows or any(len(window) != size for window in windows):
        raise DataError(f"{path} has {len(content)} bytes, and a sample of {benchmark.id} has {size}")
    return Entry(words[0], label, tuple(windows))


def made_up(benchmark: Benchmark, count: int | None = None) -> DataSet:
    """Seeded random samples of the right shape, the classes in turn as labels: AT_LEAST, and one of each."""
    random = np.random.default_rng(_SEED)
    entries = []
    for index in range(max(count or MADE_UP, benchmark.classes, AT_LEAST)):
        if benchmark.is_real:
            sample = random.normal(0, 20, benchmark.inputs).astype("<f4").tobytes()
        else:
            sample = random.integers(0, 256, benchmark.sent_bytes, np.uint8).tobytes()
        entries.append(Entry(f"made_up_{index:04}.bin", index % benchmark.classes, (sample,)))
    return DataSet(tuple(entries), is_made_up=True)


def write(data: DataSet, folder: Path, benchmark: Benchmark) -> None:
    """The data set as files for the official runner."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for entry in data.entries:
        window = [str(benchmark.sent_bytes), str(benchmark.stride)] if benchmark.stride else []
        lines.append(",".join([entry.file, str(benchmark.classes), str(entry.label), *window]))
        (folder / entry.file).write_bytes(entry.samples[0])
    (folder / TRUTH).write_text("\n".join(lines) + "\n", encoding="utf-8")
