"""The search for the smallest tensor arena, over anything that can say whether a size passes.

The answer is a proof, not an estimate: `bytes` passed a whole inference with the right output, and
`bytes - STEP` failed: by a definite status, a fault or a wrong output, or by a silence that came again when
it was given all the time that the target may take.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tinydeploy.errors import TargetError
from tinydeploy.progress import Progress, silent
from tinydeploy.results.result import Outcome

STEP = 16  # bytes; TFLite Micro aligns its arena to this


@dataclass(frozen=True)
class ArenaSearch:
    """What the search found. `fails_at` is None if even the smallest size, one step, passes."""

    bytes: int
    fails_at: int | None
    outcomes: tuple[Outcome, ...]


def search(
    probe: Callable[[int], Outcome],
    capacity: int,
    *,
    patient: Callable[[int], Outcome] | None = None,
    guess: Callable[[], int] = lambda: 0,
    max_probes: int = 64,
    max_seconds: float = 120.0,
    progress: Progress = silent,
) -> ArenaSearch:
    """Finds n, a multiple of STEP, such that `probe(n)` passes and `probe(n - STEP)` fails.

    `capacity` bytes (rounded down to a step) have to pass to begin with. `guess` is asked once they
    have: from the size that it names the search goes out in growing strides until it has both a size
    that passes and one that fails, and bisects between the two; 0 says nothing. Where passing is not
    monotonic in the size, n is one such boundary, and its proof holds all the same.

    A machine that stalled looks like a target that hangs, so a silent outcome only says where to go on. If it
    is n - STEP that was silent, `patient` (None: `probe`) tries that size again: a second silence is the
    proof, and if it passes the search goes on below.

    Raises TargetError if `capacity` does not pass, or when `max_probes` or `max_seconds` run out first.
    """
    started = time.monotonic()
    outcomes: list[Outcome] = []

    def passes(size: int, how: Callable[[int], Outcome] = probe) -> bool:
        if len(outcomes) >= max_probes or time.monotonic() - started > max_seconds:
            raise TargetError(
                f"the arena search gave up after {len(outcomes)} probes and "
                f"{time.monotonic() - started:.0f} s, between {fails} and {good} bytes",
                "raise --timeout if the target is slow",
            )
        outcomes.append(how(size))
        progress(f"arena: {size:,} bytes {outcomes[-1].detail}", len(outcomes), 0)
        return outcomes[-1].passed

    fails, good = 0, capacity // STEP * STEP
    if not passes(good):
        raise TargetError(
            f"the model does not run even with all {good:,} bytes that are free: {outcomes[-1].detail}",
            "choose a board with more RAM",
        )
    everything, stride, at = good, STEP, -(-guess() // STEP) * STEP
    while fails < at < good and (fails == 0 or good == everything):
        if passes(at):
            good, at = at, at - stride
        else:
            fails, at = at, at + stride
        stride *= 2
    while True:
        while good - fails > STEP:
            middle = (fails + good) // (2 * STEP) * STEP
            if passes(middle):
                good = middle
            else:
                fails = middle
        tried = [outcome for outcome in outcomes if outcome.bytes == fails]
        if len(tried) != 1 or not tried[0].silent or not passes(fails, patient or probe):
            return ArenaSearch(good, fails or None, tuple(outcomes))
        good = fails
        fails = max((o.bytes for o in outcomes if not o.passed and o.bytes < good), default=0)
