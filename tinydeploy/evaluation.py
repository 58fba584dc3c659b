"""The whole way: build, load, measure on the target, compare with the host, and put it all into a Result."""

from __future__ import annotations

import datetime
import platform
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace

import numpy as np

from tinydeploy import __version__, elf, measure, outputs, scoring, second_opinion, sizing
from tinydeploy.build import Firmware
from tinydeploy.errors import ModelError
from tinydeploy.graph import Op, op_macs, op_shape
from tinydeploy.job import Job
from tinydeploy.judgement import CLASSES
from tinydeploy.link.device import Stats
from tinydeploy.measure import Measurement
from tinydeploy.outputs import Kind, Output
from tinydeploy.progress import Progress, silent
from tinydeploy.reference import Reference
from tinydeploy.reference import available as reference_available
from tinydeploy.result import (
    Accuracy,
    ArenaInfo,
    BoardInfo,
    BuildInfo,
    LibraryInfo,
    ModelInfo,
    OpCost,
    OpInfo,
    Parity,
    Provenance,
    Result,
    Spread,
    TargetInfo,
)
from tinydeploy.samples import Samples


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
) -> Result:
    """Builds the job's firmware, runs the samples on its target and on the host, and reports.

    `way` is told how far it has come. Raises a TargetError if the target fails on the way, and a GateError
    if the planned arena does.
    """
    way = way or Way()
    clock = time.monotonic()

    searched = None
    if job.planned_bytes is None:
        with _timed(way, "build"):
            roomy = way.firmware = job.build(None, progress)
        with _timed(way, "search"):
            searched = sizing.search_on_target(job, roomy, timeout, progress)
    with _timed(way, "build"):
        firmware = job.build(searched.arena.bytes if searched else job.planned_bytes, progress)
        way.firmware = firmware

    # The reference computes on another core while the target runs.
    reference = Reference(job.graph.content) if reference_available() else None
    with reference or nullcontext():
        if reference is not None:
            progress("starting the host reference", 0, 0)
            reference.begin(samples.inputs)
        progress("starting the target", 0, 0)
        with _timed(way, "target"), job.session(firmware, timeout, progress) as session:
            sized = searched or sizing.check_plan(job, session)
            device = session.device
            measure.setup(device, job.graph, sized.arena.bytes)
            op_counts = measure.profile_ops(device, job.graph, samples.inputs, progress)
            measured = measure.run_samples(device, job.graph, samples.inputs, progress)
            stats = device.stats()
            greeting = session.greeting
            note = job.board.note(session.target.kind)
            target = TargetInfo(session.target.kind, session.target.version, job.link, note)
        with _timed(way, "reference"):
            progress("waiting for the host reference", 0, 0)
            expected = _expected(reference, samples)
    with _timed(way, "second opinion"):
        progress("comparing with the host", 0, 0)
        opinion = _opinion(job, samples, expected)

    library = job.library_info(firmware)
    judged = _judged(job, measured, samples, expected)
    counts, in_cycles = measure.spread(measured.counts), greeting.unit == "cycles"
    clock_hz = greeting.clock_hz or job.board.clock_hz
    return Result(
        model=_model_info(job),
        board=BoardInfo(job.board.id, job.board.name, job.board.core.name, clock_hz, job.board.notes),
        engine=job.sources.engine,
        optimize=job.sources.optimize,
        target=target,
        build=_build_info(job, firmware),
        arena=_arena(sized.arena, stats),
        stack_bytes=stats.stack_bytes,
        stack_budget=job.board.stack_bytes,
        instructions=None if in_cycles else counts,
        cycles=counts if in_cycles else None,
        time_us=_times(counts, clock_hz) if in_cycles else None,
        per_op=_per_op(job, firmware, op_counts, clock_hz if in_cycles else None),
        accuracy=judged if isinstance(judged, Accuracy) else None,
        unjudged=None if isinstance(judged, Accuracy) else judged or None,
        parity=_parity(job, measured, samples, expected),
        warnings=(
            *samples.warnings,
            *_doubts(judged),
            *(job.library.warnings if job.library else ()),
            *_slow_kernels(job, library),
            *_warnings(stats, clock_hz, job.board.clock_hz),
            *_uncounted(job, target.kind),
            *([f"{job.port.name} was {job.port.note}"] if job.port and job.port.note else ()),
            *expected.problem,
            *opinion.warnings,
        ),
        provenance=Provenance(
            versions=_versions(firmware, target, expected.name),
            host=f"{platform.system()} {platform.release()} {platform.machine()}",
            started=way.started.isoformat(timespec="seconds"),
            duration_s=round(time.monotonic() - clock, 3),
            phases_s=way.phases_s,
            data=samples.source,
        ),
        library=library,
        second_opinion=opinion.parity,
        predictions=measured.outputs,
    )


@dataclass(frozen=True, eq=False)
class _Expected:
    """What the host's reference says; without outputs if it cannot run the model, or is not installed."""

    name: str
    outputs: Sequence[measure.Array] | None
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


def _model_info(job: Job) -> ModelInfo:
    graph = job.graph
    ops = tuple(OpInfo(op.index, op.kind, op_shape(graph, op), op_macs(graph, op)) for op in graph.ops)
    return ModelInfo(graph.path, graph.sha256, graph.file_bytes, graph.macs, ops, graph.note, graph.signature)


