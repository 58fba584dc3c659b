"""The search itself, over targets that are functions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinydeploy.errors import TargetError
from tinydeploy.evaluate.arena_search import STEP, Outcome, search


def needs(threshold: int):
    return lambda size: Outcome(size, size >= threshold, "passes" if size >= threshold else "too small")


@given(threshold=st.integers(1, 1 << 22), spare=st.integers(0, 1 << 22))
def test_finds_the_smallest_step_that_passes(threshold: int, spare: int) -> None:
    capacity = threshold + STEP + spare
    found = search(needs(threshold), capacity)
    assert found.bytes % STEP == 0
    assert threshold <= found.bytes < threshold + STEP
    assert found.fails_at == (found.bytes - STEP or None)
    assert len(found.outcomes) <= 20


@given(passing=st.sets(st.integers(1, 255)))
def test_what_it_finds_is_a_boundary_even_where_passing_is_not_monotonic(passing: set[int]) -> None:
    tried = {}

    def probe(size: int) -> Outcome:
        tried[size] = size == 256 * STEP or size // STEP in passing
        return Outcome(size, tried[size], "")

    found = search(probe, 256 * STEP)
    assert tried[found.bytes]
    assert found.bytes == STEP or not tried[found.bytes - STEP]


def test_a_capacity_that_fails_ends_the_search_with_what_was_seen() -> None:
    with pytest.raises(TargetError, match=r"all 1,024 bytes that are free: too small"):
        search(needs(2000), 1030)


def test_probes_are_bounded() -> None:
    with pytest.raises(TargetError, match="gave up after 5 probes"):
        search(needs(1000), 1 << 20, max_probes=5)


def test_time_is_bounded() -> None:
    with pytest.raises(TargetError, match="gave up after"):
        search(needs(1000), 1 << 20, max_seconds=-1)


def test_progress_is_told_per_probe() -> None:
    told: list[tuple[str, int, int]] = []
    found = search(needs(100), 4096, progress=lambda phase, done, total: told.append((phase, done, total)))
    assert [done for _, done, _ in told] == list(range(1, len(found.outcomes) + 1))


@given(
    threshold=st.integers(1, 1 << 20),
    spare=st.integers(0, 1 << 20),
    stalls=st.sets(st.integers(1, 20), max_size=3),
)
def test_a_machine_that_stalls_changes_nothing(threshold: int, spare: int, stalls: set[int]) -> None:
    """Probes by number that end in silence: a hang by a target that would have passed, or not."""
    made = 0

    def probe(size: int) -> Outcome:
        nonlocal made
        made += 1
        silent = made - 1 in stalls
        return Outcome(size, size >= threshold and not silent, "no answer" if silent else "", silent)

    found = search(probe, threshold + STEP + spare, patient=needs(threshold))
    assert threshold <= found.bytes < threshold + STEP
    proof = [outcome for outcome in found.outcomes if outcome.bytes == found.fails_at]
    assert not found.fails_at or not all(outcome.silent for outcome in proof)


def test_a_silence_that_comes_again_is_a_proof() -> None:
    def hangs(size: int) -> Outcome:
        return Outcome(size, size >= 1000, "", silent=size < 1000)

    found = search(hangs, 4096, patient=hangs)
    assert (found.bytes, found.fails_at) == (1008, 992)
    assert [outcome.bytes for outcome in found.outcomes].count(992) == 2
