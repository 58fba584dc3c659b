"""What a run estimates besides what it measures: time and energy on the board that the target stands in for.

One inference runs once more, on a target that says what it executes: that of the sample whose count is the
median. For a run on a board that is an emulator of it, or of its core, and the estimate stands beside the
time that the board took; so it is for an emulator that does not say what it executes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

from tinydeploy.boards.board import Board
from tinydeploy.engines.engine import EngineSources
from tinydeploy.errors import FitError, TargetError, ToolError
from tinydeploy.estimate import intervals
from tinydeploy.estimate.counts import Counts, counts
from tinydeploy.estimate.energy import Duty, energy
from tinydeploy.estimate.profiling import profile
from tinydeploy.estimate.timing import TimeModel, time_model
from tinydeploy.evaluate import execution
from tinydeploy.evaluate.deployment import Job
from tinydeploy.evaluate.execution import Measurement
from tinydeploy.firmware.build import Firmware
from tinydeploy.model.graph import Graph, op_macs, op_shape
from tinydeploy.model.samples import Samples
from tinydeploy.progress import Progress
from tinydeploy.results.estimated import NO_ENERGY, NO_TIME, EnergyEstimate, Estimate, OpEstimate
from tinydeploy.results.profiled import Profile
from tinydeploy.targets.executed import Executed
from tinydeploy.targets.target_registry import emulator_for


@dataclass(frozen=True, eq=False)
class Execution:
    """What an inference executed, and each of its ops, by the op's index."""

    inference: Executed
    ops: Mapping[int, Executed]


@dataclass(frozen=True)
class Estimates:
    """What is estimated, if anything is; else, where one would expect it, a warning says why not."""

    time: Estimate | None = None
    energy: EnergyEstimate | None = None
    ops: Mapping[int, OpEstimate] = field(default_factory=dict)
    executed: Mapping[str, int] | None = None
    executed_by_op: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    profile: Profile | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wanted:
    """What is asked for beyond the time: the energy of a duty cycle, a profile, a meter's."""

    duty: Duty = Duty()  # noqa: RUF009 - it is frozen
    profile: bool = False
    meter: str | None = None


def model_for(board: Board) -> TimeModel | None:
    """The board's time model; None for a board that has no clock of its own, or no model."""
    if board.only_emulated and board.timing is None:
        return None
    return time_model(board)


def estimates(
    job: Job,
    firmware: Firmware,
    samples: Samples,
    measured: Measurement,
    arena_bytes: int,
    wanted: Wanted,
    timeout: float,
    progress: Progress,
) -> Estimates:
    """The estimates of a run whose samples have been `measured`."""
    model, itself = model_for(job.board), job.target.is_emulator and job.target.records(job.board)
    counting = job if itself else _emulated(job)
    if counting is None and model is not None and job.target.is_emulator:
        return Estimates(warnings=(f"{NO_TIME}: {job.target.title} does not say what runs",))
    if counting is None or (model is None and not (itself and wanted.profile)):
        return Estimates(warnings=tuple(_without_time(job, model, wanted)))
    progress("counting what an inference executes", 0, 0)
    try:
        if not itself:
            firmware = counting.build(counting.planned_bytes, progress)
        seen = execution_of(counting, firmware, samples, measured, arena_bytes, timeout, itself)
    except (ToolError, TargetError, FitError) as error:
        hint = f"; {error.hint}" if error.hint else ""
        return Estimates(warnings=(f"{NO_TIME}: {error.message}{hint}",))
    whole = counts(seen.inference, firmware.elf)
    by_op = {index: counts(own, firmware.elf) for index, own in seen.ops.items()}
    time = model.estimate(whole) if model else None
    spent = energy(job.board, time, wanted.duty) if time else None
    return Estimates(
        time,
        spent,
        {index: _of_op(model.estimate(own)) for index, own in by_op.items()} if model else {},
        _told(whole),
        {index: _told(own) for index, own in by_op.items()},
        profile(seen.ops, firmware.elf, model.factors.cycles if model else None) if wanted.profile else None,
        tuple(_of_duty(job, time, spent, wanted.duty) if time else _without_time(job, model, wanted)),
    )


