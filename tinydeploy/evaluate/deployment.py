"""A deployment (Job): what every verb that touches a board starts from, a checked model as sources."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

from tinydeploy.boards import lookup
from tinydeploy.boards.board import Board, Lines
from tinydeploy.engines.engine import EngineSources, Library
from tinydeploy.engines.engine_registry import DEFAULT_ENGINE, engine_named
from tinydeploy.errors import ModelError, TargetError, UsageError, WrongFirmwareError
from tinydeploy.evaluate import board_checks
from tinydeploy.evaluate.keyword_types import Deploying
from tinydeploy.evaluate.option_table import AT_PORT
from tinydeploy.firmware import build, elf, project
from tinydeploy.firmware.build import Firmware
from tinydeploy.firmware.made_for import Application, SelfTest
from tinydeploy.link.messages import MAX_TENSORS
from tinydeploy.model.graph import Graph
from tinydeploy.model.readers import foreign
from tinydeploy.progress import Progress, silent
from tinydeploy.results.setting import LibraryInfo
from tinydeploy.targets import ports, upload
from tinydeploy.targets.ports import Port
from tinydeploy.targets.session import Session
from tinydeploy.targets.target import Target, TargetKind, check_link
from tinydeploy.targets.target_registry import (
    KINDS,
    choose_target,
    means_nothing,
    open_target,
    target_at_port,
)
from tinydeploy.words import ARENAS, DEFAULT_BOARD, LEVELS


def model_path(model: str | Path) -> Path:
    """The .tflite that `model` names: a file, or a folder that holds one named after it, or just one."""
    if not isinstance(model, str | Path):
        raise UsageError(f"the model is {type(model).__name__} where a path, or a file's bytes, are wanted")
    path = Path(model)
    try:
        if not path.exists():
            raise UsageError(f"no such file: {path}")
        if path.is_file():
            return path
        named = path / f"{path.resolve().name}.tflite"
        found = [named] if named.is_file() else sorted(path.glob("*.tflite"))
        if not found and (known := foreign.folder(path)):
            raise UsageError(*known)
    except (OSError, ValueError) as error:  # a name that is too long, a folder that may not be read
        raise UsageError(f"cannot look for {path}: {getattr(error, 'strerror', None) or error}") from error
    if len(found) != 1:
        raise UsageError(f"{path} holds {len(found) or 'no'} .tflite files", "name the file itself")
    return found[0]


@dataclass(frozen=True, eq=False)
class Job:
    """The refusals are behind us: a graph that an engine has turned into sources, for a board and a link.

    `target` is what the firmware is made for and runs on. If that is at a port, then at `port`, flashed by
    `upload_command` or as its platform does it, and with its control lines as `lines` says. `port_name` is
    empty if nobody has said that it is the board. Without an `app` it serves tinydeploy's host; with
    `trigger` it tells a meter of each inference.
    """

    graph: Graph
    board: Board
    sources: EngineSources
    link: str
    library: Library | None
    target: TargetKind
    port_name: str
    upload_command: str
    no_upload: bool
    lines: Lines
    port: Port | None = None
    app: Application | None = None
    trigger: bool = False

    def connected(self) -> Job:
        """The same with its port found, if it runs on the board. Raises TargetError or UsageError."""
        if "port" not in self.target.options:
            return self
        port = ports.find(self.port_name or ports.AUTO, self.board)
        if self.no_upload and port.is_due:
            raise TargetError(f"no port of the board {self.board.name} is there", "is it plugged in?")
        return replace(self, port=port)

    def with_trigger(self) -> Job:
        """The same whose firmware drives the trigger pin. Raises UsageError where no pin is known."""
        if self.board.trigger is None:
            raise UsageError(f"no pin of {self.board.name} is known that could be a meter's trigger")
        return replace(self, trigger=True)

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to know of the firmware before it is used."""
        return project.notes(self.board, self.target, self.library)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to warn of whatever the firmware does: its library, its target, where its arena is."""
        library = self.library.warnings if self.library else ()
        return (*library, *self.target.warnings(self.board), *filter(None, [self.board.placement]))

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
            by_hand=self.target.by_hand(self.board, project.firmware_path(self.board), port),
            app=self.app,
            trigger=self.trigger,
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
    def session(
        self, firmware: Firmware, timeout: float, progress: Progress = silent, *, recording: bool = False
    ) -> Iterator[Session]:
        """The firmware running on the board's target, closed on every way out.

        With `recording` the target says what is executed, where it `records`.
        """
        session = Session(self.opened(firmware, progress, recording), firmware, self.graph.sha256, timeout)
        with self._greeted(session):
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

    @contextmanager
    def _greeted(self, session: Session) -> Iterator[None]:
        try:
            with session:
                yield
        except WrongFirmwareError as error:
            if self.no_upload:
                raise WrongFirmwareError(error.message, "without --no-upload it is loaded") from error
            raise

    def opened(self, firmware: Firmware, progress: Progress, recording: bool = False) -> Target:
        """The target that runs the firmware, not yet started."""

        def load(port: str) -> None:
            progress(f"uploading to {port}", 0, 0)
            upload.upload(firmware, self.board, port, self.upload_command)

        return open_target(
            self.board,
            firmware.elf,
            self.link,
            self.target,
            port=self.port,
            load=None if self.no_upload else load,
            lines=self.lines,
            recording=recording,
        )


def prepare(graph: Graph, *, for_board: bool = False, **options: Unpack[Deploying]) -> Job:
    """Checks the model and compiles it to sources. Raises before anything is built or written.

    With `for_board` the firmware is for the board itself, wherever there is one, if no target is named.
    """
    board = _placed(lookup.board(options.get("board", DEFAULT_BOARD)), options.get("arena", ARENAS[0]))
    named, port = options.get("target"), options.get("port")
    if port is not None and named is None:
        named = target_at_port().name
    target = choose_target(board, named, for_board=for_board)
    if port is not None and "port" not in target.options:
        raise UsageError(f"the target '{named}' is at no port", "leave out --port, or --target")
    board = target.made_for(board)
    _refuse_what_is_ignored(board, target, options)
    engine = options.get("engine", DEFAULT_ENGINE)
    if isinstance(engine, str):
        engine = engine_named(engine, options.get("optimize"), options.get("tflm_library"))
    tensors = len(graph.inputs) + len(graph.outputs)
    if tensors > MAX_TENSORS:
        raise ModelError(
            f"the model has {tensors} inputs and outputs, and the link to the firmware carries {MAX_TENSORS}",
            "join some by CONCATENATION, in the model",
        )
    board_checks.check(graph, engine, board)
    sources = engine.generate(graph, board)
    if sources.arena is not None:
        board_checks.check_arena(sources.arena.bytes, board)
    if options.get("no_upload") and sources.arena is None:
        raise UsageError(
            f"the arena of the engine {sources.engine} has to be searched, with a firmware of its own",
            "leave out --no-upload",
        )
    return Job(
        graph,
        board,
        sources,
        options.get("link") or target.links(board)[0],
        engine.library(graph, board),
        target,
        port or "",
        options.get("upload_command", ""),
        options.get("no_upload", False),
        Lines(options.get("dtr", board.lines.dtr), options.get("rts", board.lines.rts)),
    )


def _placed(board: Board, arena: str) -> Board:
    """The board with its arena where it is wanted. Raises UsageError for a place that it has not."""
    if arena not in ARENAS:
        raise UsageError(f"an arena cannot be in '{arena}'", f"it is in {' or '.join(ARENAS)}")
    if arena == ARENAS[0]:
        return board
    if board.psram is None:
        able = ", ".join(one.id for one in lookup.all_boards() if one.psram)
        raise UsageError(
            f"{board.id} has no PSRAM for the arena",
            f"leave out --arena, or take {able}, or one of PlatformIO's that has it: pio:ID",
        )
    return replace(board, arena_in_psram=True)


def _refuse_what_is_ignored(board: Board, target: TargetKind, options: Deploying) -> None:
    """Raises UsageError for an option that means nothing to the target."""
    if (link := options.get("link")) is not None:
        _check_link(board, target, link)
    alien = means_nothing(target)
    ignored = [name for name in AT_PORT if options.get(name) and name in alien]
    if ignored:
        flag = "--" + ignored[0].replace("_", "-")
        raise UsageError(f"{flag} is for a board, and this runs in {target.title}", "add --port")
    lines = [name for name in ("dtr", "rts") if options.get(name)]
    if lines and (options.get("port") or "").startswith("socket://"):
        raise UsageError(f"a port socket:// has no line {lines[0].upper()}", f"leave out --{lines[0]}")
    for name in lines:
        if (level := options.get(name)) not in LEVELS:
            raise UsageError(f"{name.upper()} cannot be '{level}'", f"it is one of {', '.join(LEVELS)}")


def _check_link(board: Board, target: TargetKind, link: str) -> None:
    """Raises UsageError unless the target has this link to the board's firmware."""
    check_link(link)
    links = target.links(board)
    if link in links:
        return
    if link.partition("-")[0] in links:  # the firmware is the same, and only this way to it is another's
        owner = next(kind.title for kind in KINDS.values() if link in kind.ways)
        raise UsageError(f"the link '{link}' is {owner}'s", "leave out --link")
    where = target.title if target.is_emulator and link not in target.ways else board.name
    raise UsageError(f"there is no link '{link}' to {where}", "leave out --link: it is the UART")
