"""The verbs of the command line as typed functions: plain values in, a frozen dataclass out.

They raise the errors of tinydeploy.errors, print nothing, and leave nothing half-written. How to deploy
(board, engine, target, port, …) is one set of keyword arguments, job.Options. What is not given, a
tinydeploy.toml beside the model may say, as for the command line.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, Unpack

from tinydeploy import boards as board_files
from tinydeploy import (
    config,
    failed,
    inspection,
    naming,
    outputs,
    project,
    report,
    selftest,
    sizing,
    tflite_model,
)
from tinydeploy import doctor as doctor_checks
from tinydeploy import fit as board_fit
from tinydeploy import samples as sample_files
from tinydeploy.boards import DEFAULT_BOARD, Board
from tinydeploy.build import Firmware
from tinydeploy.config import Config
from tinydeploy.doctor import Finding
from tinydeploy.engines.registry import engine_names
from tinydeploy.errors import TinydeployError, UsageError
from tinydeploy.evaluation import Way, evaluate
from tinydeploy.fit import Fit
from tinydeploy.graph import Graph
from tinydeploy.inspection import Inspection
from tinydeploy.job import Job, Options, model_path, prepare
from tinydeploy.judgement import Wishes
from tinydeploy.link.device import Greeting
from tinydeploy.logits import without_softmax
from tinydeploy.ports import AUTO, Port
from tinydeploy.progress import Notice, Progress, silent, unsaid
from tinydeploy.result import Result
from tinydeploy.samples import Data, Samples
from tinydeploy.sizing import ArenaReport
from tinydeploy.targets.serial_board import SerialBoard
from tinydeploy.words import DEFAULT_TIMEOUT, SELFTEST_SAMPLES

RANDOM_SAMPLES = 16

Model = str | Path | bytes
"""A .tflite: its path, that of a folder that holds it, or its content."""

# What tinydeploy.toml may settle for which verb.
_SOURCE = ("signature", "logits", "board", "engine", "optimize", "tflm_library")
_MADE = (*_SOURCE, "target", "link")
_AT_PORT = ("port", "upload_command", "dtr", "rts", "timeout")
_DEPLOYED = (*_MADE, *_AT_PORT)
_INSPECTED = ("signature", "logits", "board", "optimize")
_JUDGED = ("data", "samples", "labels", "metric", "output", "threshold")

_Parameters = ParamSpec("_Parameters")
_Returned = TypeVar("_Returned")


def _named(function: Callable[_Parameters, _Returned]) -> Callable[_Parameters, _Returned]:
    """The function, which refuses a keyword that it does not know, and names the nearest that it does."""
    known = {*signature(function).parameters, *Options.__annotations__} - {"options"}

    @functools.wraps(function)
    def checked(*args: _Parameters.args, **keywords: _Parameters.kwargs) -> _Returned:
        for keyword in keywords:
            if keyword not in known:
                near = difflib.get_close_matches(keyword, known, n=1, cutoff=0.5)
                hint = f"; did you mean '{near[0]}'?" if near else f"; it knows {', '.join(sorted(known))}"
                raise TypeError(f"{function.__name__}() has no keyword '{keyword}'{hint}")
        return function(*args, **keywords)

    return checked


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


@_named
def inspect(model: Model, **options: Unpack[Options]) -> Inspection:
    """What the model holds and which engines run it.

    Of `options`, `board`, `optimize`, `signature` and `logits` count.
    """
    settled = _settled(model, options, _INSPECTED)
    board = board_files.board(settled.get("board", DEFAULT_BOARD))
    return inspection.inspect_graph(_load(model, settled), board, settled.get("optimize"))


@_named
def fit(
    model: Model, words: Sequence[str] = (), *, every_goal: bool = False, **options: Unpack[Options]
) -> tuple[Fit, ...]:
    """How the model fits the boards that `words` select, as fit.fits says; of `options`, `logits` counts."""
    graph = _load(model, _settled(model, options, ("logits",)))
    return board_fit.fits(graph, board_files.select(words), every_goal=every_goal)


@_named
def generate(
    model: Model,
    out: str | Path,
    *,
    renode_test: bool = False,
    data: Data | None = None,
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
    settled = _settled(model, options, _MADE, data=data)
    if renode_test:
        target = settled.get("target")
        if target not in (None, "renode"):
            raise UsageError(
                f"a test for Renode cannot be made for the target '{target}'", "leave --target out"
            )
        settled["target"] = "renode"
    elif samples is not None or max_instructions is not None:
        ignored = "samples" if samples is not None else "max_instructions"
        raise UsageError(f"{ignored} is for a self-test, and none was asked for", "add --renode-test")
    data = settled.pop("data", None)
    job = prepare(_load(model, settled), for_board=True, **settled)
    test = None
    if renode_test:
        inputs = _unlabelled(job.graph, data, samples or SELFTEST_SAMPLES)
        test = selftest.make(job, inputs, max_instructions)
    folder = project.write(job.project(job.planned_bytes, test), Path(out))
    for note in job.notes:
        notice(note)
    return folder


@_named
def build(model: Model, *, progress: Progress = silent, **options: Unpack[Options]) -> Firmware:
    """The firmware that `generate` makes, with its sizes, from the cache if nothing changed."""
    settled = _settled(model, options, _MADE)
    progress("compiling the model", 0, 0)
    job = prepare(_load(model, settled), for_board=True, **settled)
    return job.build(job.planned_bytes, progress)


@_named
def arena(
    model: Model,
    *,
    on: str = "target",
    timeout: float | None = None,
    progress: Progress = silent,
    **options: Unpack[Options],
) -> ArenaReport:
    """The arena that the model needs, with its proof.

    With `on="target"` a planned arena is checked there and any other is searched there; with
    `on="host"` TFLite Micro's arena is searched on this machine.
    """
    settled = _settled(model, options, _DEPLOYED, timeout=timeout)
    seconds = settled.pop("timeout", DEFAULT_TIMEOUT)
    graph = _load(model, settled)
    if on == "host":
        return sizing.search_on_host(graph, seconds, progress)
    if on != "target":
        raise UsageError(f"unknown place '{on}'", "an arena is found on 'target' or on 'host'")
    progress("compiling the model", 0, 0)
    job = prepare(graph, **settled).connected()
    if job.planned_bytes is None:
        return sizing.search_on_target(job, job.build(None, progress), seconds, progress)
    firmware = job.build(job.planned_bytes, progress)
    progress("checking the plan on the target", 0, 0)
    with job.session(firmware, seconds, progress) as session:
        return sizing.check_plan(job, session)


@_named
def arena_each(
    model: Model,
    engines: str,
    *,
    timeout: float | None = None,
    progress: Progress = silent,
    **options: Unpack[Options],
) -> tuple[ArenaReport, ...]:
    """`arena` on the target with each of several engines: "aot,tflm"."""
    settled = _settled(model, options, ("optimize",))
    chosen = engine_names(engines, settled.pop("optimize", None))
    options.pop("optimize", None)
    ways: list[dict[str, Any]] = [{**options, **_engine_options(name, goal)} for name, goal in chosen]
    return tuple(arena(model, timeout=timeout, progress=progress, **way) for way in ways)


@_named
def flash(
    model: Model,
    *,
    timeout: float | None = None,
    progress: Progress = silent,
    **options: Unpack[Options],
) -> Flashed:
    """Builds the firmware, uploads it to the board, and makes sure that it runs there."""
    settled = {"port": AUTO} | _settled(model, options, (*_SOURCE, *_AT_PORT), timeout=timeout)
    seconds = settled.pop("timeout", DEFAULT_TIMEOUT)
    progress("compiling the model", 0, 0)
    job = prepare(_load(model, settled), **settled).connected()
    firmware = job.build(job.planned_bytes, progress)
    with job.session(firmware, seconds, progress) as session:
        assert isinstance(session.target, SerialBoard)
        return Flashed(firmware, session.target.port, session.greeting)


@_named
def run(
    model: Model,
    *,
    data: Data | None = None,
    samples: int | None = None,
    labels: Sequence[str] = (),
    metric: str | None = None,
    output: str | int | None = None,
    threshold: float | None = None,
    out: str | Path | None = None,
    timeout: float | None = None,
    progress: Progress = silent,
    **options: Unpack[Options],
) -> tuple[Result, Path]:
    """The whole way: build, load, measure, and write result.json and report.html into the folder returned.

    `data` is an .npz with x and y, or arrays; without it, seeded random inputs are run and no accuracy is
    told. `samples` takes so many, spread over the file. `labels` names the classes. `metric`, a name of
    metrics.METRICS, `output`, by number or tensor name, and `threshold` say how outputs are held against y;
    see docs/accuracy.md. For a board that QEMU does not emulate, the target is the board. A check that failed
    is no exception: verdict.failures(result) names it. What fails on the way from the build on leaves a
    failed.json and a report.html that say how far it came.
    """
    wanted = {"data": data, "samples": samples, "labels": labels or None, "metric": metric, "output": output}
    settled = _settled(
        model, options, (*_DEPLOYED, *_JUDGED, "out"), **wanted, threshold=threshold, out=out, timeout=timeout
    )
    asked = _Run.of(model, settled)
    report.check_writable(asked.folder)
    chosen = asked.samples(progress)
    progress("compiling the model", 0, 0)
    job = prepare(asked.graph, **asked.options).connected()
    result = _evaluated(job, chosen, asked, progress, asked.folder)
    report.write(result, asked.folder)
    return result, asked.folder


@_named
def run_each(
    model: Model,
    engines: Sequence[str],
    *,
    data: Data | None = None,
    samples: int | None = None,
    labels: Sequence[str] = (),
    metric: str | None = None,
    output: str | int | None = None,
    threshold: float | None = None,
    out: str | Path | None = None,
    timeout: float | None = None,
    progress: Progress = silent,
    **options: Unpack[Options],
) -> tuple[tuple[Result, ...], Path]:
    """`run` with each engine, into a folder of its own in the folder returned, and the figures side by side.

    The folder also gets runs.json and a report.html. Nothing is built unless every engine can run the model.
    """
    wanted = {"data": data, "samples": samples, "labels": labels or None, "metric": metric, "output": output}
    settled = _settled(
        model, options, (*_DEPLOYED, *_JUDGED, "out"), **wanted, threshold=threshold, out=out, timeout=timeout
    )
    engines = [name.strip() for name in engines]
    asked = _Run.of(model, settled | {"engine": ",".join(engines)})
    report.check_writable(asked.folder, engines)
    chosen = asked.samples(progress)
    progress("compiling the model", 0, 0)
    goal = asked.options.pop("optimize", None)
    named = engine_names(",".join(engines), goal)
    jobs = [
        prepare(asked.graph, **asked.options | _engine_options(name, goal)).connected()
        for name, goal in named
    ]
    results = tuple(
        _evaluated(job, chosen, asked, progress, asked.folder / engine)
        for engine, job in zip(engines, jobs, strict=True)
    )
    for engine, result in zip(engines, results, strict=True):
        report.write(result, asked.folder / engine)
    report.write_runs(results, asked.folder)
    return results, asked.folder


def usual(model: Model, name: str) -> Any:
    """What the tinydeploy.toml beside the model says of an option; None without one."""
    return None if isinstance(model, bytes) else getattr(config.load(model_path(model)), name)


@dataclass(frozen=True)
class _Run:
    """What a run was asked for: a model, the samples and how they are judged, and where the result goes."""

    graph: Graph
    options: dict[str, Any]
    data: Data | None
    count: int | None
    wishes: Wishes
    folder: Path
    timeout: float

    @classmethod
    def of(cls, model: Model, settled: dict[str, Any]) -> _Run:
        """From all that is settled; only what says how to deploy is left in `options`."""
        graph = _load(model, settled)
        folder = Path(settled.get("out") or Path("tinydeploy-out") / naming.folder_name(graph, settled))
        own = {name: settled.pop(name, None) for name in (*_JUDGED, "out", "timeout")}
        return cls(
            graph,
            settled,
            own["data"],
            own["samples"],
            _wishes(own["metric"], own["output"], own["threshold"], own["labels"] or ()),
            folder,
            own["timeout"] or DEFAULT_TIMEOUT,
        )

    def samples(self, progress: Progress) -> Samples:
        """The samples in the model's own types."""
        progress("reading the samples", 0, 0)
        return _samples(self.graph, self.data, self.count, self.wishes)