def beside(found: Estimate | None, cycles: float, clock_hz: int | None) -> Estimate | None:
    """The estimate with what the board took, its median of `cycles`; as it is if no clock counted them."""
    if found is None or not clock_hz or not found.ms:
        return found
    return dataclasses.replace(found, measured_excess=1e3 * cycles / clock_hz / found.ms - 1)


def _emulated(job: Job) -> Job | None:
    """The job for what says what it executes; None if nothing does, or a library had to be built for it."""
    kind = emulator_for(job.board)
    if kind is None or job.library is not None:
        return None
    board = kind.made_for(job.board)
    return dataclasses.replace(
        job, board=board, target=kind, link=kind.links(board)[0], port_name="", port=None, no_upload=False
    )


def _without_time(job: Job, model: TimeModel | None, wanted: Wanted) -> Iterator[str]:
    if model is None and not job.board.only_emulated:
        yield f"{NO_TIME}: there is no model of the core {job.board.core.name}"
    if wanted.duty.every_s is not None:
        clock = "an emulator's board has no clock of its own: take one that can be bought, -b nucleo_l4r5zi"
        why = clock if job.board.only_emulated else "the time is not estimated"
        yield f"{NO_ENERGY}: {why}"


def _of_duty(job: Job, time: Estimate, spent: EnergyEstimate | None, duty: Duty) -> Iterator[str]:
    """What stands against a duty cycle that was asked for."""
    if duty.every_s is not None and spent is None:
        yield f"{NO_ENERGY}: what {job.board.id} draws is not known"
    elif spent is not None and spent.every_s is not None and spent.average_uw is None:
        yield f"an inference takes about {time.ms:,.4g} ms: one every {spent.every_s:g} s is too often"


def rough(graph: Graph, sources: EngineSources, board: Board) -> Estimate | None:
    """The time by the instructions that are expected, by the engine's cost model or what is usual for a core.

    None for a board without a time model.
    """
    model = model_for(board)
    if model is None:
        return None
    expected = {layer.op: layer.instructions for layer in sources.layers}
    instructions = 0.0
    for index in sources.profiled_ops:
        op = graph.ops[index]
        usual = model.core.per_mac * op_macs(graph, op) + model.core.per_output * prod(op_shape(graph, op))
        instructions += expected.get(index) or usual
    return model.rough(round(instructions))


def execution_of(
    job: Job,
    firmware: Firmware,
    samples: Samples,
    measured: Measurement,
    arena_bytes: int,
    timeout: float,
    in_instructions: bool = True,
) -> Execution:
    """What the sample's inference executed whose count is the median of those measured (`in_instructions`).

    Raises TargetError or ToolError, also if what the target says does not add up to what the firmware counts.
    """
    sample = measured.counts.index(execution.spread(measured.counts).median)
    with job.session(firmware, timeout, recording=True) as session:
        device = session.device
        execution.setup(device, job.graph, arena_bytes)
        total = execution.invoke(device, job.graph, samples.inputs, sample, profile=False)
        before = session.target.executed()
        inference = intervals.inference(before, firmware.elf)
        execution.invoke(device, job.graph, samples.inputs, sample, profile=True)
        after = session.target.executed()
        ops = intervals.ops(after, len(before), firmware.elf, job.sources.profiled_ops)
    if inference.instructions != total or (in_instructions and total != measured.counts[sample]):
        raise TargetError(
            f"the emulator saw {inference.instructions:,} instructions, and the firmware counts {total:,}"
        )
    return Execution(inference, ops)


def _of_op(found: Estimate) -> OpEstimate:
    return OpEstimate(found.cycles, found.ms, found.low, found.high)


def _told(found: Counts) -> dict[str, int]:
    """The classes that occur."""
    return {name: count for name, count in dataclasses.asdict(found).items() if count}
