"""The evaluation, the whole way: build, load, measure on the target, compare with the host: a Result."""

from __future__ import annotations

import datetime
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from tinydeploy.errors import ModelError
from tinydeploy.evaluate import accuracy, arena_sizing, execution, metering, second_opinion
from tinydeploy.evaluate.deployment import Job
from tinydeploy.evaluate.estimation import Estimates, Wanted, beside, estimates
from tinydeploy.evaluate.execution import Measurement
from tinydeploy.evaluate.result_parts import (
    arena_info,
    build_info,
    counted,
    device_warnings,
    model_info,
    per_op,
    slow_kernels,
    versions,
)
from tinydeploy.firmware.build import Firmware
from tinydeploy.host import git
from tinydeploy.host.reference import Reference
from tinydeploy.host.reference import available as reference_available
from tinydeploy.link.messages import Stats
from tinydeploy.model import outputs
from tinydeploy.model.metric_choice import CLASSES
from tinydeploy.model.outputs import Kind, Output
from tinydeploy.model.samples import Samples
from tinydeploy.progress import Progress, silent
from tinydeploy.results.measured import Accuracy, ArenaInfo, MeasuredEnergy, Parity, Spread
from tinydeploy.results.result import Result
from tinydeploy.results.setting import (
    BoardInfo,
    LibraryInfo,
    Provenance,
    TargetInfo,
)
from tinydeploy.targets.session import Session

_NOTHING = Wanted()


@dataclass
class Way:
    """How far an evaluation has come: its start, the phase it is in, what each took, what was built last."""

    started: datetime.datetime = field(default_factory=lambda: datetime.datetime.now(datetime.UTC))
    phase: str = ""
    phases_s: dict[str, float] = field(default_factory=dict)
    firmware: Firmware | None = None


def evaluate(
    job: Job,
    samples: Samples,
    *,
    timeout: float,
    progress: Progress = silent,
    way: Way | None = None,
    wanted: Wanted = _NOTHING,
) -> Result:
    """Builds the job's firmware, runs the samples on its target and on the host, and reports.

    `way` is told how far it has come. Raises a TargetError if the target fails on the way, and a GateError
    if the planned arena does.
    """
    way = way or Way()
    clock = time.monotonic()
    firmware, searched = _built(job, timeout, progress, way)

    # The reference computes on another core while the target runs.
    reference = Reference(job.graph.content) if reference_available() else None
    with reference or nullcontext():
        if reference is not None:
            progress("starting the host reference", 0, 0)
            reference.begin(samples.inputs)
        progress("starting the target", 0, 0)
        with _timed(way, "target"), job.session(firmware, timeout, progress) as session:
            sized = searched or arena_sizing.check_plan(job, session)
            seen = _run(job, session, sized, samples, progress, wanted.meter)
        with _timed(way, "reference"):
            progress("waiting for the host reference", 0, 0)
            expected = _expected(reference, samples)
    with _timed(way, "estimate"):
        found = estimates(job, firmware, samples, seen.measured, seen.arena.bytes, wanted, timeout, progress)
    with _timed(way, "second opinion"):
        progress("comparing with the host", 0, 0)
        opinion = _opinion(job, samples, expected)
    provenance = Provenance(
        versions=versions(firmware, seen.target, expected.name),
        host=f"{platform.system()} {platform.release()} {platform.machine()}",
        started=way.started.isoformat(timespec="seconds"),
        duration_s=round(time.monotonic() - clock, 3),
        phases_s=way.phases_s,
        data=samples.source,
        commit=git.commit(Path(job.graph.path).parent),
    )
    return _result(job, firmware, samples, seen, expected, opinion, found, provenance)


def _built(
    job: Job, timeout: float, progress: Progress, way: Way
) -> tuple[Firmware, arena_sizing.ArenaReport | None]:
    """The firmware to measure, and the search for its arena if no plan says how large that is."""
    searched = None
    if job.planned_bytes is None:
        with _timed(way, "build"):
            roomy = way.firmware = job.build(None, progress)
        with _timed(way, "search"):
            searched = arena_sizing.search_on_target(job, roomy, timeout, progress)
    with _timed(way, "build"):
        firmware = job.build(searched.arena.bytes if searched else job.planned_bytes, progress)
        way.firmware = firmware
    return firmware, searched


@dataclass(frozen=True, eq=False)
class _Seen:
    """What the target told: counts of each op and of whole inferences, and marks in its memory."""

    target: TargetInfo
    arena: ArenaInfo
    op_counts: Sequence[Spread]
    measured: Measurement
    stats: Stats
    in_cycles: bool
    clock_hz: int
    energy: MeasuredEnergy | None

    @property
    def ticks_hz(self) -> int | None:
        """The clock whose cycles were counted; None if it was instructions."""
        return self.clock_hz if self.in_cycles else None


def _run(
    job: Job,
    session: Session,
    sized: arena_sizing.ArenaReport,
    samples: Samples,
    progress: Progress,
    meter: str | None,
) -> _Seen:
    device, greeting = session.device, session.greeting
    execution.setup(device, job.graph, sized.arena.bytes)
    op_counts = execution.profile_ops(device, job.graph, samples.inputs, progress)
    measured = execution.run_samples(device, job.graph, samples.inputs, progress)
    stats = device.stats()
    energy = metering.measured(job, device, samples.inputs, meter, progress) if meter else None
    note = job.target.note(job.board)
    return _Seen(
        TargetInfo(session.target.kind, session.target.version, job.link, note),
        sized.arena,
        op_counts,
        measured,
        stats,
        greeting.unit == "cycles",
        greeting.clock_hz or job.board.clock_hz,
        energy,
    )


