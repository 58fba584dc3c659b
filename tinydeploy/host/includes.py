"""Which headers C++ sources use: those that their `#include "…"` lines name, and theirs in turn."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)


def included(text: str) -> tuple[str, ...]:
    """The names that `text` includes in quotation marks, in order."""
    return tuple(_INCLUDE.findall(text))


def with_included(
    roots: Iterable[str], read: Callable[[str], str | None], folders: tuple[str, ...] = ("",)
) -> Iterator[str]:
    """The files `roots`, and each that they include, directly or not, once.

    A name is looked for beside the file that includes it, then in each of `folders`. `read` gives the text of
    the file at a path, or None if there is none: that is a library's, or the system's.
    """
    found: set[str] = set()
    todo = list(roots)
    while todo:
        path = todo.pop()
        text = read(path)
        if path in found or text is None:
            continue
        found.add(path)
        yield path
        for name in included(text):
            places = (_joined(folder, name) for folder in (str(PurePosixPath(path).parent), *folders))
            todo += [next((place for place in places if read(place) is not None), name)]


def _joined(folder: str, name: str) -> str:
    """The path of `name` in `folder`, without steps up: port/../measure.h is measure.h."""
    parts: list[str] = []
    for part in PurePosixPath(folder, name).parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)
