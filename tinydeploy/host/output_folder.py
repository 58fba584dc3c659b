"""An output folder of the user's: only what was written before, and is as it was, is replaced.

A manifest in the folder lists what was written, with SHA-256. Everything else is the user's: what would have
to be touched is named, and nothing is written.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from tinydeploy.errors import UsageError

HINT = "choose another folder with -o, or move the file away"
_LEFT_ALONE = (".pio", "__pycache__")  # what PlatformIO and Python leave: neither refused nor touched


@dataclass(frozen=True)
class Manifest:
    """The file `name` in a folder, which lists what was written there. `alone`: nothing else may be in it.

    `mark` says which of the things that may be written there it is; "" if that says nothing.
    """

    name: str
    schema: str
    alone: bool = False
    mark: str = ""

    def content(self, files: Mapping[str, bytes]) -> bytes:
        """The manifest of these files, by their paths in the folder."""
        digests = {path: hashlib.sha256(files[path]).hexdigest() for path in sorted(files)}
        marked = {"mark": self.mark} if self.mark else {}
        return (json.dumps({"schema": self.schema, **marked, "files": digests}, indent=2) + "\n").encode()

    def read(self, folder: Path) -> dict[str, str] | None:
        """What was written into the folder; None without a manifest, or with one that says nothing."""
        told = self._told(folder)
        return None if told is None else dict(told["files"])

    def marked(self, folder: Path) -> str:
        """The mark of what was written into the folder; "" without one."""
        told = self._told(folder)
        return "" if told is None else str(told.get("mark", ""))

    def _told(self, folder: Path) -> dict[str, Any] | None:
        path = folder / self.name
        try:
            if path.is_symlink() or not path.is_file():
                return None
            told = json.loads(path.read_bytes())
            if told["schema"] == self.schema and all(map(_is_inside, dict(told["files"]))):
                return dict(told)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            pass
        return None


def check(folder: Path, wanted: Iterable[str], manifest: Manifest) -> list[str]:
    """Which files written before are not `wanted`, so have to go. Raises UsageError if others bar the way."""
    if not os.path.lexists(folder):
        return []
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file", "choose another folder with -o, or remove this one")
    written = manifest.read(folder)
    if written is None and manifest.alone and (present := sorted(path.name for path in folder.iterdir())):
        raise UsageError(
            f"{folder} is not empty, and not a project made by tinydeploy: it holds {present[0]}", HINT
        )
    known = written or {}
    touched = {*wanted, *known} if manifest.alone else {*wanted}
    theirs = [path for path in sorted(touched) if not _is_ours(folder, path, known, manifest)]
    if manifest.alone:
        theirs += [path for path in _present(folder) if path not in known and path != manifest.name]
    if theirs:
        others = f" and {len(theirs) - 1} more" if len(theirs) > 1 else ""
        raise UsageError(f"{folder} holds work of yours: {theirs[0]}{others}", HINT)
    return [path for path in sorted(known.keys() - {*wanted}) if _is_ours(folder, path, known, manifest)]


def resolved(folder: Path) -> Path:
    """The folder without links on its way. Raises UsageError for a loop of them."""
    try:
        return folder.resolve()
    except (OSError, RuntimeError) as error:
        raise UsageError(f"cannot write to {folder}: {error}", "choose another folder with -o") from error


def write_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Writes the files into the folder, by their paths in it, replacing those that are there."""
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


@contextmanager
def staged(folder: Path, wanted: Iterable[str], manifest: Manifest) -> Iterator[Path]:
    """A folder to write the files `wanted` to, which then move to `folder`: all, or it stays as it was.

    Files that were written before and are not wanted any more go. Raises UsageError as `check`, or if the
    folder cannot be written.
    """
    wanted = list(wanted)
    try:
        stale = check(folder, wanted, manifest)
        is_new = not folder.exists()
        folder.parent.mkdir(parents=True, exist_ok=True)
        home = folder.parent if is_new else folder
        with tempfile.TemporaryDirectory(prefix=".tinydeploy-", dir=home) as scratch:
            fresh = Path(scratch) / "new"
            yield fresh
            if is_new:
                fresh.replace(folder)
            else:
                _move(fresh, folder, wanted, stale, Path(scratch))
    except (OSError, RecursionError) as error:  # a path of a thousand folders
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"cannot write to {folder}: {reason}", "choose another folder with -o") from error


def _is_inside(path: object) -> bool:
    if not isinstance(path, str) or "\0" in path:
        return False
    pure = PurePosixPath(path)
    return bool(path) and not pure.is_absolute() and ".." not in pure.parts and str(pure) == path


def _is_ours(folder: Path, path: str, written: Mapping[str, str], manifest: Manifest) -> bool:
    """Whether the path is free, or holds what was written there; no link is followed on the way."""
    for parent in reversed(PurePosixPath(path).parents[:-1]):
        if os.path.lexists(folder / parent) and not stat.S_ISDIR((folder / parent).lstat().st_mode):
            return False
    target = folder / path
    if not os.path.lexists(target):
        return True
    if not stat.S_ISREG(target.lstat().st_mode):
        return False
    if path == manifest.name:
        return manifest.read(folder) is not None
    return written.get(path) == hashlib.sha256(target.read_bytes()).hexdigest()


def _present(folder: Path, under: str = "") -> Iterator[str]:
    """Every file and link in the folder, but for what is left alone."""
    for item in sorted(os.scandir(folder / under), key=lambda item: item.name):
        path = f"{under}{item.name}"
        if item.name in _LEFT_ALONE:
            continue
        if item.is_dir(follow_symlinks=False):
            yield from _present(folder, f"{path}/")
        else:
            yield path


def _move(fresh: Path, folder: Path, wanted: list[str], stale: list[str], scratch: Path) -> None:
    undo: list[Callable[[], object]] = []
    try:
        for number, path in enumerate([*stale, *wanted]):
            target, made = folder / path, fresh / path
            if os.path.lexists(target):
                if made.exists() and made.read_bytes() == target.read_bytes():
                    continue
                old = scratch / str(number)
                target.rename(old)
                undo.append(partial(old.rename, target))
            if made.exists():
                for parent in reversed(PurePosixPath(path).parents[:-1]):
                    if not (folder / parent).exists():
                        (folder / parent).mkdir()
                        undo.append((folder / parent).rmdir)
                made.replace(target)
                undo.append(target.unlink)
    except BaseException:
        for step in reversed(undo):
            with suppress(OSError):
                step()
        raise
    for path in stale:
        for parent in PurePosixPath(path).parents[:-1]:
            with suppress(OSError):  # somebody else has something there
                (folder / parent).rmdir()


def write(
    folder: Path, files: Mapping[str, bytes], manifest: Manifest, *, without: Iterable[str] = ()
) -> None:
    """Writes the files and their manifest; see `staged`.

    What the manifest lists besides stays as it is, but for those files that folder is to be `without`.
    """
    folder = folder.resolve()
    gone = {*files, *without}
    others = {path: content for path, content in _listed(folder, manifest).items() if path not in gone}
    everything = {**others, **files}
    everything[manifest.name] = manifest.content(everything)
    with staged(folder, everything, manifest) as fresh:
        write_files(everything, fresh)


def _listed(folder: Path, manifest: Manifest) -> dict[str, bytes]:
    """What was written before, is there and is as it was."""
    known = manifest.read(folder) or {}
    return {
        path: (folder / path).read_bytes()
        for path in known
        if os.path.lexists(folder / path) and _is_ours(folder, path, known, manifest)
    }
