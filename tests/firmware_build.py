"""Compiles the firmware's runtime with a test engine, without PlatformIO: for a board, or for the host."""

from __future__ import annotations

import subprocess
from pathlib import Path

import jinja2

from tinydeploy import boards, paths

ENGINES = Path(__file__).with_name("firmware_engines")
RUNTIME = paths.FIRMWARE / "runtime"
_FLAGS = ["-std=c++17", "-g", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics"]
_WARNINGS = ["-Wall", "-Wextra", "-Werror"]
BUILD_ID = "00123456789abcde"
_PORTABLE = ["arena", "frame", "log", "main", "measure", "session"]


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
) -> Path:
    """The ELF of firmware_engines/<engine>.cpp on a board."""
    board = boards.board(board_id)
    counting = board.counting(target)
    _header(folder, "board.h", board=board, counting=counting, link=link, arena_bytes=arena_bytes, ops=3)
    _header(folder, "build_id.h", build_id=BUILD_ID)
    symbols = {
        "__flash_origin": board.flash.origin,
        "__flash_len": board.flash.bytes,
        "__ram_origin": board.ram.origin,
        "__ram_len": board.ram.bytes,
        "__stack_len": board.stack_bytes,
    }
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
        *(f"-Wl,--defsym={name}={value:#x}" for name, value in symbols.items()),
        "-T",
        str(paths.FIRMWARE / "platform" / "ldscripts" / "firmware.ld"),
        "-lgcc",
        "-o",
        str(elf),
    )
    return elf


def for_host(folder: Path, engine: str) -> Path:
    """The same sources as a program that speaks the protocol on standard input and output."""
    program = folder / engine
    _header(folder, "build_id.h", build_id=BUILD_ID)
    sources = [RUNTIME / f"{name}.cpp" for name in _PORTABLE]
    sources += [ENGINES / "native" / "port.cpp", ENGINES / f"{engine}.cpp"]
    includes = [f"-I{ENGINES / 'native'}", f"-I{folder}", f"-I{paths.FIRMWARE}"]
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
