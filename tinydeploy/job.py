"""What every verb that touches a board starts from: a checked model, as an engine's sources."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tinydeploy import boards, build, checks, project, tflite_model, upload
from tinydeploy.boards import Board
from tinydeploy.build import Firmware
from tinydeploy.engines import Engine, EngineSources, Library
from tinydeploy.engines.registry import engine_named
from tinydeploy.errors import UsageError, WrongFirmwareError
from tinydeploy.graph import Graph
from tinydeploy.ports import Port
from tinydeploy.progress import Progress, silent
from tinydeploy.project import SelfTest
from tinydeploy.session import Session
from tinydeploy.targets import Target, choose_target, open_target
from tinydeploy.targets.serial_board import SerialBoard

DEFAULT_ENGINE = "aot"
DEFAULT_LINK = "pipe"


def model_path(model: str | Path) -> Path:
    """The .tflite that `model` names: a file, or a folder that holds one named after it, or just one."""
    path = Path(model)
    if not path.exists():
        raise UsageError(f"no such file: {path}")
    if path.is_file():
        return path
    named = path / f"{path.resolve().name}.tflite"
    found = [named] if named.is_file() else sorted(path.glob("*.tflite"))
    if len(found) != 1:
        raise UsageError(f"{path} holds {len(found) or 'no'} .tflite files", "name the file itself")
    return found[0]


@dataclass(frozen=True, eq=False)
class Job:
    """The refusals are behind us: a graph that an engine has turned into sources, for a board and a link.

    `target` is what the firmware is made for. With a `port` it runs on the board itself, flashed by
    `upload_command` or as its platform does it.
    """

    graph: Graph
    board: Board
    sources: EngineSources
    link: str
    library: Library | None = None
    port: Port | None = None
    upload_command: str = ""
    target: str = "qemu"

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
        progress("building the firmware", 0, 0)
        if self.library and not self.board.downloads:
            build.check_cxx_library(self.board.core)
        return build.build(self.project(arena_bytes), self.board)

    @contextmanager
    def session(self, firmware: Firmware, timeout: float, progress: Progress = silent) -> Iterator[Session]:
        """The firmware running on the board's target, closed on every way out."""
        with Session(self._target(firmware, progress), firmware, self.graph.sha256, timeout) as session:
            runs, built = session.greeting.engine, self.sources.engine
            if runs != built:
                raise WrongFirmwareError(f"the device runs the engine {runs}, not {built}")
            yield session

    def _target(self, firmware: Firmware, progress: Progress) -> Target:
        if self.port is None:
            return open_target(self.board, firmware.elf, self.link, self.target)

        def load(port: str) -> None:
            progress(f"uploading to {port}", 0, 0)
            upload.upload(firmware, self.board, port, self.upload_command)

        return SerialBoard(self.port, load)


def prepare(
    model: str | Path,
    board: str,
    engine: str | Engine,
    link: str,
    *,
    tflm_library: str | None = None,
    port: Port | None = None,
    upload_command: str = "",
    target: str | None = None,
) -> Job:
    """Loads, checks and compiles the model to sources. Raises before anything is built or written.

    `link` counts in QEMU only: elsewhere there is but the UART. `target` is as choose_target says, and
    with a `port` it is the board.
    """
    chosen = engine_named(engine, tflm_library) if isinstance(engine, str) else engine
    target_board = boards.board(board)
    graph = tflite_model.load(model_path(model))
    checks.check(graph, chosen, target_board)
    target = choose_target(target_board, target if port is None else "board")
    if target != "qemu" or target_board.arduino:
        link = "uart"  # an Arduino core has Serial, and no semihosting
    sources, library = chosen.generate(graph, target_board), chosen.library(graph, target_board)
    return Job(graph, target_board, sources, link, library, port, upload_command, target)