def _build_info(job: Job, firmware: Firmware) -> BuildInfo:
    sizes = firmware.sizes
    return BuildInfo(
        compiler=firmware.compiler,
        flags=firmware.flags,
        platformio=firmware.platformio,
        flash_bytes=sizes.flash_bytes,
        ram_bytes=sizes.ram_bytes,
        flash_budget=job.board.flash.bytes,
        ram_budget=job.board.ram.bytes,
        model_flash_bytes=sizes.model_flash_bytes,
        runtime_flash_bytes=sizes.runtime_flash_bytes,
        largest_symbols=sizes.largest_symbols,
        engine_flash_bytes=None if job.library else sizes.model_flash_bytes + elf.unit_bytes(firmware.elf),
    )


def _slow_kernels(job: Job, library: LibraryInfo | None) -> tuple[str, ...]:
    core = job.board.core
    if library is None or not (core.dsp or core.mve):
        return ()
    heavy = {op.kind for op in job.graph.ops if op_macs(job.graph, op)}
    slow = [kind for kind, kernels in library.kernels.items() if kernels == "reference" and kind in heavy]
    if not slow:
        return ()
    instructions = "vector" if core.mve else "DSP"
    return (
        f"{', '.join(slow)}: reference kernels are linked, "
        f"which leave the {instructions} instructions of the {core.name} unused",
    )


def _per_op(
    job: Job, firmware: Firmware, op_counts: Sequence[int], clock_hz: int | None
) -> tuple[OpCost, ...]:
    """Each op's instructions, or with a clock its cycles and their time; and its stack, if known."""
    stack = {
        int(function[1]): bytes_
        for name, bytes_ in elf.stack_use(firmware.elf).items()
        if (function := re.match(r"tinydeploy::op(\d+)_", name))
    }

    layers = {layer.op: layer for layer in job.sources.layers}

    def cost(op: Op, count: int) -> OpCost:
        cycles, micros = (None, None) if clock_hz is None else (count, _micros(count, clock_hz))
        instructions = count if clock_hz is None else None
        macs, layer = op_macs(job.graph, op), layers.get(op.index)
        names = ("kernel", "constant_bytes", "scratch_bytes", "stripes", "patches", "repeated_outputs")
        made = {name: getattr(layer, name) for name in names} if layer else {}
        return OpCost(op.index, op.kind, instructions, macs, cycles, micros, stack.get(op.index), **made)

    ops = [job.graph.ops[index] for index in job.sources.profiled_ops]
    return tuple(cost(op, count) for op, count in zip(ops, op_counts, strict=True))


def _times(cycles: Spread, clock_hz: int) -> Spread:
    ranks = ("median", "p95", "p99", "min", "max")
    return Spread(runs=cycles.runs, **{rank: _micros(getattr(cycles, rank), clock_hz) for rank in ranks})


def _micros(cycles: float, clock_hz: int) -> float:
    return round(1e6 * cycles / clock_hz, 3)


def _judged(job: Job, measured: Measurement, samples: Samples, expected: _Expected) -> Accuracy | str:
    """The accuracy, or why there is none; "" without labels."""
    if samples.judge is None:
        return samples.unjudged
    return scoring.accuracy(samples.judge, job.graph, samples.inputs, measured.outputs, expected.outputs)


def _doubts(judged: Accuracy | str) -> tuple[str, ...]:
    if isinstance(judged, Accuracy):
        return judged.doubts
    return (f"there is no accuracy: {judged}",) if judged else ()


def _parity(job: Job, measured: Measurement, samples: Samples, expected: _Expected) -> Parity | None:
    if expected.outputs is None:
        return None
    return measure.parity(expected.name, measured.outputs, expected.outputs, _classifier(job, samples))


def _classifier(job: Job, samples: Samples) -> Output | None:
    """The output whose largest element is a class: the judged one; the first if it surely has classes."""
    if samples.judge is not None:
        return samples.judge.output if samples.judge.task is CLASSES else None
    first = outputs.outputs(job.graph)[0]
    return first if first.kind in (Kind.SOFTMAX, Kind.LOGITS, Kind.INDEX) and first.classes > 1 else None


def _arena(arena: ArenaInfo, stats: Stats) -> ArenaInfo:
    """An arena past whose end the firmware wrote did not pass, whatever came out."""
    return replace(arena, passes_at=None, fails_at=arena.bytes) if stats.arena_overrun else arena


def _uncounted(job: Job, target: str) -> tuple[str, ...]:
    qemu = job.board.qemu
    if target != "qemu" or qemu is None or qemu.icount_shift is not None:
        return ()
    return (f"QEMU cannot count what an {job.board.core.name} executes: the zeros are no figures",)


def _warnings(stats: Stats, clock_hz: int, nominal_hz: int) -> tuple[str, ...]:
    warnings = []
    if stats.arena_overrun:
        warnings.append("the firmware wrote past its arena")
    if stats.bad_frames:
        warnings.append(f"{stats.bad_frames} frames reached the device damaged and were sent again")
    if clock_hz != nominal_hz:
        warnings.append(
            f"the core runs at {clock_hz / 1e6:g} MHz, and the board's is {nominal_hz / 1e6:g} MHz"
        )
    return tuple(warnings)


def _versions(firmware: Firmware, target: TargetInfo, reference: str) -> dict[str, str]:
    return {
        "tinydeploy": __version__,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platformio": firmware.platformio,
        "compiler": firmware.compiler,
        target.kind: target.version,
        "reference": reference,
    }
