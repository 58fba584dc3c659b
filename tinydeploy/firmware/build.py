"""The build of a firmware project with PlatformIO Core, offline, kept by content."""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tinydeploy.boards.board import Board
from tinydeploy.boards.core import Core
from tinydeploy.errors import FitError, ToolError
from tinydeploy.firmware import elf
from tinydeploy.firmware.elf import Sizes
from tinydeploy.firmware.project import Project, content_hash, write_files
from tinydeploy.host import cache, object_cache, paths, platformio, tools
from tinydeploy.results.measured import Gate

DEFAULT_TIMEOUT = 1800.0  # seconds for one build; a library of 300 files takes minutes on a small machine
_OVERFLOW = re.compile(r"region `(flash|ram)' overflowed by (\d+) bytes?")
_TOO_LARGE = re.compile(
    r"The (program|data) size \((\d+) bytes\) is greater than maximum allowed \((\d+) bytes\)"
)
_RETRIEVED = re.compile(r"^Retrieved `(.+)' from cache$", re.MULTILINE)
_COMMAND = re.compile(r"^(?:\S*/)?[\w.-]*(?:gcc|g\+\+|gcc-ar|ar|ranlib|objcopy|size) .+", re.MULTILINE)
_UNREACHABLE = re.compile(r"UnknownPackageError|HTTPClientError|InternetConnectionError|PackageException")

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Firmware:
    """A built firmware. `cached` says that nothing had to be compiled; `log` holds PlatformIO's output.

    `project` is the folder it was built in, as PlatformIO needs it to upload what it has built there.
    `build_id` is what the firmware says of itself when it is greeted. `gates` are the limits it was held to.
    """

    elf: Path
    build_id: str
    project: Path
    log: Path
    sizes: Sizes
    compiler: str
    flags: tuple[str, ...]
    platformio: str
    cached: bool
    gates: tuple[Gate, ...] = ()


def build(project: Project, board: Board, *, timeout: float = DEFAULT_TIMEOUT) -> Firmware:
    """The firmware of `project`: from the cache if it was built before, else compiled now.

    Raises ToolError if the compiler is missing, or the build fails or takes longer than `timeout`
    seconds; FitError if the firmware is larger than the board's flash or RAM.
    """
    cache.limit()
    # With an Arduino core comes its compiler, by the platform's version.
    compiler = board.downloads or compiler_version(board.core)
    platformio, scons = _version("platformio"), _version("scons")
    others = (_version("esptool"),) if board.image else ()
    key = content_hash(project.files, compiler, platformio, scons, *others)[:32]
    entry = paths.cache_dir() / "builds" / key
    cached = cache.is_whole(entry) and cache.use(entry)
    if not cached:
        try:
            with cache.locked(entry):
                cached = cache.is_whole(entry)  # another process may have built it while this one waited
                if not cached:
                    _build_into(entry, project, board, timeout)
                cache.use(entry)
            with suppress(ToolError):  # an entry that cannot be removed is no reason to fail
                cache.trim()
        except OSError as error:
            raise ToolError(
                f"cannot build in {paths.cache_dir()}: {error.strerror or error}",
                "TINYDEPLOY_CACHE names another folder for builds",
            ) from error
    firmware = _output(entry / "project", project.environment) / "firmware.elf"
    return Firmware(
        elf=firmware,
        build_id=project.build_id,
        project=entry / "project",
        log=entry / "build.log",
        sizes=elf.sizes(firmware),
        compiler=compiler,
        flags=elf.compile_flags(firmware),
        platformio=platformio,
        cached=cached,
    )


def compiler_version(core: Core) -> str:
    """The first line of `gcc --version` of the core's toolchain. Raises ToolError if it is not installed."""
    gcc = f"{core.toolchain}gcc"
    try:
        done = subprocess.run(
            [gcc, "--version"], capture_output=True, text=True, errors="replace", timeout=20, check=True
        )
    except OSError as error:
        raise ToolError(
            f"{gcc} is not on PATH; {core.name} firmware needs it",
            tools.install_command(gcc),
        ) from error
    except subprocess.SubprocessError as error:
        raise ToolError(f"{gcc} --version does not answer", f"is {shutil.which(gcc)} intact?") from error
    said = done.stdout.strip().partition("\n")[0]
    if not said:
        raise ToolError(f"{gcc} --version says nothing", f"is {shutil.which(gcc)} intact?")
    return said


