"""The arena of a job, with its proof: a plan checked on the target, or a search there or on the host."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from tinydeploy.errors import (
    DeviceFaultError,
    DeviceResetError,
    DeviceStatusError,
    GateError,
    LinkError,
    TargetDiedError,
)
from tinydeploy.evaluate import arena_search, execution
from tinydeploy.evaluate.arena_search import ArenaSearch
from tinydeploy.evaluate.deployment import Job
from tinydeploy.firmware.build import Firmware
from tinydeploy.host.reference import Reference
from tinydeploy.model import samples
from tinydeploy.model.graph import Graph
from tinydeploy.progress import Progress, silent
from tinydeploy.results.measured import ArenaBuffer, ArenaInfo, Outcome
from tinydeploy.results.setting import LibraryInfo
from tinydeploy.targets.session import Session

SEED = 1
HOST_CAPACITY = 64 << 20  # bytes
HOST_NOTE = (
    "TFLite Micro on this machine, with 64-bit pointers: a first guess for a microcontroller, not an answer"
)


@dataclass(frozen=True)
class ArenaReport:
    """The arena's size with its proof, where it was found ("qemu", "host"), and what was run there.

    On the host there is neither a board nor a compiler, and `engine` is the reference's name and version.
    """

    arena: ArenaInfo
    found_on: str
    model: str
    model_sha256: str
    engine: str
    board: str | None = None
    compiler: str | None = None
    library: LibraryInfo | None = None
    note: str = ""

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """Every probe made."""
        return self.arena.outcomes


def check_plan(job: Job, session: Session) -> ArenaReport:
    """Has the target run one inference in the planned arena, painted, and refuse one step less.

    Both answers are the firmware's own words: a silence raises.
    """
    plan = job.sources.arena
    assert plan is not None, "only a planned arena can be checked"
    inputs = samples.random(job.graph, 1, SEED).inputs
    outcomes = [
        _probe(session, job.graph, inputs, size)[0] for size in (plan.bytes - arena_search.STEP, plan.bytes)
    ]
    smaller, planned = outcomes
    if not planned.passed:
        raise GateError(f"the planned arena of {plan.bytes:,} bytes fails on the target: {planned.detail}")
    info = ArenaInfo(
        bytes=plan.bytes,
        method="planned",
        passes_at=planned.bytes,
        fails_at=None if smaller.passed else smaller.bytes,
        probes=len(outcomes),
        touched_bytes=session.device.stats().arena_touched_bytes,
        lower_bound=plan.lower_bound,
        buffers=tuple(
            ArenaBuffer(place.label, place.offset, place.bytes, place.first, place.last)
            for place in sorted(plan.placements, key=lambda place: (place.first, place.offset))
        ),
        outcomes=tuple(outcomes),
    )
    return _report(job, session, info)


def search_on_target(
    job: Job, firmware: Firmware, timeout: float, progress: Progress = silent
) -> ArenaReport:
    """Searches with `firmware`, whose arena is all the RAM left free; the host names a size per probe.

    A fault, a hang and a silence count as failures: the target is reset and the search goes on. A silence
    that would be the proof is tried again, with all of `timeout` seconds: it may have been this machine's.
    """
    inputs = samples.random(job.graph, 1, SEED).inputs
    expected: bytes | None = None
    touched = 0

    with job.session(firmware, timeout, progress) as session:

        def probe(size: int) -> Outcome:
            nonlocal expected, touched
            started = time.monotonic()
            try:
                outcome, seen = _probe(session, job.graph, inputs, size)
            except (DeviceFaultError, LinkError, TargetDiedError) as error:
                if expected is None:
                    raise
                session.restart()
                silent = isinstance(error, LinkError) and not isinstance(error, DeviceResetError)
                return Outcome(size, False, error.message, silent)
            if expected is None and outcome.passed:
                expected = seen
                # What an inference with room to spare leaves behind is close to what it needs.
                touched = session.device.stats().arena_touched_bytes
                # Whatever takes ten times as long as this first, roomy inference may well hang.
                session.answer_within(max(0.5, 10 * (time.monotonic() - started)))
            if outcome.passed and seen != expected:
                return Outcome(size, False, "wrong output")
            return outcome

        def patient(size: int) -> Outcome:
            hasty = session.answer_within(timeout)
            outcome = probe(size)
            session.answer_within(hasty)
            return outcome

        found = arena_search.search(
            probe,
            session.greeting.arena_capacity,
            patient=patient,
            guess=lambda: touched,
            max_seconds=10 * timeout,
            progress=progress,
        )
        return _report(job, session, _searched(found))


def search_on_host(graph: Graph, timeout: float, progress: Progress = silent) -> ArenaReport:
    """The same search over the PyPI interpreter of TFLite Micro."""
    inputs = samples.random(graph, 1, SEED).inputs
    with Reference(graph.content) as host:

        def probe(size: int) -> Outcome:
            passed = host.arena_passes(size, inputs, timeout)
            if passed is None:
                return Outcome(size, False, f"no end within {timeout:g} s", silent=True)
            return Outcome(size, passed, "passes" if passed else "too small")

        found = arena_search.search(probe, HOST_CAPACITY, progress=progress)
        engine = host.version
    return ArenaReport(_searched(found), "host", graph.path, graph.sha256, engine, note=HOST_NOTE)


def _probe(
    session: Session, graph: Graph, inputs: Sequence[execution.Array], size: int
) -> tuple[Outcome, bytes]:
    """One whole inference in an arena of `size` bytes, and its output."""
    device = session.device
    try:
        execution.setup(device, graph, size)
        outputs = execution.run_samples(device, graph, inputs).outputs
    except DeviceStatusError as error:
        return Outcome(size, False, error.message), b""
    if device.stats().arena_overrun:
        return Outcome(size, False, "wrote past the arena"), b""
    return Outcome(size, True, "passes"), b"".join(output.tobytes() for output in outputs)


def _searched(found: ArenaSearch) -> ArenaInfo:
    tried = found.outcomes
    return ArenaInfo(found.bytes, "searched", found.bytes, found.fails_at, len(tried), outcomes=tried)


def _report(job: Job, session: Session, info: ArenaInfo) -> ArenaReport:
    return ArenaReport(
        info,
        session.target.kind,
        job.graph.path,
        job.graph.sha256,
        job.sources.engine,
        job.board.id,
        session.firmware.compiler,
        job.library_info(session.firmware),
    )
