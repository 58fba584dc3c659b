"""The arena planner: no overlap but those allowed, none below the bound, small plans optimal, and quick."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinydeploy.engines.aot.memory import allocator
from tinydeploy.engines.aot.memory.allocator import ALIGNMENT, Buffer, Overlaps, align


def check(buffers: Sequence[Buffer], overlaps: Overlaps | None = None) -> int:
    """Plans, checks the plan, and returns the arena's size."""
    overlaps = overlaps or {}
    offsets = allocator.plan(buffers, overlaps)
    assert len(offsets) == len(buffers)
    assert all(offset >= 0 and offset % ALIGNMENT == 0 for offset in offsets)
    for (i, (a, at)), (j, (b, bt)) in combinations(enumerate(zip(buffers, offsets, strict=True)), 2):
        if a.first <= b.last and b.first <= a.last:
            apart = at >= bt + overlaps.get((i, j), b.bytes) or bt >= at + overlaps.get((j, i), a.bytes)
            assert apart, f"{a} at {at} overlaps {b} at {bt}"
    top = max((at + align(b.bytes) for b, at in zip(buffers, offsets, strict=True)), default=0)
    assert top >= allocator.lower_bound(buffers, overlaps)
    return top


def optimum(buffers: Sequence[Buffer], overlaps: Overlaps) -> int:
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
                start = 0
                for j in below[i]:
                    under = end(j, path | {i})
                    if under is None:
                        return None
                    apart = min(align(overlaps.get((i, j), sizes[j])), sizes[j])
                    start = max(start, under - sizes[j] + apart)
                ends[i] = start + sizes[i]
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


@st.composite
def problems(
    draw: st.DrawFn, most: int, times: int, longest: int
) -> tuple[list[Buffer], dict[tuple[int, int], int]]:
    """Buffers, and how far some that die may be run into by some that are born."""
    buffers = draw(buffers_of(most, times, longest))
    ages = range(len(buffers))
    pairs = [(i, j) for i in ages for j in ages if i != j and buffers[i].last == buffers[j].first]
    pairs = [(i, j) for i, j in pairs if buffers[i].first < buffers[i].last]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    distances = st.one_of(st.just(0), st.integers(0, 9000), st.sampled_from([1, 16, 17]))
    return buffers, {(i, j): min(draw(distances), buffers[j].bytes) for i, j in chosen}


@given(problems(most=120, times=100, longest=30))
@settings(max_examples=60, deadline=None)
def test_plans_are_sound(problem: tuple[list[Buffer], dict[tuple[int, int], int]]) -> None:
    check(*problem)


@given(problems(most=5, times=3, longest=2))
@settings(max_examples=200, deadline=None)
def test_small_plans_are_optimal(problem: tuple[list[Buffer], dict[tuple[int, int], int]]) -> None:
    assert check(*problem) == optimum(*problem)


def test_nothing_needs_nothing() -> None:
    assert allocator.plan([], {}) == ()
    assert allocator.lower_bound([], {}) == 0


def test_an_output_runs_into_an_input_that_dies() -> None:
    buffers = [Buffer(18_432, 0, 1), Buffer(36_864, 1, 2)]
    assert check(buffers) == 18_432 + 36_864
    assert check(buffers, {(0, 1): 18_432}) == 36_864
    assert check(buffers, {(0, 1): 20_000}) == 20_000 + 18_432
    assert (
        check([*buffers, Buffer(100, 1, 1)], {(0, 1): 18_432}) == 36_864 + 112
    )  # the third shares with none


def test_an_output_over_two_inputs() -> None:
    buffers = [Buffer(64, 0, 1), Buffer(64, 0, 1), Buffer(128, 1, 1)]
    assert check(buffers, {(0, 2): 0, (1, 2): 64}) == 128
    assert allocator.lower_bound(buffers, {(0, 2): 0, (1, 2): 64}) == 128
    assert check(buffers, {(0, 2): 0}) == 192


def test_the_bound_of_many_sharing_buffers_is_below_every_plan() -> None:
    buffers = [*(Buffer(16, 0, 1) for _ in range(allocator.EXHAUSTIVE)), Buffer(160, 1, 2)]
    overlaps = {(i, allocator.EXHAUSTIVE): 16 * i for i in range(allocator.EXHAUSTIVE)}
    assert check(buffers, overlaps) == allocator.lower_bound(buffers, overlaps) == 160


def test_a_chain_moves_down_by_its_distances() -> None:
    chain = [Buffer(8000, i, i + 1) for i in range(9)]
    overlaps = {(i, i + 1): 64 if i % 2 else 384 for i in range(8)}
    assert check(chain, overlaps) == 8000 + 4 * (64 + 384)
    assert allocator.lower_bound(chain, overlaps) == 8384


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
    assert check(planned) == allocator.lower_bound(planned, {}) == 16 * bound


@pytest.mark.parametrize("alive", [1, 8, 40])
def test_many_buffers_come_close_to_the_bound(alive: int) -> None:
    buffers = [Buffer(16 + 16 * (i * i % 97), i, i + (i * 31) % alive) for i in range(150)]
    assert check(buffers) <= 1.1 * allocator.lower_bound(buffers, {})


def test_plans_are_deterministic() -> None:
    buffers = [Buffer(16 + 16 * (i * i % 97), i, i + (i * 31) % 40) for i in range(150)]
    assert allocator.plan(buffers, {}) == allocator.plan(buffers, {})
