"""The verbs of the command line as typed functions: plain values in, a frozen dataclass out.

They raise the errors of tinydeploy.errors, print nothing, and leave nothing half-written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinydeploy import boards as board_files
from tinydeploy import doctor as doctor_checks
from tinydeploy import inspection, ports, project, report, selftest, sizing, tflite_model
from tinydeploy import samples as sample_files
from tinydeploy.boards import DEFAULT_BOARD, Board
from tinydeploy.build import Firmware
from tinydeploy.doctor import Finding
from tinydeploy.engines import Engine
from tinydeploy.errors import UsageError
from tinydeploy.evaluation import evaluate
from tinydeploy.graph import Graph
from tinydeploy.inspection import Inspection
from tinydeploy.job import DEFAULT_ENGINE, DEFAULT_LINK, model_path, prepare
from tinydeploy.link.device import Greeting
from tinydeploy.ports import AUTO, Port
from tinydeploy.progress import Progress, silent
from tinydeploy.result import Result
from tinydeploy.samples import Samples
from tinydeploy.sizing import ArenaReport
from tinydeploy.targets import choose_target

DEFAULT_TIMEOUT = 30.0  # seconds
RANDOM_SAMPLES = 16
SELFTEST_SAMPLES = 3


@dataclass(frozen=True)
class Flashed:
    """A board that runs the firmware just uploaded: its port, and how it has answered there."""

    firmware: Firmware
    port: Port
    greeting: Greeting


def doctor() -> tuple[Finding, ...]:
    """What is installed, what is missing, and the command that installs it."""
    return doctor_checks.doctor()


def boards() -> tuple[Board, ...]:
    """Every board."""
    return board_files.all_boards()


def inspect(model: str | Path) -> Inspection:
    """What the model holds and where it can run."""
    return inspection.inspect_graph(tflite_model.load(model_path(model)))


def generate(
    model: str | Path,
    out: str | Path,
    *,
    board: str = DEFAULT_BOARD,
    engine: str | Engine = DEFAULT_ENGINE,
    link: str = DEFAULT_LINK,
    target: str | None = None,
    tflm_library: str | None = None,
    renode_test: bool = False,
    data: str | Path | None = None,
    samples: int | None = None,
    max_instructions: int | None = None,
) -> Path:
    """Writes a PlatformIO project that stands on its own into the folder `out`, and returns it.

    With `renode_test` it has a self-test for Renode too: the first `samples` of `data`, or of seeded random
    inputs, with the outputs that they should give, in a suite for renode-test. There an inference
    may take `max_instructions`.
    """
    if renode_test and target not in (None, "renode"):
        raise UsageError(f"a test for Renode cannot be made for the target '{target}'", "leave --target out")
    chosen = "renode" if renode_test else target
    job = prepare(model, board, engine, link, tflm_library=tflm_library, target=chosen)
    test = None
    if renode_test:
        inputs = _samples(job.graph, data, samples or SELFTEST_SAMPLES, SELFTEST_SAMPLES)
        test = selftest.make(job, inputs, max_instructions)
    return project.write(job.project(job.planned_bytes, test), Path(out))


def build(
    model: str | Path,
    *,
    board: str = DEFAULT_BOARD,
    engine: str | Engine = DEFAULT_ENGINE,
    link: str = DEFAULT_LINK,
    target: str | None = None,
    tflm_library: str | None = None,
    progress: Progress = silent,
) -> Firmware:
    """The firmware with its sizes, from the cache if nothing changed."""
    job = prepare(model, board, engine, link, tflm_library=tflm_library, target=target)
    return job.build(job.planned_bytes, progress)


def arena(
    model: str | Path,
    *,
    board: str = DEFAULT_BOARD,
    engine: str | Engine = DEFAULT_ENGINE,
    link: str = DEFAULT_LINK,
    target: str | None = None,
    tflm_library: str | None = None,
    on: str = "target",
    port: str | None = None,
    upload_command: str = "",
    timeout: float = DEFAULT_TIMEOUT,
    progress: Progress = silent,
) -> ArenaReport:
    """The arena that the model needs, with its proof.

    With `on="target"` a planned arena is checked there and any other is searched there; with
    `on="host"` TFLite Micro's arena is searched on this machine.
    """
    if on == "host":
        return sizing.search_on_host(tflite_model.load(model_path(model)), timeout, progress)
    if on != "target":
        raise UsageError(f"unknown place '{on}'", "an arena is found on 'target' or on 'host'")
    job = prepare(
        model,
        board,
        engine,
        link,
        tflm_library=tflm_library,
        port=_port(board, port, target),
        upload_command=upload_command,
        target=target,
    )
    if job.planned_bytes is None:
        return sizing.search_on_target(job, timeout, progress)
    with job.session(job.build(job.planned_bytes, progress), timeout, progress) as session:
        return sizing.check_plan(job, session)


def flash(
    model: str | Path,
    *,
    board: str = DEFAULT_BOARD,
    engine: str | Engine = DEFAULT_ENGINE,
    port: str = AUTO,
    upload_command: str = "",
    timeout: float = DEFAULT_TIMEOUT,
    progress: Progress = silent,
) -> Flashed:
    """Builds the firmware, uploads it to the board at `port`, and makes sure that it runs there.

    `port` is a device, a USB serial number, or "auto": the one port with the board's USB ids.
    `upload_command` takes the place of the way in which the board's PlatformIO platform uploads.
    """
    found = ports.find(port, board_files.board(board))
    job = prepare(model, board, engine, DEFAULT_LINK, port=found, upload_command=upload_command)
    firmware = job.build(job.planned_bytes, progress)
    with job.session(firmware, timeout, progress) as session:
        return Flashed(firmware, found, session.greeting)


def run(
    model: str | Path,
    *,
    board: str = DEFAULT_BOARD,
    engine: str | Engine = DEFAULT_ENGINE,
    data: str | Path | None = None,
    samples: int | None = None,
    labels: Sequence[str] = (),
    out: str | Path | None = None,
    link: str = DEFAULT_LINK,
    target: str | None = None,
    tflm_library: str | None = None,
    port: str | None = None,
    upload_command: str = "",
    timeout: float = DEFAULT_TIMEOUT,
    progress: Progress = silent,
) -> tuple[Result, Path]:
    """The whole way: build, load, measure, and write result.json and report.html into the folder returned.

    `data` is an .npz with x and y; without it, seeded random inputs are run and no accuracy is told.
    `samples` takes the first so many. `labels` names the classes. With a `port`, or for a board that
    nothing here emulates, the target is the board, and `port` and `upload_command` are as in flash().
    """
    path = model_path(model)
    graph = tflite_model.load(path)
    folder = _folder(path, board, out)
    report.check_writable(folder)
    found = _port(board, port, target)
    chosen = _samples(graph, data, samples, RANDOM_SAMPLES)
    job = prepare(
        path,
        board,
        engine,
        link,
        tflm_library=tflm_library,
        port=found,
        upload_command=upload_command,
        target=target,
    )
    result = evaluate(job, chosen, labels=labels, timeout=timeout, progress=progress)
    report.write(result, folder)
    return result, folder


def run_each(
    model: str | Path,
    engines: Sequence[str],
    *,
    board: str = DEFAULT_BOARD,
    out: str | Path | None = None,
    link: str = DEFAULT_LINK,
    target: str | None = None,
    tflm_library: str | None = None,
    **options: Any,
) -> tuple[tuple[Result, ...], Path]:
    """`run` with each engine, into a folder of its own in the folder returned, and the figures side by side.

    The folder also gets runs.json and a report.html. `options` are `run`'s. Nothing is built unless every
    engine can run the model.
    """
    path = model_path(model)
    folder = _folder(path, board, out)
    for engine in engines:
        prepare(path, board, engine, link, tflm_library=tflm_library, target=target)
    common = {"board": board, "link": link, "target": target, "tflm_library": tflm_library, **options}
    results = tuple(run(path, engine=engine, out=folder / engine, **common)[0] for engine in engines)
    report.write_runs(results, folder)
    return results, folder


def _folder(model: Path, board: str, out: str | Path | None) -> Path:
    return Path(out) if out else Path("tinydeploy-out") / f"{model.stem}-{board_files.board(board).id}"


def _port(board: str, port: str | None, target: str | None) -> Port | None:
    """The board's port, if it is the board that is meant to run the firmware, and no emulator."""
    chosen = board_files.board(board)
    if port is None and choose_target(chosen, target) != "board":
        return None
    if target not in (None, "board"):
        raise UsageError(f"the target '{target}' is at no port", "leave out --port, or --target")
    return ports.find(port or AUTO, chosen)


def _samples(graph: Graph, data: str | Path | None, count: int | None, random: int) -> Samples:
    """The first `count` samples of the file `data`; without a file, `count` or `random` random inputs."""
    if data is None:
        return sample_files.random(graph, count or random, sizing.SEED)
    return sample_files.load(Path(data), graph, count)
