"""What every verb that touches a board starts from: a checked model, as an engine's sources."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, Unpack

from tinydeploy import boards, build, checks, elf, foreign, ports, project, upload
from tinydeploy.boards import DEFAULT_BOARD, Board
from tinydeploy.build import Firmware
from tinydeploy.engines import Engine, EngineSources, Library
from tinydeploy.engines.registry import engine_named
from tinydeploy.errors import UsageError, WrongFirmwareError
from tinydeploy.graph import Graph
from tinydeploy.ports import Port
from tinydeploy.progress import Progress, silent
from tinydeploy.project import SelfTest
from tinydeploy.result import LibraryInfo
from tinydeploy.session import Session
from tinydeploy.targets import Target, choose_target, open_target
from tinydeploy.targets.serial_board import SerialBoard

DEFAULT_ENGINE = "aot"
DEFAULT_LINK = "pipe"


class Options(TypedDict, total=False):
    """How to deploy a model; the defaults are prepare()'s.

    `signature` names one of the file's functions; the first is the default. `logits` leaves out the SOFTMAX
    at the model's end. `engine` may be one that is not in the registry.
    `optimize` is what the aot engine strives for, one of its GOALS. `link` counts in QEMU only: elsewhere
    there is but the UART. `target` is as choose_target says. `port` is a device, a USB serial number, or
    "auto" for the one port with the board's USB ids; with it the target is the board, flashed by
    `upload_command` or as its PlatformIO platform does it.
    """

    signature: str | None
    logits: bool
    board: str
    engine: str | Engine
    optimize: str
    tflm_library: str | None
    target: str | None
    link: str
    port: str | None
    upload_command: str


def model_path(model: str | Path) -> Path:
    """The .tflite that `model` names: a file, or a folder that holds one named after it, or just one."""
    path = Path(model)
    try:
        if not path.exists():
            raise UsageError(f"no such file: {path}")
        if path.is_file():
            return path
        named = path / f"{path.resolve().name}.tflite"
        found = [named] if named.is_file() else sorted(path.glob("*.tflite"))
    except (OSError, ValueError) as error:  # a name that is too long, a folder that may not be read
        raise UsageError(f"cannot look for {path}: {getattr(error, 'strerror', None) or error}") from error
    if not found and (known := foreign.folder(path)):
        raise UsageError(*known)
    if len(found) != 1:
        raise UsageError(f"{path} holds {len(found) or 'no'} .tflite files", "name the file itself")
    return found[0]


@dataclass(frozen=True, eq=False)
class Job:
    """The refusals are behind us: a graph that an engine has turned into sources, for a board and a link.

    `target` is what the firmware is made for and runs on. If that is the board, then at `port`, flashed by
    `upload_command` or as its platform does it.
    """

    graph: Graph
    board: Board
    sources: EngineSources
    link: str
    library: Library | None
    target: str
    port_name: str
    upload_command: str
    port: Port | None = None

    def connected(self) -> Job:
        """The same with its port found, if it runs on the board. Raises PortError or UsageError."""
        if self.target != "board":
            return self
        return replace(self, port=ports.find(self.port_name, self.board))

    @property
    def planned_bytes(self) -> int | None:
        """The planned arena's size; None if it has to be searched."""
        return self.sources.arena.bytes if self.sources.arena else None

    def project(self, arena_bytes: int | None, selftest: SelfTest | None = None) -> project.Project:
        """The firmware project; without a size the arena is all RAM left free, and the host names a size."""
        port = self.link.partition("-")[0]  # uart-tcp is the same firmware as uart
        return project.generate(
            self.graph,
            self.board,
            self.sources,
            port,
            arena_bytes,
            self.library,
            target=self.target,
            selftest=selftest,
        )

    def build(self, arena_bytes: int | None, progress: Progress) -> Firmware:
        """The firmware of `project(arena_bytes)`."""
        first = " (TFLite Micro's first build takes a minute or more)" if self.library else ""
        progress(f"building the firmware{first}", 0, 0)
        if self.library and not self.board.downloads:
            build.check_cxx_library(self.board.core)
        return build.build(self.project(arena_bytes), self.board)

    def library_info(self, firmware: Firmware) -> LibraryInfo | None:
        """What `firmware` really holds of the library, read from its ELF; None without a library."""
        library = self.library
        if library is None:
            return None
        names = elf.functions(firmware.elf)
        kernels = {}
        for kind in sorted({op.kind for op in self.graph.running}):
            found = [
                makers
                for makers, prefix in library.kernels.get(kind, {}).items()
                if any(name.startswith(prefix) for name in names)
            ]
            kernels[kind] = found[0] if found else "reference"
        flags = (*elf.compile_flags(firmware.elf, "tensorflow/lite/micro/"), *library.flags)
        return LibraryInfo(library.name, library.version, kernels, tuple(dict.fromkeys(flags)))

    @contextmanager
    def session(self, firmware: Firmware, timeout: float, progress: Progress = silent) -> Iterator[Session]:
        """The firmware running on the board's target, closed on every way out."""
        with Session(self._open(firmware, progress), firmware, self.graph.sha256, timeout) as session:
            greeting = session.greeting
            runs, built = greeting.engine, self.sources.engine
            if runs != built:
                raise WrongFirmwareError(f"the device runs the engine {runs}, not {built}")
            found = (greeting.inputs, greeting.outputs, greeting.ops)
            if found != (len(self.graph.inputs), len(self.graph.outputs), len(self.sources.profiled_ops)):
                raise WrongFirmwareError(
                    "the device tells of {} inputs, {} outputs and {} ops: not this model's".format(*found)
                )
            yield session

    def _open(self, firmware: Firmware, progress: Progress) -> Target:
        if self.port is None:
            return open_target(self.board, firmware.elf, self.link, self.target)

        def load(port: str) -> None:
            progress(f"uploading to {port}", 0, 0)
            upload.upload(firmware, self.board, port, self.upload_command)

        return SerialBoard(self.port, load)


def prepare(graph: Graph, **options: Unpack[Options]) -> Job:
    """Checks the model and compiles it to sources. Raises before anything is built or written."""
    board = boards.board(options.get("board", DEFAULT_BOARD))
    target, port = options.get("target"), options.get("port")
    if port is not None and target not in (None, "board"):
        raise UsageError(f"the target '{target}' is at no port", "leave out --port, or --target")
    target = choose_target(board, "board" if port is not None else target)
    engine = options.get("engine", DEFAULT_ENGINE)
    if isinstance(engine, str):
        engine = engine_named(engine, options.get("optimize"), options.get("tflm_library"))
    checks.check(graph, engine, board)
    sources = engine.generate(graph, board)
    if sources.arena is not None:
        checks.check_arena(sources.arena.bytes, board)
    link = options.get("link", DEFAULT_LINK)
    if target != "qemu" or board.arduino:
        link = "uart"  # an Arduino core has Serial, and no semihosting
    return Job(
        graph,
        board,
        sources,
        link,
        engine.library(graph, board),
        target,
        port or ports.AUTO,
        options.get("upload_command", ""),
    )
