"""The arena planner: never an overlap, never below the bound, optimal where one can check, and quick."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinydeploy.engines.aot import planner
from tinydeploy.engines.aot.planner import ALIGNMENT, Buffer, align


def check(buffers: Sequence[Buffer]) -> int:
    """Plans, checks the plan, and returns the arena's size."""
    offsets = planner.plan(buffers)
    assert len(offsets) == len(buffers)
    assert all(offset >= 0 and offset % ALIGNMENT == 0 for offset in offsets)
    for (a, at), (b, bt) in combinations(zip(buffers, offsets, strict=True), 2):
        if a.first <= b.last and b.first <= a.last:
            assert at + a.bytes <= bt or bt + b.bytes <= at, f"{a} at {at} overlaps {b} at {bt}"
    top = max((at + align(b.bytes) for b, at in zip(buffers, offsets, strict=True)), default=0)
    assert top >= planner.lower_bound(buffers)
    return top


def optimum(buffers: Sequence[Buffer]) -> int:
    """The smallest arena, by trying every relative position of buffers that conflict."""
    sizes = [align(b.bytes) for b in buffers]
    pairs = [
        (i, j)
        for i, j in combinations(range(len(buffers)), 2)
        if buffers[i].first <= buffers[j].last and buffers[j].first <= buffers[i].last
    ]
    best = sum(sizes)

    def longest_path(below: Sequence[set[int]]) -> int | None:
        """The arena if each buffer lies above those in `below`; None if that is a circle."""
        ends: dict[int, int] = {}

        def end(i: int, path: frozenset[int]) -> int | None:
            if i in path:
                return None
            if i not in ends:
                starts = [end(j, path | {i}) for j in below[i]]
                if None in starts:
                    return None
                ends[i] = max((start for start in starts if start is not None), default=0) + sizes[i]
            return ends[i]

        found = [end(i, frozenset()) for i in range(len(sizes))]
        return None if None in found else max((f for f in found if f is not None), default=0)

    for choice in range(1 << len(pairs)):
        below: list[set[int]] = [set() for _ in sizes]
        for bit, (i, j) in enumerate(pairs):
            lower, upper = (i, j) if choice >> bit & 1 else (j, i)
            below[upper].add(lower)
        size = longest_path(below)
        best = best if size is None else min(best, size)
    return best


def buffers_of(most: int, times: int, longest: int) -> st.SearchStrategy[list[Buffer]]:
    buffer = st.builds(
        lambda size, first, age: Buffer(size, first, first + age),
        st.one_of(st.integers(1, 9000), st.sampled_from([1, 16, 17, 1024, 4096])),
        st.integers(-1, times),
        st.integers(0, longest),
    )
    return st.lists(buffer, max_size=most)


@given(buffers_of(most=120, times=100, longest=30))
@settings(max_examples=60, deadline=None)
def test_plans_are_sound(buffers: list[Buffer]) -> None:
    check(buffers)


@given(buffers_of(most=5, times=5, longest=3))
@settings(max_examples=100, deadline=None)
def test_small_plans_are_optimal(buffers: list[Buffer]) -> None:
    assert check(buffers) == optimum(buffers)


def test_nothing_needs_nothing() -> None:
    assert planner.plan([]) == ()
    assert planner.lower_bound([]) == 0


def test_a_chain_needs_its_two_largest_neighbours() -> None:
    sizes = [16 * (1 + i * 7 % 11) for i in range(200)]
    chain = [Buffer(size, i, i + 1) for i, size in enumerate(sizes)]
    assert check(chain) == max(a + b for a, b in pairwise(sizes))


@pytest.mark.parametrize(
    ("buffers", "bound"),
    [
        # (units of 16 bytes, first, last): where placing by size leaves a gap …
        ([(3, 0, 0), (4, 3, 3), (1, 2, 4), (2, 0, 2)], 5),
        # … and where every greedy order does.
        (
            [
                (6, 2, 3),
                (6, 3, 3),
                (2, 5, 8),
                (4, 0, 2),
                (2, 1, 4),
                (3, 0, 3),
                (6, 1, 3),
                (1, 9, 9),
                (4, 0, 3),
            ],
            27,
        ),
        ([(4, 4, 6), (3, 5, 7), (4, 5, 8), (1, 1, 4), (6, 4, 6), (6, 4, 4), (1, 7, 7), (1, 4, 7)], 18),
    ],
)
def test_the_search_closes_gaps(buffers: list[tuple[int, int, int]], bound: int) -> None:
    planned = [Buffer(16 * units, first, last) for units, first, last in buffers]
    assert check(planned) == planner.lower_bound(planned) == 16 * bound


@pytest.mark.parametrize("alive", [1, 8, 40])
def test_many_buffers_come_close_to_the_bound(alive: int) -> None:
    buffers = [Buffer(16 + 16 * (i * i % 97), i, i + (i * 31) % alive) for i in range(150)]
    assert check(buffers) <= 1.1 * planner.lower_bound(buffers)


def test_plans_are_deterministic() -> None:
    buffers = [Buffer(16 + 16 * (i * i % 97), i, i + (i * 31) % 40) for i in range(150)]
    assert planner.plan(buffers) == planner.plan(buffers)
