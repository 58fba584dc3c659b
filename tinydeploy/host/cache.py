"""The cache between runs: each entry whole or not there, all of it bounded, the oldest dropped first.

An entry is a folder that was written aside, sealed (its seal lists every file with its SHA-256) and renamed.
Whoever uses it checks the seal first.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinydeploy.errors import ToolError, UsageError
from tinydeploy.host import paths

LIMIT = 4 << 30  # bytes, unless $TINYDEPLOY_CACHE_LIMIT names another
LIMIT_VARIABLE = "TINYDEPLOY_CACHE_LIMIT"

_SEAL = "seal.json"
_WEIGHT = "bytes.txt"  # of a published entry, so that its size is read and not added up for every build
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]?)i?B?", re.IGNORECASE)
_KINDS = {
    "builds": ("builds", "libraries"),
    "objects": ("platformio/objects/??",),
    "kept": ("kept",),
    "logs": ("logs", "traces"),
}
_FOLDERS = ("builds", "kept", "libraries", "logs", "platformio", "traces")
_held: dict[Path, int] = {}  # entries in use, by the descriptor that holds them until this process ends


@dataclass(frozen=True)
class Usage:
    """The cache's place, its limit and size in bytes; per kind the number of entries, and their bytes."""

    folder: Path
    limit: int
    bytes: int
    entries: dict[str, int]
    entry_bytes: dict[str, int]


@dataclass(frozen=True)
class _Entry:
    path: Path
    bytes: int
    used: float


def limit() -> int:
    """How many bytes the cache may hold. Raises UsageError for a variable that is no size."""
    named = os.environ.get(LIMIT_VARIABLE)
    if not named:
        return LIMIT
    try:
        return size(named)
    except ValueError as error:
        raise UsageError(f"{LIMIT_VARIABLE} is no size: {named}", "500M, 2G") from error


