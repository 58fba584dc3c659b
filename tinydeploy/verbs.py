"""The verbs of the command line as typed functions: plain values in, a frozen dataclass out.

They raise the errors of tinydeploy.errors, print nothing, and leave nothing half-written. How to deploy
(board, engine, target, port, …) is one set of keyword arguments, job.Options.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Unpack

from tinydeploy import boards as board_files
from tinydeploy import doctor as doctor_checks
from tinydeploy import fit as board_fit
from tinydeploy import inspection, outputs, project, report, selftest, sizing, tflite_model
from tinydeploy import samples as sample_files
from tinydeploy.boards import DEFAULT_BOARD, Board
from tinydeploy.build import Firmware
from tinydeploy.doctor import Finding
from tinydeploy.engines.registry import engine_names
from tinydeploy.errors import UsageError
from tinydeploy.evaluation import evaluate
from tinydeploy.fit import Fit
from tinydeploy.graph import Graph
from tinydeploy.inspection import Inspection
from tinydeploy.job import Options, model_path, prepare
from tinydeploy.judgement import Wishes
from tinydeploy.link.device import Greeting
from tinydeploy.logits import without_softmax
from tinydeploy.ports import AUTO, Port
from tinydeploy.progress import Notice, Progress, silent, unsaid
from tinydeploy.result import Result
from tinydeploy.samples import Samples
from tinydeploy.sizing import ArenaReport
from tinydeploy.targets.serial_board import SerialBoard

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


def inspect(model: str | Path, **options: Unpack[Options]) -> Inspection:
    """What the model holds and which engines run it.

    Of `options`, `board`, `optimize`, `signature` and `logits` count.
    """
    board = board_files.board(options.get("board", DEFAULT_BOARD))
    return inspection.inspect_graph(_load(model, options), board, options.get("optimize"))


def fit(
    model: str | Path, words: Sequence[str] = (), *, every_goal: bool = False, **options: Unpack[Options]
) -> tuple[Fit, ...]:
    """How the model fits the boards that `words` select, as fit.fits says; of `options`, `logits` counts."""
    return board_fit.fits(_load(model, options), board_fit.select(words), every_goal=every_goal)


def generate(
    model: str | Path,
    out: str | Path,
    *,
    renode_test: bool = False,
    data: str | Path | None = None,
    samples: int | None = None,
    max_instructions: int | None = None,
    notice: Notice = unsaid,
    **options: Unpack[Options],
) -> Path:
    """Writes a PlatformIO project that stands on its own into the folder `out`, and returns it.

    It is for the board itself, wherever there is such a board, if no `target` is named. `notice` is told
    what there is to know of it.
    With `renode_test` it has a self-test for Renode too: so many `samples` of `data`, or of seeded random
    inputs, with the outputs that they should give, in a suite for renode-test. There an inference
    may take `max_instructions`.
    """
    if renode_test:
        target = options.get("target")
        if target not in (None, "renode"):
            raise UsageError(
                f"a test for Renode cannot be made for the target '{target}'", "leave --target out"
            )
        options["target"] = "renode"
    elif samples is not None or max_instructions is not None:
        ignored = "samples" if samples is not None else "max_instructions"
        raise UsageError(f"{ignored} is for a self-test, and none was asked for", "add --renode-test")
    job = prepare(_load(model, options), for_board=True, **options)
    test = None
    if renode_test:
        inputs = _unlabelled(job.graph, data, samples or SELFTEST_SAMPLES)
        test = selftest.make(job, inputs, max_instructions)
    folder = project.write(job.project(job.planned_bytes, test), Path(out))
    for note in job.notes:
        notice(note)
    return folder


def build(model: str | Path, *, progress: Progress = silent, **options: Unpack[Options]) -> Firmware:
    """The firmware that `generate` makes, with its sizes, from the cache if nothing changed."""
    job = prepare(_load(model, options), for_board=True, **options)
    return job.build(job.planned_bytes, progress)


def arena(
    model: str | Path,
    *,
    on: str = "target",
    timeout: float = DEFAULT_TIMEOUT,
    progress: Progress = silent,
    **options: Unpack[Options],
) -> ArenaReport:
    """The arena that the model needs, with its proof.

    With `on="target"` a planned arena is checked there and any other is searched there; with
    `on="host"` TFLite Micro's arena is searched on this machine.
    """
    graph = _load(model, options)
    if on == "host":
        return sizing.search_on_host(graph, timeout, progress)
    if on != "target":
        raise UsageError(f"unknown place '{on}'", "an arena is found on 'target' or on 'host'")
    job = prepare(graph, **options).connected()
    if job.planned_bytes is None:
        return sizing.search_on_target(job, job.build(None, progress), timeout, progress)
    with job.session(job.build(job.planned_bytes, progress), timeout, progress) as session:
        return sizing.check_plan(job, session)


def arena_each(
    model: str | Path,
    engines: str,
    *,
    timeout: float = DEFAULT_TIMEOUT,
    progress: Progress = silent,
    **options: Unpack[Options],
) -> tuple[ArenaReport, ...]:
    """`arena` on the target with each of several engines: "aot,tflm"."""
    chosen = engine_names(engines, options.pop("optimize", None))
    return tuple(
        arena(model, timeout=timeout, progress=progress, **options | _engine_options(name, goal))
        for name, goal in chosen
    )


def flash(
    model: str | Path,
    *,
    timeout: float = DEFAULT_TIMEOUT,
    progress: Progress = silent,
    **options: Unpack[Options],
) -> Flashed:
    """Builds the firmware, uploads it to the board, and makes sure that it runs there."""
    job = prepare(_load(model, options), **options | {"port": options.get("port") or AUTO}).connected()
    firmware = job.build(job.planned_bytes, progress)
    with job.session(firmware, timeout, progress) as session:
        assert isinstance(session.target, SerialBoard)
        return Flashed(firmware, session.target.port, session.greeting)


def run(
    model: str | Path,
    *,
    data: str | Path | None = None,
    samples: int | None = None,
    labels: Sequence[str] = (),
    metric: str | None = None,
    output: str | int | None = None,
    threshold: float | None = None,
    out: str | Path | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    progress: Progress = silent,
    **options: Unpack[Options],
) -> tuple[Result, Path]:
    """The whole way: build, load, measure, and write result.json and report.html into the folder returned.

    `data` is an .npz with x and y; without it, seeded random inputs are run and no accuracy is told.
    `samples` takes so many, spread over the file. `labels` names the classes. `metric`, a name of
    metrics.METRICS, `output`, by number or tensor name, and `threshold` say how outputs are held against y;
    see docs/accuracy.md. For a board that QEMU does not emulate, the target is the board. A check that failed
    is no exception: verdict.failures(result) names it.
    """
    graph = _load(model, options)
    folder = _folder(graph, out, options)
    report.check_writable(folder)
    chosen = _samples(graph, data, samples, _wishes(metric, output, threshold, labels))
    job = prepare(graph, **options).connected()
    result = evaluate(job, chosen, timeout=timeout, progress=progress)
    report.write(result, folder)
    return result, folder


def run_each(
    model: str | Path,
    engines: Sequence[str],
    *,
    data: str | Path | None = None,
    samples: int | None = None,
    labels: Sequence[str] = (),
    metric: str | None = None,
    output: str | int | None = None,
    threshold: float | None = None,
    out: str | Path | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    progress: Progress = silent,
    **options: Unpack[Options],
) -> tuple[tuple[Result, ...], Path]:
    """`run` with each engine, into a folder of its own in the folder returned, and the figures side by side.

    The folder also gets runs.json and a report.html. Nothing is built unless every engine can run the model.
    """
    graph = _load(model, options)
    folder = _folder(graph, out, options)
    report.check_writable(folder, engines)
    chosen = _samples(graph, data, samples, _wishes(metric, output, threshold, labels))
    named = engine_names(",".join(engines), options.pop("optimize", None))
    jobs = [prepare(graph, **options | _engine_options(name, goal)).connected() for name, goal in named]
    results = tuple(evaluate(job, chosen, timeout=timeout, progress=progress) for job in jobs)
    for engine, result in zip(engines, results, strict=True):
        report.write(result, folder / engine)
    report.write_runs(results, folder)
    return results, folder


def _engine_options(name: str, optimize: str | None) -> Options:
    return {"engine": name, "optimize": optimize} if optimize else {"engine": name}


def _load(model: str | Path, options: Options) -> Graph:
    graph = tflite_model.load(model_path(model), options.get("signature"))
    return without_softmax(graph) if options.get("logits") else graph


def _folder(graph: Graph, out: str | Path | None, options: Options) -> Path:
    if out:
        return Path(out)
    board = board_files.board(options.get("board", DEFAULT_BOARD))
    return Path("tinydeploy-out") / f"{Path(graph.path).stem}-{board.id}"


def _wishes(
    metric: str | None, output: str | int | None, threshold: float | None, labels: Sequence[str]
) -> Wishes:
    return Wishes(metric, None if output is None else str(output), threshold, tuple(labels))


def _samples(graph: Graph, data: str | Path | None, count: int | None, wishes: Wishes) -> Samples:
    """`count` samples of the file `data`, held against its labels; without a file, random inputs."""
    if data is not None:
        return sample_files.load(Path(data), graph, count, wishes)
    if wishes.metric is not None or wishes.threshold is not None:
        raise UsageError("a metric or a threshold needs labels", "give --data, an .npz with x and y")
    if wishes.output is not None:
        outputs.named(graph, wishes.output)
    return sample_files.random(graph, count or RANDOM_SAMPLES, sizing.SEED)


def _unlabelled(graph: Graph, data: str | Path | None, count: int) -> Samples:
    if data is not None:
        return sample_files.load(Path(data), graph, count, labelled=False)
    return sample_files.random(graph, count, sizing.SEED)
