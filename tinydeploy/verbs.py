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
from typing import TYPE_CHECKING, Any, Unpack

from tinydeploy import diagnosis as doctor_checks
from tinydeploy.boards import lookup as board_files
from tinydeploy.boards.board import Board
from tinydeploy.diagnosis import Finding
from tinydeploy.engines.engine_registry import engine_names
from tinydeploy.errors import TinydeployError, UsageError
from tinydeploy.estimate import points as point_files
from tinydeploy.evaluate import arena_sizing, calibration, config, exporting, failed_run, inspection, selftest
from tinydeploy.evaluate import fit as board_fit
from tinydeploy.evaluate.arena_sizing import ArenaReport
from tinydeploy.evaluate.calibration import Calibration
from tinydeploy.evaluate.deployment import Job, model_path, prepare
from tinydeploy.evaluate.fit import Fit
from tinydeploy.evaluate.inspection import Inspection
from tinydeploy.evaluate.keyword_types import Building, Deploying, Held, Judging, Running
from tinydeploy.evaluate.keywords import checked_keywords
from tinydeploy.evaluate.request import (
    Beside,
    Model,
    Run,
    load_model,
    taken_budget,
    unlabelled_samples,
    with_usual,
)
from tinydeploy.evaluate.run import Way, evaluate
from tinydeploy.firmware import project
from tinydeploy.firmware.build import Firmware
from tinydeploy.firmware.export import model_library
from tinydeploy.lab import checking
from tinydeploy.lab.baselines import Baselines
from tinydeploy.link.messages import Greeting
from tinydeploy.model.metric_choice import Wishes
from tinydeploy.model.samples import Data, Samples
from tinydeploy.progress import Notice, Progress, silent, unsaid
from tinydeploy.report import report_files
from tinydeploy.results import compare as comparison
from tinydeploy.results import gates, stored
from tinydeploy.results.case import Case
from tinydeploy.results.compare import Comparison
from tinydeploy.results.result import Result
from tinydeploy.targets.ports import AUTO, Port
from tinydeploy.targets.target_registry import self_testing
from tinydeploy.words import DEFAULT_BOARD, DEFAULT_TIMEOUT, FORMS, SELFTEST_SAMPLES

if TYPE_CHECKING:
    from tinydeploy.prepare.making import Made


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
    model: Model, words: Sequence[str] = (), *, every_goal: bool = False, **options: Unpack[Deploying]
) -> tuple[Fit, ...]:
    """How the model fits the boards that `words` select, as fit.fits says; of `options`, `logits` counts."""
    graph = load_model(model, with_usual(model, options, "fit"))
    return board_fit.fits(graph, board_files.select(words), every_goal=every_goal)


@checked_keywords
def generate(
    model: Model,
    out: str | Path,
    *,
    renode_test: bool = False,
    data: Data | None = None,
    samples: int | None = None,
    max_instructions: int | None = None,
    notice: Notice = unsaid,
    **options: Unpack[Deploying],
) -> Path:
    """Writes a PlatformIO project that stands on its own into the folder `out`, and returns it.

    It is for the board itself, wherever there is such a board, if no `target` is named. `notice` is told
    what there is to know of it.
    With `renode_test` it has a self-test for Renode too: so many `samples` of `data`, or of seeded random
    inputs, with the outputs that they should give, in a suite for renode-test. There an inference
    may take `max_instructions`.
    """
    settled = with_usual(model, {**options, "data": data}, "generate")
    if renode_test:
        target, tester = settled.get("target"), self_testing()
        if target not in (None, tester.name):
            raise UsageError(
                f"a test for {tester.title} cannot be made for the target '{target}'", "leave --target out"
            )
        settled["target"] = tester.name
    elif samples is not None or max_instructions is not None:
        ignored = "samples" if samples is not None else "max_instructions"
        raise UsageError(f"{ignored} is for a self-test, and none was asked for", "add --renode-test")
    data = settled.pop("data", None)
    job = prepare(load_model(model, settled), for_board=True, **settled)
    test = None
    if renode_test:
        inputs = unlabelled_samples(job.graph, data, samples or SELFTEST_SAMPLES, Beside.of(model))
        test = selftest.make(job, inputs, max_instructions)
    folder = project.write(job.project(job.planned_bytes, test), Path(out))
    for note in job.notes:
        notice(note)
    return folder