def check_cxx_library(core: Core) -> None:
    """Raises ToolError if the core's toolchain has no C++ standard library, which only some projects need."""
    compiler_version(core)
    if not tools.has_cxx_library(core.toolchain):
        raise ToolError(
            f"{core.toolchain}g++ has no C++ standard library, which TFLite Micro needs",
            f"{tools.cxx_library_hint(core.toolchain)}; --engine aot needs none",
        )


def _version(distribution: str) -> str:
    try:
        return tools.version(distribution)
    except metadata.PackageNotFoundError as error:
        raise ToolError(
            f"the Python package {distribution} is not installed", f"pip install {distribution}"
        ) from error


def _build_into(entry: Path, project: Project, board: Board, timeout: float) -> None:
    """Builds in a folder beside `entry`, which comes into being whole, or not at all."""
    work = entry.with_suffix(".work")
    cache.remove(work)  # what a killed process left; nobody else has the lock
    log = paths.cache_dir() / "logs" / f"{entry.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    cache.remove(log)
    try:
        write_files(project, work / "project")
        output = _output(work / "project", project.environment)
        status = _compile(work / "project", output, log, timeout)
        # Of data that RAM has no room for, PlatformIO only warns.
        fits = not _TOO_LARGE.search(log.read_text(errors="replace"))
        if status != 0 or not fits or not (output / "firmware.elf").is_file():
            raise _failure(log, board)
        for objects in [path for path in output.iterdir() if path.is_dir()]:
            shutil.rmtree(objects)  # nothing needs them again: PlatformIO's own cache has them too
        log.rename(work / "build.log")
        made = [path for path in output.iterdir() if path.is_file() and not path.name.startswith(".")]
        cache.seal(work, [*(work / "project" / path for path in project.files), *made, work / "build.log"])
        cache.publish(work, entry)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _compile(folder: Path, output: Path, log: Path, timeout: float) -> int:
    """Runs PlatformIO, and once more if what it took from its cache was not as it had been compiled."""
    objects = object_cache.objects()
    for _ in range(2):
        try:
            status = platformio.run_platformio(folder, log, timeout, *_verbosely())
        finally:
            said = log.read_text(errors="replace") if log.is_file() else ""
            taken = {folder / name for name in _RETRIEVED.findall(said)}
            objects.record(path for path in output.rglob("*") if path not in taken and path.is_file())
        if status == 0 and objects.are_right(taken):
            break
        if not (taken or "cache" in said) or not (objects.sweep() or str(objects.folder) in said):
            break
        shutil.rmtree(output, ignore_errors=True)
    if _verbosely():
        for command in _COMMAND.findall(log.read_text(errors="replace")):
            _logger.info("%s", command)
    return status


def _verbosely() -> tuple[str, ...]:
    """What makes PlatformIO tell of the compiler's command lines, if somebody wants to know them."""
    return ("--verbose",) if _logger.isEnabledFor(logging.INFO) else ()


def _output(folder: Path, environment: str) -> Path:
    return folder / ".pio" / "build" / environment


def _failure(log: Path, board: Board) -> FitError | ToolError:
    """The error that PlatformIO's output tells of."""
    output = log.read_text(errors="replace")
    if overflow := _OVERFLOW.search(output):
        name, memory = ("flash", board.flash) if overflow[1] == "flash" else ("RAM", board.ram)
        return _no_fit(board, name, memory.bytes + int(overflow[2]), memory.bytes)
    if large := _TOO_LARGE.search(output):
        return _no_fit(board, "flash" if large[1] == "program" else "RAM", int(large[2]), int(large[3]))
    if board.downloads and _UNREACHABLE.search(output):
        install = f"pio pkg install --global --platform {board.downloads}"
        return ToolError(
            f"PlatformIO has no platform {board.downloads} here, and cannot get it; its output is in {log}",
            f"where there is a network: {install}",
        )
    first = next((line for line in output.splitlines() if re.search(r"\berror:|^\*\*\* ", line, re.I)), "")
    reason = f": {first.strip()}" if first else ""
    return ToolError(f"PlatformIO could not build the firmware{reason}", f"its whole output is in {log}")


def _no_fit(board: Board, memory: str, needed: int, there: int) -> FitError:
    return FitError(
        f"the firmware needs {needed:,} bytes of {memory}, and {board.id} has {there:,}",
        "choose a board with more, or a smaller model",
    )