def _evaluated(job: Job, samples: Samples, asked: _Run, progress: Progress, folder: Path) -> Result:
    """The result; what fails on the way leaves a report of it in the folder."""
    way = Way()
    try:
        return evaluate(job, samples, timeout=asked.timeout, progress=progress, way=way)
    except TinydeployError as error:
        with suppress(UsageError):  # the error itself is what counts
            report.write_failure(failed.failure(error, job, way), folder)
            error.hint = "; ".join(
                filter(None, (error.hint, f"{folder / 'report.html'} says how far it came"))
            )
        raise


def _engine_options(name: str, optimize: str | None) -> dict[str, Any]:
    return {"engine": name, "optimize": optimize} if optimize else {"engine": name}


def _settled(model: Model, options: Mapping[str, Any], keys: Sequence[str], **own: Any) -> dict[str, Any]:
    """What is given, and what the tinydeploy.toml beside the model says of `keys` besides."""
    file = Config() if isinstance(model, bytes) else config.load(model_path(model))
    return config.settled(file, {**options, **own}, keys)


def _load(model: Model, options: Mapping[str, Any]) -> Graph:
    if isinstance(model, bytes):
        name = f"model-{hashlib.sha256(model).hexdigest()[:8]}.tflite"
        graph = tflite_model.parse(model, name, options.get("signature"))
    else:
        graph = tflite_model.load(model_path(model), options.get("signature"))
    return without_softmax(graph) if options.get("logits") else graph


def _wishes(
    metric: str | None, output: str | int | None, threshold: float | None, labels: Sequence[str]
) -> Wishes:
    return Wishes(metric, None if output is None else str(output), threshold, tuple(labels))


def _samples(graph: Graph, data: Data | None, count: int | None, wishes: Wishes) -> Samples:
    """`count` samples of the file `data`, held against its labels; without a file, random inputs."""
    if data is not None:
        return sample_files.load(data, graph, count, wishes)
    if wishes.metric is not None or wishes.threshold is not None:
        raise UsageError("a metric or a threshold needs labels", "give --data, an .npz with x and y")
    if wishes.output is not None:
        outputs.named(graph, wishes.output)
    return sample_files.random(graph, count or RANDOM_SAMPLES, sizing.SEED)


def _unlabelled(graph: Graph, data: Data | None, count: int) -> Samples:
    if data is not None:
        return sample_files.load(data, graph, count, labelled=False)
    return sample_files.random(graph, count, sizing.SEED)