@checked_keywords
def export(
    models: Model | Sequence[Model],
    out: str | Path,
    *,
    forms: Sequence[str] = FORMS[:1],
    core: str | None = None,
    portable: bool = False,
    labels: Sequence[str] = (),
    data: Data | None = None,
    samples: int | None = None,
    **options: Unpack[Deploying],
) -> Path:
    """Writes the models as a library for one's own firmware into the folder `out`, and returns it.

    A model may be NAME=FILE; else it is called after its file. `forms` are words of FORMS. The kernels are
    those of the `board`, of a `core`, or `portable` ones. `labels` name the classes. The self-test runs so
    many `samples` of `data`, or of seeded random inputs. Of `options`, `signature`, `logits`, `board` and
    `optimize` count.
    """
    chosen = exporting.core_of({"board": options.get("board"), "core": core, "portable": portable})
    given = {**options, "labels": labels, "data": data, "samples": samples}
    listed = [models] if isinstance(models, str | bytes | Path) else [*models]
    made = [exporting.model_interface(model, given, chosen) for model in listed]
    return model_library.write(model_library.library(made, forms), Path(out))


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
    **options: Unpack[Judging],
) -> tuple[Result, Path]:
    """The whole way: build, load, measure, and write result.json and report.html into the folder returned.

    `options` are keyword_types.Judging's. `notice` is told what was understood of the data. Without a `port`,
    a board that no emulator has runs on a machine of its core. A check that failed is no exception:
    verdict.failures(result) names it. What fails on the way from the build on leaves a failed.json and a
    report.html that say how far it came.
    """
    settled = with_usual(model, options, "run")
    baselines = Baselines.taken(settled)
    asked = Run.of(model, settled)
    report_files.check_writable(asked.folder)
    against = baselines.of(asked.folder / stored.FILE)
    chosen = asked.samples(progress)
    for line in chosen.told:
        notice(line)
    progress("compiling the model", 0, 0)
    job = prepare(asked.graph, **asked.options).connected()
    result = against(_evaluated(job, chosen, asked, progress, asked.folder))
    report_files.write(result, asked.folder, asked.mark)
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
    engines = [name.strip() for name in engines]
    baselines = Baselines.taken(settled)
    asked = Run.of(model, settled | {"engine": ",".join(engines)})
    report_files.check_writable(asked.folder, engines)
    against = [baselines.of(asked.folder / engine / stored.FILE) for engine in engines]
    chosen = asked.samples(progress)
    for line in chosen.told:
        notice(line)
    progress("compiling the model", 0, 0)
    goal = asked.options.pop("optimize", None)
    named = engine_names(",".join(engines), goal)
    jobs = [
        prepare(asked.graph, **asked.options | _engine_options(name, goal)).connected()
        for name, goal in named
    ]
    results = tuple(
        held(_evaluated(job, chosen, asked, progress, asked.folder / engine))
        for engine, job, held in zip(engines, jobs, against, strict=True)
    )
    for engine, result in zip(engines, results, strict=True):
        report_files.write(result, asked.folder / engine)
    report_files.write_runs(results, asked.folder, asked.mark)
    return results, asked.folder


