"""The firmware as a tree of sources, before any build system has a say in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import PurePosixPath

from tinydeploy.boards.board import Board, Counting
from tinydeploy.engines.engine import MODEL, EngineSources, Library
from tinydeploy.firmware.made_for import Application, SelfTest
from tinydeploy.host import paths, templates
from tinydeploy.host.includes import with_included
from tinydeploy.link.channel import BAUD

SOURCES = "src"
"""The folder that a firmware's sources are in, wherever they are written."""

RUNTIME = "runtime"
"""The folder among them that sources name headers from, besides their own."""

_PORTS = f"{RUNTIME}/port/"
_ARDUINO = f"{_PORTS}arduino.cpp"
_GUARD = re.compile(r"\A(?://[^\n]*\n|#include[^\n]*\n|\s*\n)*#if ([^\n]+)\n")
_DEFINED = re.compile(r"^#define (\w+)", re.MULTILINE)

Files = Mapping[str, bytes]


@dataclass(frozen=True)
class FirmwareTree:
    """A firmware's sources by their part, each by its path in the folder of sources: runtime/main.cpp.

    `model` is what an engine has made of the model, `kernels` what that calls, `runtime` the firmware around
    it with the drivers that its board needs, `board` what it is built for, and `meta` what it is called and
    is to be checked with. A library is a tree that has neither runtime nor board: they are the application's.
    """

    model: Files
    kernels: Files
    runtime: Files = field(default_factory=dict)
    board: Files = field(default_factory=dict)
    meta: Files = field(default_factory=dict)

    @classmethod
    def of(
        cls, model: Mapping[str, str], kernels: Mapping[str, str], **others: Mapping[str, str]
    ) -> FirmwareTree:
        """The tree of parts that are text."""
        return cls(
            _encoded(model), _encoded(kernels), **{part: _encoded(files) for part, files in others.items()}
        )

    @property
    def files(self) -> dict[str, bytes]:
        """All parts together, in the folder of sources."""
        return {f"{SOURCES}/{path}": content for path, content in self._all.items()}

    @property
    def library(self) -> dict[str, bytes]:
        """What of it is the model's, by the paths that a library of it has: in `src/` and `include/`."""
        inside = f"{MODEL}/"
        return {
            path.removeprefix(inside): content
            for path, content in self._all.items()
            if path.startswith(inside)
        }

    @property
    def _all(self) -> dict[str, bytes]:
        parts = (self.model, self.kernels, self.runtime, self.board, self.meta)
        return {path: content for part in parts for path, content in part.items()}


def plant(
    sources: EngineSources,
    board: Board,
    counting: Counting,
    link: str,
    arena_bytes: int | None,
    library: Library | None = None,
    selftest: SelfTest | None = None,
    app: Application | None = None,
    trigger: bool = False,
) -> FirmwareTree:
    """The tree of the firmware that runs `sources` on `board`, where it counts as `counting` says.

    `link` is the way to the host ("pipe", "uart"). The arena is `arena_bytes` long; None is all RAM that is
    left. `library` is what the sources are built with, if they do not stand on their own. Without an `app`
    the firmware serves tinydeploy's host. With a `trigger` the board's pin is high during an inference.
    """
    header = templates.render(
        "board.h.j2",
        board=board,
        counting=counting,
        link=link,
        arena_bytes=arena_bytes,
        ops=len(sources.profiled_ops),
        app=app,
        trigger=trigger,
        baud=app.baud if app else BAUD,
    )
    model = {**sources.model, **(library.files if library else {})}
    meta = {}
    if selftest is not None:
        meta["selftest_data.cpp"] = templates.render(
            "selftest_data.cpp.j2",
            selftest=selftest,
            inputs=byte_lines(selftest.inputs),
            expected=byte_lines(selftest.expected),
        )
    if app is not None:
        meta |= {name: templates.render(template, app=app) for name, template in app.headers.items()}
    defined = frozenset({*_DEFINED.findall(header), *(["TINYDEPLOY_SELFTEST"] if selftest else [])})
    about_board = {"board.h": header}
    return FirmwareTree.of(
        model,
        sources.kernels,
        runtime=_Runtime(board, defined).used({**model, **about_board}, has_libc=library is not None),
        board=about_board,
        meta=meta,
    )


@dataclass(frozen=True)
class _Runtime:
    """The runtime as it is shipped, of which a firmware for `board` gets what it has a use for.

    Start-up code and drivers say in their first #if which of the names that are `defined` they are for.
    """

    board: Board
    defined: frozenset[str]

    def used(self, made: Mapping[str, str], *, has_libc: bool) -> dict[str, str]:
        """What the sources that were `made`, start-up and drivers need, directly or not.

        That is what they include, and the source files that go with such headers.
        """
        shipped = {path: text for path, text in _shipped().items() if self._is_for(path, text)}
        texts = {**made, **shipped}
        found: set[str] = set()
        todo = {*made, *(path for path in shipped if self._begins(path, has_libc))}
        while todo - found:
            found |= todo | {*with_included(todo, texts.get, ("", RUNTIME))}
            bodies = {path.removesuffix(".h") + ".cpp" for path in found if path.endswith(".h")}
            todo = found | (bodies & texts.keys())
        return {path: shipped[path] for path in sorted(found) if path in shipped}

    def _is_for(self, path: str, text: str) -> bool:
        """Whether a file compiles to anything here."""
        if self.board.arduino and path.startswith(_PORTS) and path.endswith(".cpp"):
            return path == _ARDUINO  # the core has drivers of its own
        guard = _GUARD.match(text)
        known = self.defined | {"ARDUINO" if self.board.arduino else self.board.core.macro}
        return guard is None or not known.isdisjoint(re.findall(r"\w+", guard[1]))

    def _begins(self, path: str, has_libc: bool) -> bool:
        """Whether a file is there though none includes it: it starts the firmware, or is a driver."""
        if self.board.arduino:  # which has a main() and a C library
            return path == _ARDUINO
        if path == f"{RUNTIME}/memory.cpp":
            return not has_libc
        is_port = path.startswith(_PORTS) and path.endswith(".cpp")
        return path == f"{RUNTIME}/main.cpp" or (is_port and _GUARD.match(_shipped()[path]) is not None)


@cache
def _shipped() -> dict[str, str]:
    """The whole runtime, by paths in a tree."""
    return {f"{RUNTIME}/{path}": text.decode() for path, text in shipped_files("runtime").items()}


def shipped_files(folder: str) -> dict[str, bytes]:
    """Every file of a folder of firmware_templates by relative path, without what Python leaves there."""
    return dict(_found(folder))


def _found(folder: str) -> Iterator[tuple[str, bytes]]:
    root = paths.FIRMWARE / folder
    for path in sorted(root.rglob("*")):
        relative = PurePosixPath(path.relative_to(root))
        if path.is_file() and "__pycache__" not in relative.parts and relative.parts[0] != ".pio":
            yield str(relative), path.read_bytes()


def _encoded(files: Mapping[str, str]) -> dict[str, bytes]:
    return {path: text.encode() for path, text in files.items()}


def byte_lines(content: bytes) -> list[str]:
    """The bytes as lines of C++, 24 in each."""
    return [
        "".join(f"{byte}, " for byte in content[at : at + 24]).rstrip() for at in range(0, len(content), 24)
    ]
