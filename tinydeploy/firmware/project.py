"""The PlatformIO project: a folder that builds a firmware tree on its own, first as a value, then on disk."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tinydeploy.boards.board import IMAGES, Board, Counting
from tinydeploy.engines.engine import EngineSources, Library
from tinydeploy.engines.engine_registry import DEFAULT_ENGINE
from tinydeploy.firmware.made_for import Application, ByHand, MadeFor, SelfTest
from tinydeploy.firmware.tree import RUNTIME, SOURCES, plant, shipped_files
from tinydeploy.host import output_folder, templates, tools
from tinydeploy.host.output_folder import Manifest
from tinydeploy.link.channel import BAUD
from tinydeploy.model.graph import Graph

MANIFEST = "tinydeploy-project.json"
"""Names every file that was generated, with its SHA-256: what differs from it is the user's own work."""

_MANIFEST = Manifest(MANIFEST, "tinydeploy.project/1", alone=True)
_TEMPLATES = {"platformio.ini": "platformio.ini.j2", "README.md": "README.md.j2"}
_PLACES = (
    ("model/", "the model as C and C++, as `tinydeploy export` has it; `include/` has its interface"),
    ("engine_aot.cpp", "how the runtime calls that interface"),
    ("model.cpp", "the model as a TFLite Micro program"),
    ("model_data*", "the model's file"),
    ("debug_log.cpp", "what TFLite Micro asks of a system"),
    ("newlib.cpp", "what the C library asks of a system"),
    ("runtime/", "link, counters and `main`, or what takes its place: the same in every project"),
    ("runtime/engine.h", "the interface between the two"),
    ("board.h", "what this build is for: board, link, arena size"),
    ("mlperf_tiny_model.h", "how the model takes part in MLPerf Tiny"),
    ("selftest_data.cpp", "the samples that the self-test runs, and what they should give"),
)
"""What is where in the folder of sources, of all that a tree may have."""

_BUILD_PLACES = (
    ("platforms/baremetal/", "PlatformIO's build rules: compiler flags and how the firmware is linked"),
    ("boards/", "the board: core, memory sizes, which are enforced"),
)
"""And what builds it."""

_BUILD_FOLDER = ".pio"
_BUILD_ID_DIGITS = 16


@dataclass(frozen=True)
class Project:
    """A project's files, by their paths in it, and PlatformIO's name for what `pio run` builds.

    `build_id`, 16 hexadecimal digits, stands for the content of all files but those that say it. The firmware
    tells it when it is greeted.
    """

    files: Mapping[str, bytes]
    environment: str
    build_id: str


def generate(
    graph: Graph,
    board: Board,
    sources: EngineSources,
    link: str,
    arena_bytes: int | None,
    library: Library | None = None,
    *,
    target: MadeFor | None = None,
    selftest: SelfTest | None = None,
    by_hand: ByHand | None = None,
    app: Application | None = None,
    trigger: bool = False,
) -> Project:
    """The project that runs `sources` on `board`, equal bytes for equal inputs.

    `link` is the way to the host that the firmware serves ("pipe" or "uart"). The arena is
    `arena_bytes` long; None reserves all RAM that is left, of which the host then names a part.
    `library` is what the sources are built with, if they do not stand on their own. Without a `target` the
    firmware is for the board itself. With a `selftest`, the project has a second environment that runs it.
    `by_hand` is how it is run there without tinydeploy, `app` what it does if not serve tinydeploy's host.
    With a `trigger` the board's trigger pin is high during an inference.
    """
    counting = target.counting(board) if target else Counting(board.counter, False)
    arena = arena_bytes or _arduino_arena(board)
    tree = plant(sources, board, counting, link, arena, library, selftest=selftest, app=app, trigger=trigger)
    typed = app.told if app else "press Enter, and it says what it is"
    context = {
        **_context(graph, board, sources, library),
        "emulator": target.name if target and target.is_emulator else "",
        "link_option": f" --link {link}" if target and link != target.links(board)[0] else "",
        "selftest": selftest,
        "app": app,
        "notes": notes(board, target, library),
        "command": shlex.join(by_hand.command) if by_hand else "",
        "verb": app.verb if app else "run",
        "typed": typed,
        "baud": app.baud if app else BAUD,
        "told": f"{by_hand.told}:\n{typed}." if by_hand else "",
    }
    wanted = {**_TEMPLATES, **(selftest.suite.templates if selftest else {})}
    files = {**_brought(selftest, by_hand), **tree.files, **_platform(board)}
    context["places"] = _places({*files, *wanted}, selftest, by_hand)
    files |= {path: templates.render(name, **context).encode() for path, name in wanted.items()}
    files[".gitignore"] = f"/{_BUILD_FOLDER}/\n".encode()
    build_id = content_hash(files)[:_BUILD_ID_DIGITS]
    called = templates.render("build_id.h.j2", build_id=build_id, **context).encode()
    files |= replace(tree, meta={**tree.meta, "build_id.h": called}).files
    files[MANIFEST] = _MANIFEST.content(files)
    return Project(dict(sorted(files.items())), board.platformio, build_id)


def _context(graph: Graph, board: Board, sources: EngineSources, library: Library | None) -> dict[str, Any]:
    """What the templates are told of the model, the board and the engine."""
    return {
        "board": board,
        "ops": len(sources.profiled_ops),
        "engine": sources.engine,
        "engine_option": "" if sources.engine == DEFAULT_ENGINE else f" -e {sources.engine}",
        "library": library,
        "model": re.sub(r"[^A-Za-z0-9._-]", "_", Path(graph.path).name),
        "model_sha256": graph.sha256,
        "elf": firmware_path(board),
        "packages": _packages(board, library),
        "includes": f"{SOURCES}/{RUNTIME}",
    }