def _result(
    job: Job,
    firmware: Firmware,
    samples: Samples,
    seen: _Seen,
    expected: _Expected,
    opinion: second_opinion.Opinion,
    estimated: Estimates,
    provenance: Provenance,
) -> Result:
    library = job.library_info(firmware)
    judged = _judged(job, seen.measured, samples, expected)
    counts, clock_hz = execution.spread(seen.measured.counts), seen.clock_hz
    return Result(
        model=model_info(job),
        board=BoardInfo(job.board.id, job.board.name, job.board.core.name, clock_hz, job.board.notes),
        engine=job.sources.engine,
        optimize=job.sources.optimize,
        target=seen.target,
        build=build_info(job, firmware),
        arena=replace(arena_info(seen.arena, seen.stats), in_psram=job.board.arena_in_psram or None),
        stack_bytes=seen.stats.stack_bytes,
        stack_budget=job.board.stack_bytes,
        counted=counted(counts, seen.ticks_hz),
        per_op=per_op(job, firmware, seen.op_counts, seen.ticks_hz, estimated),
        accuracy=judged if isinstance(judged, Accuracy) else None,
        unjudged=None if isinstance(judged, Accuracy) else judged or None,
        parity=_parity(job, seen.measured, samples, expected),
        warnings=(
            *_warnings(job, library, samples, seen, judged),
            *expected.problem,
            *opinion.warnings,
            *estimated.warnings,
        ),
        provenance=provenance,
        library=library,
        estimate=beside(estimated.time, counts.median, seen.ticks_hz),
        energy=estimated.energy,
        measured_energy=seen.energy,
        executed=estimated.executed,
        profile=estimated.profile,
        second_opinion=opinion.parity,
        predictions=seen.measured.outputs,
    )


def _warnings(
    job: Job, library: LibraryInfo | None, samples: Samples, seen: _Seen, judged: Accuracy | str
) -> tuple[str, ...]:
    """What data, library, target and board make doubtful."""
    return (
        *samples.warnings,
        *_doubts(judged),
        *(job.library.warnings if job.library else ()),
        *slow_kernels(job, library),
        *device_warnings(seen.stats, seen.clock_hz, job.board.clock_hz),
        *job.target.warnings(job.board),
        *([job.board.placement] if job.board.placement else []),
        *([f"{job.port.name} was {job.port.note}"] if job.port and job.port.note else ()),
    )


@dataclass(frozen=True, eq=False)
class _Expected:
    """What the host's reference says; without outputs if it cannot run the model, or is not installed."""

    name: str
    outputs: Sequence[execution.Array] | None
    problem: tuple[str, ...] = ()


def _expected(reference: Reference | None, samples: Samples) -> _Expected:
    if reference is None:
        return _Expected(
            "none", None, ("there is no reference to compare with: tflite-micro is not installed",)
        )
    try:
        return _Expected(reference.version, reference.run(samples.inputs))
    except ModelError as error:
        return _Expected("none", None, (f"there is no reference to compare with: {error.message}",))


def _opinion(job: Job, samples: Samples, expected: _Expected) -> second_opinion.Opinion:
    if expected.outputs is None:
        return second_opinion.Opinion()
    # Of several functions LiteRT would run the first; else it judges what was settled when the file was read.
    model = job.graph.content if job.graph.signature else job.graph.file
    return second_opinion.ask(model, samples.inputs, expected.outputs)


@contextmanager
def _timed(way: Way, name: str) -> Iterator[None]:
    clock = time.monotonic()
    way.phase = name
    try:
        yield
    finally:
        way.phases_s[name] = round(way.phases_s.get(name, 0.0) + time.monotonic() - clock, 3)


def _judged(job: Job, measured: Measurement, samples: Samples, expected: _Expected) -> Accuracy | str:
    """The accuracy, or why there is none; "" without labels."""
    if samples.judge is None:
        return samples.unjudged
    return accuracy.accuracy(samples.judge, job.graph, samples.inputs, measured.outputs, expected.outputs)


def _doubts(judged: Accuracy | str) -> tuple[str, ...]:
    if isinstance(judged, Accuracy):
        return judged.doubts
    return (f"there is no accuracy: {judged}",) if judged else ()


def _parity(job: Job, measured: Measurement, samples: Samples, expected: _Expected) -> Parity | None:
    if expected.outputs is None:
        return None
    return execution.parity(expected.name, measured.outputs, expected.outputs, _classifier(job, samples))


def _classifier(job: Job, samples: Samples) -> Output | None:
    """The output whose largest element is a class: the judged one; the first if it surely has classes."""
    if samples.judge is not None:
        return samples.judge.output if samples.judge.task is CLASSES else None
    first = outputs.outputs(job.graph)[0]
    return first if first.kind in (Kind.SOFTMAX, Kind.LOGITS, Kind.INDEX) and first.classes > 1 else None
