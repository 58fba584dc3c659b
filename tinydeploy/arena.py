"""The search for the smallest tensor arena, over anything that can say whether a size passes.

The answer is a proof, not an estimate: `bytes` passed a whole inference with the right output, and
`bytes - STEP` failed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from tinydeploy.errors import TargetError
from tinydeploy.progress import Progress, silent

STEP = 16  # bytes; TFLite Micro aligns its arena to this


@dataclass(frozen=True)
class Outcome:
    """One probe: the size tried, whether a whole inference was right, and in a few words what was seen."""

    bytes: int
    passed: bool
    detail: str


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
    guess: Callable[[], int] = lambda: 0,
    max_probes: int = 64,
    max_seconds: float = 120.0,
    progress: Progress = silent,
) -> ArenaSearch:
    """Finds n, a multiple of STEP, such that `probe(n)` passes and `probe(n - STEP)` fails.

    `capacity` bytes (rounded down to a step) have to pass to begin with. `guess` is asked once they
    have: from the size that it names the search goes out in growing strides until it has both a size
    that passes and one that fails, and bisects between the two; 0 says nothing. Where passing is not
    monotonic in the size, n is one such boundary, and its proof holds all the same. Raises
    TargetError if `capacity` does not pass, or when `max_probes` or `max_seconds` run out first.
    """
    started = time.monotonic()
    outcomes: list[Outcome] = []

    def passes(size: int) -> bool:
        if len(outcomes) >= max_probes or time.monotonic() - started > max_seconds:
            raise TargetError(
                f"the arena search gave up after {len(outcomes)} probes and "
                f"{time.monotonic() - started:.0f} s, between {fails} and {good} bytes",
                "raise --timeout if the target is slow",
            )
        outcomes.append(probe(size))
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
    while good - fails > STEP:
        middle = (fails + good) // (2 * STEP) * STEP
        if passes(middle):
            good = middle
        else:
            fails = middle
    return ArenaSearch(good, fails or None, tuple(outcomes))