@checked_keywords
def quantize(
    model: str | Path,
    calibration: Data | None = None,
    *,
    out: str | Path,
    data: Data | None = None,
    samples: int | None = None,
    activations: str = "int8",
    weights: str = "int8",
    max_loss: float = 0.01,
    float_io: bool = False,
    repair: bool = False,
    experiment: str = "",
    labels: Sequence[str] = (),
    metric: str | None = None,
    output: str | int | None = None,
    threshold: float | None = None,
    progress: Progress = silent,
    notice: Notice = unsaid,
) -> Made:
    """A float model quantised with the ranges of `calibration`, and what that costs on `data`.

    The .tflite, its card and a quantize.json go to the folder `out`, or as `out` if that ends in .tflite.
    """
    from tinydeploy.prepare import making

    wishes = Wishes(metric, None if output is None else str(output), threshold, tuple(labels))
    bits = {"int8": 8, "int16": 16}
    if activations not in bits or weights not in ("int8", "int4", "mixed"):
        raise UsageError("activations are int8 or int16, weights int8, int4 or mixed")
    asked = making.Asked(
        data, samples, bits[activations], weights, max_loss, float_io, repair, experiment, wishes
    )
    return making.make(model, calibration, out, asked, progress, notice)


@checked_keywords
def check(
    paths: Sequence[str | Path] = (),
    *,
    plan: bool = False,
    board: str | None = None,
    progress: Progress = silent,
    **options: Unpack[Held],
) -> tuple[Case, ...]:
    """Results, or all that a tinydeploy.toml deploys, held against their limits: a case each.

    A path is a result.json or a folder with one, or a tinydeploy.toml with [[deploy]] entries, which are run;
    without any, it is the tinydeploy.toml here. With `plan` paths are models, whose plans are held against
    the limits without a build. Limits that are given beat those of the files.
    """
    settled: dict[str, Any] = dict(options)
    baselines, chosen = Baselines.taken(settled), [Path(path) for path in paths]
    budget = taken_budget(settled)
    if not plan:
        given = budget if board is None else {**budget, "board": board}

        def against(result: Result, file: Path) -> Result:
            return baselines.of(file)(result)

        return checking.cases(chosen or [Path()], given, run, against, progress)
    found: list[Case] = []
    for path in chosen:
        here = with_usual(path, {**budget, "board": board}, "check")
        limits = taken_budget(here)
        fits = board_fit.fits(load_model(path, {}), [board_files.board(here.get("board", DEFAULT_BOARD))])
        found += checking.planned(fits, model_path(path), limits)
    return tuple(found)


def compare(paths: Sequence[str | Path], *, force: bool = False) -> Comparison:
    """The results in these files or folders, the first of which the others are held against.

    Raises UsageError for fewer than two, or where they cannot be compared, unless by `force`.
    """
    if len(paths) < 2:
        raise UsageError("a comparison takes two results or more", "tinydeploy compare A B")
    found = comparison.compare([stored.read(Path(path)) for path in paths], [str(path) for path in paths])
    if found.obstructed and not force:
        raise UsageError(
            f"these results cannot be compared: {'; '.join(found.obstructed)}",
            "--force compares all the same",
        )
    return found


def usual(model: Model, name: str) -> Any:
    """What the tinydeploy.toml beside the model says of an option; None without one."""
    return None if isinstance(model, bytes) else getattr(config.load(model_path(model)), name)


def _evaluated(job: Job, samples: Samples, asked: Run, progress: Progress, folder: Path) -> Result:
    """The result; what fails on the way leaves a report of it in the folder."""
    way = Way()
    try:
        result = evaluate(
            job, samples, timeout=asked.timeout, progress=progress, way=way, wanted=asked.wanted
        )
        return gates.judged(result, asked.budget)
    except TinydeployError as error:
        with suppress(UsageError):  # the error itself is what counts
            report_files.write_failure(failed_run.failure(error, job, way), folder, asked.mark)
            error.hint = "; ".join(
                filter(None, (error.hint, f"{folder / 'report.html'} says how far it came"))
            )
        raise


def _engine_options(name: str, optimize: str | None) -> dict[str, Any]:
    return {"engine": name, "optimize": optimize} if optimize else {"engine": name}
