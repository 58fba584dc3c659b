"""The verbs of the command line as typed functions: plain values in, a frozen dataclass out.

They raise the errors of tinydeploy.errors, print nothing, and leave nothing half-written. How to deploy
(board, engine, target, port, …) is one set of keywords, keyword_types.Deploying. What is not given, a
tinydeploy.toml beside the model may say, as for the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

from tinydeploy import diagnosis as doctor_checks
from tinydeploy.boards import lookup as board_files
from tinydeploy.boards.board import Board
from tinydeploy.diagnosis import Finding
from tinydeploy.engines.engine_registry import engine_names
from tinydeploy.errors import TinydeployError, UsageError
from tinydeploy.estimate import points as point_files
from tinydeploy.evaluate import arena_sizing, breakdown, calibration, config, failed_run, inspection
from tinydeploy.evaluate import fit as board_fit
from tinydeploy.evaluate import other_boards as board_fits
from tinydeploy.evaluate.arena_sizing import ArenaReport
from tinydeploy.evaluate.baselines import Baselines
from tinydeploy.evaluate.breakdown import FloatAnswers
from tinydeploy.evaluate.calibration import Calibration
from tinydeploy.evaluate.deployment import Job, model_path, prepare
from tinydeploy.evaluate.fit import Fit
from tinydeploy.evaluate.inspection import Inspection
from tinydeploy.evaluate.keyword_types import Building, Deploying, Judging, Quantizing, Running
from tinydeploy.evaluate.keywords import checked_keywords
from tinydeploy.evaluate.metering import with_trigger
from tinydeploy.evaluate.request import (
    Model,
    Run,
    load_model,
    taken_budget,
    with_usual,
)
from tinydeploy.evaluate.run import Way, evaluate
from tinydeploy.evaluate.source_verbs import export as export
from tinydeploy.evaluate.source_verbs import generate as generate
from tinydeploy.firmware.build import Firmware
from tinydeploy.link.messages import Greeting
from tinydeploy.model.card import Card
from tinydeploy.model.samples import Data, Samples
from tinydeploy.prepare import comparison, making
from tinydeploy.progress import Notice, Progress, silent, unsaid
from tinydeploy.report import paper, report_files
from tinydeploy.results import gates, stored
from tinydeploy.results.result import Result
from tinydeploy.targets.ports import AUTO, Port
from tinydeploy.words import DEFAULT_BOARD, DEFAULT_TIMEOUT


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


@checked_keywords
def inspect(model: Model, **options: Unpack[Deploying]) -> Inspection:
    """What the model holds and which engines run it.

    Of `options`, `board`, `optimize`, `signature` and `logits` count.
    """
    settled = with_usual(model, options, "inspect")
    board = board_files.board(settled.get("board", DEFAULT_BOARD))
    return inspection.inspect_graph(load_model(model, settled), board, settled.get("optimize"))


@checked_keywords
def fit(
    model: Model, words: str | Sequence[str] = (), *, every_goal: bool = False, **options: Unpack[Deploying]
) -> tuple[Fit, ...]:
    """How the model fits the boards that `words` select, as fit.fits says; of `options`, `logits` counts."""
    graph = load_model(model, with_usual(model, options, "fit"))
    chosen = board_files.select(words.split() if isinstance(words, str) else words)
    return board_fit.fits(graph, chosen, every_goal=every_goal)


@checked_keywords
def build(model: Model, *, progress: Progress = silent, **options: Unpack[Building]) -> Firmware:
    """The firmware that `generate` makes, with its sizes, from the cache if nothing changed.

    A limit that it misses is no exception: it is in `gates`.
    """
    settled = with_usual(model, options, "build")
    budget = taken_budget(settled)
    progress("compiling the model", 0, 0)
    job = prepare(load_model(model, settled), for_board=True, **settled)
    firmware = job.build(job.planned_bytes, progress)
    arena = job.planned_bytes
    figures: dict[str, gates.Figure] = {
        "max_flash": firmware.sizes.flash_bytes,
        "max_ram": firmware.sizes.ram_bytes,
        "max_arena": gates.Missing("the engine has no plan of it") if arena is None else arena,
    }
    return replace(firmware, gates=gates.held(budget, lambda limit: figures[limit.name]))


@checked_keywords
def arena(
    model: Model,
    *,
    on: str = "target",
    progress: Progress = silent,
    **options: Unpack[Running],
) -> ArenaReport:
    """The arena that the model needs, with its proof.

    With `on="target"` a planned arena is checked there and any other is searched there; with
    `on="host"` TFLite Micro's arena is searched on this machine.
    """
    settled = with_usual(model, options, "arena")
    seconds = settled.pop("timeout", DEFAULT_TIMEOUT)
    graph = load_model(model, settled)
    if on == "host":
        return arena_sizing.search_on_host(graph, seconds, progress)
    if on != "target":
        raise UsageError(f"unknown place '{on}'", "an arena is found on 'target' or on 'host'")
    progress("compiling the model", 0, 0)
    job = prepare(graph, **settled).connected()
    if job.planned_bytes is None:
        return arena_sizing.search_on_target(job, job.build(None, progress), seconds, progress)
    firmware = job.build(job.planned_bytes, progress)
    progress("checking the plan on the target", 0, 0)
    with job.session(firmware, seconds, progress) as session:
        return arena_sizing.check_plan(job, session)


@checked_keywords
def arena_each(
    model: Model,
    engines: str,
    *,
    progress: Progress = silent,
    **options: Unpack[Running],
) -> tuple[ArenaReport, ...]:
    """`arena` on the target with each of several engines: "aot,tflm"."""
    chosen = engine_names(engines, with_usual(model, options, "arena").get("optimize"))
    options.pop("optimize", None)
    ways: list[dict[str, Any]] = [{**options, **_engine_options(name, goal)} for name, goal in chosen]
    return tuple(arena(model, progress=progress, **way) for way in ways)


@checked_keywords
def calibrate(
    models: Sequence[Model],
    *,
    points: str | Path | None = None,
    progress: Progress = silent,
    **options: Unpack[Running],
) -> tuple[Calibration, Path]:
    """Fits the time model to a board at a port; its points are in the file returned. See calibration."""
    given: dict[str, Any] = {"port": AUTO, **options}
    board = board_files.board(given.pop("board", DEFAULT_BOARD))
    timeout = given.pop("timeout", None) or DEFAULT_TIMEOUT
    path = Path(points or f"{board.id}-points.csv")
    found = calibration.calibrate(
        [load_model(model, {}) for model in models], board, timeout, progress, **given
    )
    try:
        path.write_text(point_files.text(found.points), encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}", "choose another file with --points"
        ) from error
    return found, path


@checked_keywords
def flash(
    model: Model,
    *,
    progress: Progress = silent,
    **options: Unpack[Running],
) -> Flashed:
    """Builds the firmware, uploads it to the board, and makes sure that it runs there."""
    settled = {"port": AUTO} | with_usual(model, options, "flash")
    seconds = settled.pop("timeout", DEFAULT_TIMEOUT)
    progress("compiling the model", 0, 0)
    job = prepare(load_model(model, settled), **settled).connected()
    firmware = job.build(job.planned_bytes, progress)
    with job.session(firmware, seconds, progress) as session:
        assert session.target.port is not None, "it was uploaded to a port"
        return Flashed(firmware, session.target.port, session.greeting)


@checked_keywords
def run(
    model: Model,
    *,
    progress: Progress = silent,
    notice: Notice = unsaid,
    other_boards: bool = True,
    **options: Unpack[Judging],
) -> tuple[Result, Path]:
    """The whole way: build, load, measure, and write result.json and report.html into the folder returned.

    `options` are keyword_types.Judging's. `notice` is told what was understood of the data. Without a `port`,
    a board that no emulator has runs on a machine of its core. A check that failed is no exception:
    verdict.failures(result) names it. What fails on the way from the build on leaves a failed.json and a
    report.html that say how far it came. The result says which `other_boards` the model fits, unless that is
    not wanted.
    """
    settled = with_usual(model, options, "run")
    printer = paper.printer() if settled.pop("pdf", False) else None
    float_model = settled.pop("float_model", None)
    baselines = Baselines.taken(settled)
    asked = Run.of(model, settled)
    report_files.check_writable(asked.folder)
    against = baselines.of(asked.folder / stored.FILE)
    chosen = asked.samples(progress)
    progress("compiling the model", 0, 0)
    job = with_trigger(prepare(asked.graph, **asked.options), asked.wanted.meter).connected()
    floats = comparison.answers(float_model, asked, progress) if float_model else None
    result = against(_evaluated(job, chosen, asked, progress, asked.folder, floats))
    for line in chosen.told:  # a run that fails says what failed, in one line
        notice(line)
    if other_boards:
        progress("asking what fits other boards", 0, 0)
        result = replace(result, other_boards=board_fits.other_boards(job))
    report_files.write(result, asked.folder, asked.mark, printer)
    return result, asked.folder


@checked_keywords
def run_each(
    model: Model,
    engines: Sequence[str],
    *,
    progress: Progress = silent,
    notice: Notice = unsaid,
    **options: Unpack[Judging],
) -> tuple[tuple[Result, ...], Path]:
    """`run` with each engine, into a folder of its own in the folder returned, and the figures side by side.

    The folder also gets runs.json and a report.html. Nothing is built unless every engine can run the model.
    """
    settled = with_usual(model, options, "run")
    printer = paper.printer() if settled.pop("pdf", False) else None
    float_model = settled.pop("float_model", None)
    engines = [name.strip() for name in engines]
    baselines = Baselines.taken(settled)
    asked = Run.of(model, settled | {"engine": ",".join(engines)})
    report_files.check_writable(asked.folder, engines)
    against = [baselines.of(asked.folder / engine / stored.FILE) for engine in engines]
    chosen = asked.samples(progress)
    progress("compiling the model", 0, 0)
    goal = asked.options.pop("optimize", None)
    named = engine_names(",".join(engines), goal)
    jobs = [
        with_trigger(
            prepare(asked.graph, **asked.options | _engine_options(name, goal)), asked.wanted.meter
        ).connected()
        for name, goal in named
    ]
    floats = comparison.answers(float_model, asked, progress) if float_model else None
    results = tuple(
        held(_evaluated(job, chosen, asked, progress, asked.folder / engine, floats))
        for engine, job, held in zip(engines, jobs, against, strict=True)
    )
    for line in chosen.told:
        notice(line)
    for engine, result in zip(engines, results, strict=True):
        report_files.write(result, asked.folder / engine, printer=printer)
    report_files.write_runs(results, asked.folder, asked.mark, printer)
    return results, asked.folder


@checked_keywords
def quantize(
    model: str | Path,
    calibration: Data | None = None,
    *,
    out: str | Path,
    progress: Progress = silent,
    notice: Notice = unsaid,
    **options: Unpack[Quantizing],
) -> making.Made:
    """A float model quantised with the ranges of `calibration`, and what that costs, as making.Asked says it.

    The .tflite, its card and a quantize.json go to the folder `out`, or as `out` if that ends in .tflite.
    """
    asked = making.Asked.of(options)
    return making.make(model, calibration, out, asked, progress, notice)


def usual(model: Model, name: str) -> Any:
    """What the tinydeploy.toml beside the model says of an option; None without one."""
    return None if isinstance(model, bytes) else getattr(config.load(model_path(model)), name)


def _evaluated(
    job: Job, samples: Samples, asked: Run, progress: Progress, folder: Path, floats: FloatAnswers | None
) -> Result:
    """The result; what fails on the way leaves a report of it in the folder."""
    way = Way()
    try:
        result = evaluate(
            job, samples, timeout=asked.timeout, progress=progress, way=way, wanted=asked.wanted
        )
        look = breakdown.look(job.graph, samples, result.predictions, floats)
        result = replace(result, closer=look)
        if look is not None and look.floats is not None and result.accuracy:
            result = replace(result, accuracy=replace(result.accuracy, float_value=look.floats.value))
        elif (known := asked.float_figure()) and result.accuracy and known.metric == result.accuracy.metric:
            result = replace(result, accuracy=replace(result.accuracy, float_value=known.value))
        card = asked.beside.card or Card()
        origin = replace(
            result.provenance,
            command=asked.command or None,
            made=card.made or None,
            licence=card.licence or None,
        )
        return gates.judged(replace(result, provenance=origin), asked.budget)
    except TinydeployError as error:
        with suppress(UsageError):  # the error itself is what counts
            report_files.write_failure(failed_run.failure(error, job, way), folder, asked.mark)
            error.hint = "; ".join(
                filter(None, (error.hint, f"{folder / 'report.html'} says how far it came"))
            )
        raise


def _engine_options(name: str, optimize: str | None) -> dict[str, Any]:
    return {"engine": name, "optimize": optimize} if optimize else {"engine": name}