def _brought(selftest: SelfTest | None, by_hand: ByHand | None) -> dict[str, bytes]:
    """The files that the target brings."""
    brought = {**(by_hand.files if by_hand else {}), **(selftest.suite.files if selftest else {})}
    return {path: text.encode() for path, text in brought.items()}


def _places(
    paths: Collection[str], selftest: SelfTest | None, by_hand: ByHand | None
) -> list[tuple[str, str]]:
    """What is where: the places that are one of `paths`, hold one, or begin one with what is before a "*"."""
    ours = ((f"{SOURCES}/{place}", what) for place, what in _PLACES)
    running = (*(by_hand.places if by_hand else ()), *(selftest.suite.places if selftest else ()))
    return [
        (place, what)
        for place, what in dict((*ours, *running, *_BUILD_PLACES)).items()
        if any(path == place or path.startswith(place.rstrip("*")) for path in paths)
    ]


def _platform(board: Board) -> dict[str, bytes]:
    """The platform that compiles it, and the board as it wants it; none where PlatformIO downloads one."""
    if board.downloads:
        return {}
    platform = {f"platforms/baremetal/{path}": text for path, text in shipped_files("platform").items()}
    return {**platform, f"boards/{board.platformio}.json": _json(board_manifest(board))}


def firmware_path(board: Board) -> str:
    """Where PlatformIO puts the firmware, in the project."""
    return f"{_BUILD_FOLDER}/build/{board.platformio}/firmware.elf"


def notes(board: Board, target: MadeFor | None, library: Library | None) -> tuple[str, ...]:
    """What there is to know of a project before it is used, in lines."""
    said = []
    if board.only_emulated:
        emulator = target.title if target else "an emulator"
        said.append(
            f"{board.id} is an emulator's board only: this firmware runs in {emulator}, not on hardware"
        )
    said += [board.placement] if board.placement else []
    return (*said, *(library.warnings if library else ()))


def _packages(board: Board, library: Library | None) -> tuple[str, ...]:
    """The Debian packages that the project is built with."""
    if board.downloads:
        return ()
    return tools.project_packages(board.core.toolchain, cxx_library=library is not None)


def content_hash(files: Mapping[str, bytes], *also: str) -> str:
    """SHA-256 over all files' paths and bytes, and over what else counts, in hexadecimal."""
    digest = hashlib.sha256(json.dumps(also).encode())
    for path in sorted(files):
        digest.update(f"\n{path} {len(files[path])}\n".encode())
        digest.update(files[path])
    return digest.hexdigest()


def _arduino_arena(board: Board) -> int | None:
    """An Arduino core does not say how much RAM it leaves free: a search has half of what loop() may have."""
    if board.arena_in_psram:
        return board.arena_room // 16 * 16
    return (board.ram.bytes - board.stack_bytes) // 32 * 16 if board.arduino else None


def board_manifest(board: Board) -> dict[str, Any]:
    """The board as PlatformIO wants to read it (boards/<id>.json); `build` is for the platform's builder."""
    manifest: dict[str, Any] = {
        "name": board.name,
        "vendor": "",
        "url": "",
        "build": {
            "mcu": board.core.id,
            "f_cpu": f"{board.clock_hz}L",
            "toolchain": board.core.toolchain,
            "core_flags": list(board.core.flags),
        },
        "upload": {"maximum_size": board.flash.bytes, "maximum_ram_size": board.ram.bytes} | _uploads(board),
    }
    if board.arduino:
        # Nothing else sees to it that the stack has its share.
        manifest["upload"]["maximum_ram_size"] -= board.stack_bytes
        manifest["frameworks"] = ["arduino"]
        manifest["build"] |= {
            "core_flags": [f"-mmcu={board.arduino.mcu}"],
            "variant": board.arduino.variant,
        }
    else:
        manifest["build"] |= {
            "ldscript": board.ldscript,
            "link_symbols": {name: hex(value) for name, value in link_symbols(board).items()},
        }
    if board.image:
        manifest["build"] |= {"image": board.image, "flash_frequency": IMAGES[board.image].flash_frequency}
    return manifest


def link_symbols(board: Board) -> dict[str, int]:
    """What the linker script of a bare firmware has to be told."""
    symbols = {
        "__flash_origin": board.flash.origin,
        "__flash_len": board.flash.bytes,
        "__ram_origin": board.ram.origin,
        "__ram_len": board.ram.bytes,
        "__stack_len": board.stack_bytes,
    }
    return symbols | ({"__code_offset": IMAGES[board.image].code_offset} if board.image else {})


def _uploads(board: Board) -> dict[str, Any]:
    targets = {uploader.program: uploader.target for uploader in board.uploaders}
    return {"protocols": list(targets), "targets": targets} if targets else {}


def write(project: Project, folder: Path) -> Path:
    """Writes the project to `folder`, which appears with all its files or stays as it was; returns it.

    Of a project that tinydeploy wrote there before, files that are as they were are replaced, or removed if
    this one has none of that name; PlatformIO's folder stays. Raises UsageError, naming the file, if the
    folder holds anything else or such a file was edited; also if it cannot be written.
    """
    folder = output_folder.resolved(folder)
    with output_folder.staged(folder, project.files, _MANIFEST) as fresh:
        write_files(project, fresh)
    return folder


def write_files(project: Project, folder: Path) -> None:
    """Writes the project's files into `folder`, replacing those that are there."""
    output_folder.write_files(project.files, folder)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
