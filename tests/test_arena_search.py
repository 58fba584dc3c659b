"""The search itself, over targets that are functions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinydeploy.arena import STEP, Outcome, search
from tinydeploy.errors import TargetError


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
