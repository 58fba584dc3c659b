"""What SCons keeps of all builds, object by object, checked against the hashes of all that was compiled."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from tinydeploy.host import cache, paths


class Objects:
    """SCons' cache of objects in `folder`, and beside it the hashes of all that was compiled into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._list = folder.with_suffix(".sha256")

    def record(self, files: Iterable[Path]) -> None:
        """These were compiled just now. What cannot be noted down is compiled again."""
        with suppress(OSError):
            lines = "".join(f"{cache.digest(path)}\n" for path in files if path.is_file())
            with self._list.open("a") as file:
                file.write(lines)

    def are_right(self, files: Iterable[Path]) -> bool:
        """Whether files that came from the cache are as they were when they were compiled."""
        known = self._known()
        return all(path.is_file() and cache.digest(path) in known for path in files)

    def sweep(self) -> bool:
        """Removes what is not as it was compiled. Whether there was any."""
        known, found = self._known(), False
        for path in [*self.folder.glob("??/*"), *self.folder.glob("config*"), *self.folder.glob("??")]:
            if not self._is_right(path, known):
                found = True
                cache.remove(path)
        return found

    def _is_right(self, path: Path, known: set[str]) -> bool:
        try:
            if path.parent != self.folder:
                return not path.is_symlink() and path.is_file() and cache.digest(path) in known
            if path.name == "config":
                return isinstance(json.loads(path.read_bytes())["prefix_len"], int)
            return path.is_dir() if len(path.name) == 2 else False  # what is left are locks of the config
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _known(self) -> set[str]:
        try:
            return set(self._list.read_text(errors="replace").split())
        except OSError:
            return set()


def objects() -> Objects:
    """What PlatformIO's builds share."""
    return Objects(paths.cache_dir() / "platformio" / "objects")