def size(text: str) -> int:
    """Bytes from "1G", "500 MiB", "0". Raises ValueError."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError(text)
    return int(float(found[1]) * 1024 ** " KMGT".index(found[2].upper() or " "))


# --- whole entries --------------------------------------------------------------------------------


def seal(folder: Path, files: Iterable[Path]) -> None:
    """Writes down what `files` of `folder` hold, and sees to it that this is on the disk."""
    digests = {str(path.relative_to(folder)): digest(path) for path in files}
    with (folder / _SEAL).open("w") as file:
        json.dump(digests, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    _sync(folder)


def is_sealed(folder: Path) -> bool:
    """Whether the folder has a seal, be it whole or not."""
    return os.path.lexists(folder / _SEAL)


def is_whole(folder: Path) -> bool:
    """Whether the folder is there, sealed, and every sealed file is as it was."""
    try:
        digests = json.loads((folder / _SEAL).read_bytes())
        return bool(digests) and all(digest(folder / name) == known for name, known in digests.items())
    except (OSError, ValueError, AttributeError, TypeError):
        return False


def publish(work: Path, entry: Path) -> None:
    """Puts the sealed folder `work` in the place of `entry`."""
    (work / _WEIGHT).write_text(str(_bytes(work)))
    remove(entry)
    work.rename(entry)
    _sync(entry.parent)


def use(entry: Path) -> bool:
    """Keeps `entry` from being trimmed as long as this process lives. False if it is not there any more."""
    with suppress(OSError):
        os.utime(entry)
    try:
        descriptor = os.open(entry, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if not os.path.samestat(os.fstat(descriptor), entry.stat()):
            os.close(descriptor)
            return False
    except OSError:
        return False
    os.close(_held.pop(entry)) if entry in _held else None
    _held[entry] = descriptor
    return True


@contextmanager
def locked(entry: Path) -> Iterator[None]:
    """Holds the lock of an entry of the cache, which the system lets go of however this process ends."""
    path = entry.with_suffix(".lock")
    _make_folder(path.parent)
    if path.is_dir():
        remove(path)
    while True:
        mine = False
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Who trims the cache removes locks, too: then this one is nobody's.
            with suppress(OSError):
                mine = os.path.samestat(os.fstat(lock.fileno()), path.stat())
            if mine:
                yield
                return


def remove(path: Path) -> None:
    """Removes a file, a link or a folder, also one that may not be read. Raises OSError if it cannot."""

    def allow(function: Any, name: str, error: Any) -> None:
        with suppress(OSError):
            Path(name).parent.chmod(stat.S_IRWXU)
            Path(name).chmod(stat.S_IRWXU)
        if function in (os.open, os.scandir, os.listdir):
            shutil.rmtree(name)
        else:
            function(name)

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, onerror=allow)
    else:
        path.unlink(missing_ok=True)


def _make_folder(folder: Path) -> None:
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        remove(folder)
    folder.mkdir(parents=True, exist_ok=True)


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hex. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- size -----------------------------------------------------------------------------------------


def usage() -> Usage:
    """What the cache holds."""
    folder = paths.cache_dir()
    found = {kind: _entries(folder, kind) for kind in _KINDS}
    sizes = {kind: sum(entry.bytes for entry in some) for kind, some in found.items()}
    sizes["other"] = max(0, sum(_bytes(folder / name) for name in _FOLDERS) - sum(sizes.values()))
    counts = {kind: len(some) for kind, some in found.items()}
    return Usage(folder, limit(), sum(sizes.values()), counts, sizes)


def trim(most: int | None = None) -> int:
    """Removes entries that nobody uses, the oldest first, until the rest has `most` bytes; returns how many.

    Without a number the limit counts. Raises ToolError if an entry cannot be removed.
    """
    most = limit() if most is None else most
    folder = paths.cache_dir()
    entries = sorted(
        (entry for kind in _KINDS for entry in _entries(folder, kind)), key=lambda entry: entry.used
    )
    total, removed = sum(entry.bytes for entry in entries), 0
    for entry in entries:
        if total <= most:
            break
        if _remove_unused(entry.path):
            total -= entry.bytes
            removed += 1
    return removed


def clear() -> int:
    """Removes everything that nobody uses; returns how many entries there were."""
    removed = trim(-1)
    folder = paths.cache_dir()
    if not _entries(folder, "builds"):
        for name in ("platformio", "libraries"):
            _remove_unused(folder / name)
    return removed


def _entries(folder: Path, kind: str) -> list[_Entry]:
    found = []
    for place in [place for pattern in _KINDS[kind] for place in folder.glob(pattern)]:
        with suppress(OSError), os.scandir(place) as items:  # what cannot be read holds nothing for us
            found += [entry for item in items if (entry := _entry(item))]
    return found


def _entry(item: os.DirEntry[str]) -> _Entry | None:
    with suppress(OSError):  # another process may just have removed it
        if not item.name.endswith(".lock"):
            status = item.stat(follow_symlinks=False)
            size = _weight(Path(item.path)) if stat.S_ISDIR(status.st_mode) else status.st_size
            return _Entry(Path(item.path), size, status.st_mtime)
    return None


def _weight(entry: Path) -> int:
    """The bytes of a folder: those that it had when it was published, if it was."""
    try:
        return int((entry / _WEIGHT).read_text())
    except (OSError, ValueError):
        return _bytes(entry)


def _bytes(path: Path) -> int:
    """The bytes of a file, or of all files in a folder; links count nothing."""
    try:
        if not path.is_dir() or path.is_symlink():
            return path.lstat().st_size if path.exists() else 0
        with os.scandir(path) as found:
            return sum(
                _bytes(Path(item.path))
                if item.is_dir(follow_symlinks=False)
                else item.stat(follow_symlinks=False).st_size
                for item in found
            )
    except OSError:
        return 0


def _remove_unused(path: Path) -> bool:
    """Removes an entry unless someone holds its lock, or it is in use."""
    lock = path.with_suffix(".lock") if path.parent.name == "builds" else None
    try:
        if lock is None:
            remove(path)
            return True
        with lock.open("w") as mine:
            fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.is_dir():
                descriptor = os.open(path, os.O_RDONLY)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                finally:
                    os.close(descriptor)
            remove(path)
            lock.unlink(missing_ok=True)
            return True
    except BlockingIOError:
        return False
    except OSError as error:
        raise ToolError(f"cannot remove {path}: {error.strerror or error}") from error


def write_trace(text: str) -> Path | None:
    """Keeps a trace in a file of its own, here or in the temporary folder; None if neither can be written."""
    for kept in (True, False):
        with suppress(OSError, UsageError):
            folder = paths.cache_dir() / "traces" if kept else Path(tempfile.gettempdir())
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"tinydeploy-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
            path.write_text(text, encoding="utf-8", errors="backslashreplace")
            return path
    return None
