"""Compiles the firmware's runtime with a test engine, without PlatformIO: for a board, or for the host."""

from __future__ import annotations

import subprocess
from pathlib import Path
from unittest import mock

import jinja2

from tinydeploy.boards import lookup
from tinydeploy.engines.aot.memory import allocator
from tinydeploy.engines.aot.pipeline import AotEngine
from tinydeploy.firmware.made_for import Application
from tinydeploy.firmware.project import link_symbols
from tinydeploy.host import paths
from tinydeploy.link.channel import BAUD
from tinydeploy.model.graph import Graph
from tinydeploy.targets.target_registry import KINDS

ENGINES = Path(__file__).with_name("firmware_engines")
RUNTIME = paths.FIRMWARE / "runtime"
_FLAGS = ["-std=c++17", "-g", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics"]
_WARNINGS = ["-Wall", "-Wextra", "-Werror"]
BUILD_ID = "00123456789abcde"
_PORTABLE = ["arena", "frame", "log", "log_mel", "main", "measure", "mlperf_stream", "mlperf_tiny"]
_PORTABLE += ["print", "session"]


class BuildError(Exception):
    """What the compiler or the linker says."""


def for_board(
    folder: Path,
    board_id: str,
    engine: str,
    *,
    link: str = "pipe",
    arena_bytes: int | None = None,
    target: str = "qemu",
    defines: tuple[str, ...] = (),
    app: Application | None = None,
    trigger: bool = False,
) -> Path:
    """The ELF of firmware_engines/<engine>.cpp on a board."""
    board = lookup.board(board_id)
    kind = KINDS[target] if KINDS[target].models(board) else KINDS["board"]
    counting = kind.counting(board)
    facts: dict[str, object] = {
        "link": link,
        "arena_bytes": arena_bytes,
        "ops": 3,
        "app": app,
        "trigger": trigger,
    }
    facts["baud"] = app.baud if app else BAUD
    _header(folder, "board.h", board=board, counting=counting, **facts)
    if app is not None:
        for header in app.headers:
            _header(folder, header, app=app)
    _header(folder, "build_id.h", build_id=BUILD_ID)
    elf = folder / f"{board_id}-{link}-{engine}.elf"
    _run(
        f"{board.core.toolchain}g++",
        *board.core.flags,
        *_FLAGS,
        *_WARNINGS,
        "-O2",
        "-ffreestanding",
        "-ffunction-sections",
        "-fdata-sections",
        *(f"-D{define}" for define in defines),
        f"-I{folder}",
        f"-I{paths.FIRMWARE}",
        *map(str, sorted(RUNTIME.rglob("*.cpp"))),
        str(ENGINES / f"{engine}.cpp"),
        "-nostdlib",
        "-nostartfiles",
        "-Wl,--gc-sections,--fatal-warnings",
        *(f"-Wl,--defsym={name}={value:#x}" for name, value in link_symbols(board).items()),
        "-T",
        str(paths.FIRMWARE / "platform" / "ldscripts" / board.ldscript),
        "-lgcc",
        "-o",
        str(elf),
    )
    return elf


def for_host(folder: Path, engine: str) -> Path:
    """The same sources as a program that speaks the protocol on standard input and output."""
    return _for_host(folder, engine, [ENGINES / f"{engine}.cpp"])


def model_for_host(folder: Path, graph: Graph, app: Application | None = None) -> Path:
    """A generated model in the same way. Its counts depend on what the model's first input holds."""
    if app is not None:
        for header in app.headers:
            _header(folder, header, app=app)
    with mock.patch.object(allocator, "PLACEMENTS", 2000):  # the arena need not be the best
        made = AotEngine().generate(graph, lookup.board("megaatmega2560"))
    assert made.arena is not None
    for path, text in made.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    sizes = {"TINYDEPLOY_ARENA_BYTES": made.arena.bytes, "TINYDEPLOY_OPS": len(made.profiled_ops)}
    others = {"COUNTS_BY_INPUT": 1} if app is None else dict.fromkeys(app.defines, 1)
    flags = [f"-D{name}={value}" for name, value in (sizes | others).items()]
    sources = [folder / path for path in made.files if path.endswith(".cpp")]
    return _for_host(folder, "program", sources, *flags)


def _for_host(folder: Path, name: str, engine: list[Path], *flags: str) -> Path:
    program = folder / name
    _header(folder, "build_id.h", build_id=BUILD_ID)
    sources = [RUNTIME / f"{part}.cpp" for part in _PORTABLE]
    sources += [ENGINES / "native" / "port.cpp", *engine]
    includes = [f"-I{ENGINES / 'native'}", f"-I{folder}", f"-I{paths.FIRMWARE}", f"-I{RUNTIME}", *flags]
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    _run("g++", *_FLAGS, *_WARNINGS, "-O1", *sanitizers, *includes, *map(str, sources), "-o", str(program))
    return program


def _header(folder: Path, name: str, **context: object) -> None:
    loader = jinja2.FileSystemLoader(paths.FIRMWARE / "project")
    template = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined).get_template(f"{name}.j2")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(template.render(context))


def _run(*command: str) -> None:
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=120)
    if done.returncode:
        raise BuildError(done.stderr)
