"""The search for the smallest tensor arena, over anything that can say whether a size passes.

The answer is a proof, not an estimate: `bytes` passed a whole inference with the right output, and
`bytes - STEP` failed: by a definite status, a fault or a wrong output, or by a silence that came again when
it was given all the time that the target may take.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tinydeploy.errors import TargetError
from tinydeploy.progress import Progress, silent
from tinydeploy.results.measured import Outcome

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
    tries = _Tries(max_probes, time.monotonic() + max_seconds, progress, good=capacity // STEP * STEP)
    everything = tries.good
    if not tries.passes(everything, probe):
        raise TargetError(
            f"the model does not run even with all {everything:,} bytes that are free: "
            f"{tries.outcomes[-1].detail}",
            "choose a board with more RAM",
        )
    stride, at = STEP, -(-guess() // STEP) * STEP
    while tries.fails < at < tries.good and (tries.fails == 0 or tries.good == everything):
        at += -stride if tries.narrow(at, probe) else stride
        stride *= 2
    while True:
        while tries.good - tries.fails > STEP:
            tries.narrow((tries.fails + tries.good) // (2 * STEP) * STEP, probe)
        tried = [outcome for outcome in tries.outcomes if outcome.bytes == tries.fails]
        if len(tried) != 1 or not tried[0].silent or not tries.passes(tries.fails, patient or probe):
            return ArenaSearch(tries.good, tries.fails or None, tuple(tries.outcomes))
        tries.good = tries.fails
        smaller = (o.bytes for o in tries.outcomes if not o.passed and o.bytes < tries.good)
        tries.fails = max(smaller, default=0)


@dataclass
class _Tries:
    """What has been tried: `fails` and `good` are the sizes between which the search goes on."""

    most: int
    deadline: float
    progress: Progress
    good: int
    fails: int = 0
    outcomes: list[Outcome] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def passes(self, size: int, how: Callable[[int], Outcome]) -> bool:
        """Whether it passes. Raises TargetError when the probes or the seconds have run out."""
        if len(self.outcomes) >= self.most or time.monotonic() > self.deadline:
            raise TargetError(
                f"the arena search gave up after {len(self.outcomes)} probes and "
                f"{time.monotonic() - self.started:.0f} s, between {self.fails} and {self.good} bytes",
                "raise --timeout if the target is slow",
            )
        self.outcomes.append(how(size))
        self.progress(f"arena: {size:,} bytes {self.outcomes[-1].detail}", len(self.outcomes), 0)
        return self.outcomes[-1].passed

    def narrow(self, size: int, probe: Callable[[int], Outcome]) -> bool:
        """Tries a size, which then is one of the two ends."""
        passed = self.passes(size, probe)
        if passed:
            self.good = size
        else:
            self.fails = size
        return passed
