"""The allocator: offsets in the arena for buffers with lifetimes, in as few bytes as possible.

This is dynamic storage allocation (Garey & Johnson, SR2), which is NP-hard, but for one thing: an op's output
may run into an input that dies there (Overlaps). Placing buffers one by one, each at the lowest offset that
those before leave to it, gives an optimal plan for at least one order of the buffers (that of an optimal
plan's offsets), so the search is over orders. It is deterministic.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations

ALIGNMENT = 16  # bytes, of every buffer and of the arena itself
EXHAUSTIVE = 7  # up to so many buffers every order is tried
PLACEMENTS = 200_000  # beyond, the search ends after placing so many buffers in all


@dataclass(frozen=True)
class Buffer:
    """`bytes` that are in use from time `first` to time `last`, both included."""

    bytes: int
    first: int
    last: int


# (i, j): d lets buffer i, which dies when j is born, start d or more bytes after j's start, not only after
# its end. No d is negative.
Overlaps = Mapping[tuple[int, int], int]


def align(size: int) -> int:
    """`size` rounded up to ALIGNMENT."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def lower_bound(buffers: Sequence[Buffer], overlaps: Overlaps) -> int:
    """The most bytes that are needed at any one time, for the buffers alive then: no plan is smaller."""
    return max(needed(buffers, overlaps).values(), default=0)


def needed(buffers: Sequence[Buffer], overlaps: Overlaps) -> dict[int, int]:
    """The bytes that the buffers alive at one time need alone, for each time at which one is born.

    All buffers alive at one time exclude each other, but for `overlaps`. Those that take part in one are
    packed in the best way; the others come on top.
    """
    bounds = {}
    for time in {buffer.first for buffer in buffers}:
        live = [i for i, buffer in enumerate(buffers) if buffer.first <= time <= buffer.last]
        pairs = {pair: d for pair, d in overlaps.items() if pair[0] in live and pair[1] in live}
        sharing = sorted({i for pair in pairs for i in pair})
        alone = sum(align(buffers[i].bytes) for i in live if i not in sharing)
        bounds[time] = alone + _packed(buffers, sharing, pairs)
    return bounds


def _packed(buffers: Sequence[Buffer], sharing: Sequence[int], pairs: Overlaps) -> int:
    """The least bytes for the buffers `sharing`; of many, what those on one side of the overlaps take."""
    if len(sharing) > EXHAUSTIVE:
        sides = [{pair[side] for pair in pairs} for side in (0, 1)]
        return max(sum(align(buffers[i].bytes) for i in side) for side in sides)
    position = {i: n for n, i in enumerate(sharing)}
    allowed = tuple(((position[i], position[j]), distance) for (i, j), distance in pairs.items())
    return _least(tuple(buffers[i].bytes for i in sharing), allowed)


@lru_cache(maxsize=4096)  # most ops need the same in each program that stripes.py tries
def _least(sizes: tuple[int, ...], allowed: tuple[tuple[tuple[int, int], int], ...]) -> int:
    placer = _Placer([Buffer(size, 0, 0) for size in sizes], dict(allowed))
    for order in permutations(range(len(sizes))):
        placer.attempt(order)
    return placer.top


def plan(buffers: Sequence[Buffer], overlaps: Overlaps) -> tuple[int, ...]:
    """Offsets of `buffers`, in bytes. Buffers alive at the same time share none, but as `overlaps` allows."""
    return _plan(tuple(buffers), tuple(sorted(overlaps.items())), PLACEMENTS)


@lru_cache(maxsize=64)  # the same plan is asked for on the way to a program, and of the program itself
def _plan(
    buffers: tuple[Buffer, ...], allowed: tuple[tuple[tuple[int, int], int], ...], placements: int
) -> tuple[int, ...]:
    overlaps = dict(allowed)
    placer = _Placer(buffers, overlaps)
    bound = lower_bound(buffers, overlaps)
    indices = range(len(buffers))
    orders: Iterable[Sequence[int]] = permutations(indices)
    if len(buffers) > EXHAUSTIVE:
        orders = _greedy_orders(buffers)
    for order in orders:
        placer.attempt(order)
        if placer.top == bound:
            return placer.offsets
    if len(buffers) > EXHAUSTIVE:
        chance = random.Random(0)
        for _ in range(placements // len(buffers)):
            placer.attempt(_mutated(placer, chance))
            if placer.top == bound:
                break
    return placer.offsets


class _Placer:
    """Places the same buffers in one order after another and keeps the best: `order`, `offsets`, `top`."""

    def __init__(self, buffers: Sequence[Buffer], overlaps: Overlaps) -> None:
        self.sizes = [align(buffer.bytes) for buffer in buffers]
        self.order: tuple[int, ...] = ()
        self.offsets: tuple[int, ...] = ()
        self.top = sum(self.sizes) + 1

        def apart(upper: int, lower: int) -> int:
            """How far after `lower` the buffer `upper` has to start, if it lies above."""
            return min(align(overlaps.get((upper, lower), self.sizes[lower])), self.sizes[lower])

        # Of each buffer, those that it conflicts with, and how far it has to be below or above them.
        self._conflicts = [
            [
                (j, apart(j, i), apart(i, j))
                for j, b in enumerate(buffers)
                if j != i and a.first <= b.last and b.first <= a.last
            ]
            for i, a in enumerate(buffers)
        ]

    def attempt(self, order: Sequence[int]) -> None:
        """Gives each buffer, in this order, the lowest place that the earlier ones leave."""
        offsets = [-1] * len(self.sizes)
        top = 0
        for i in order:
            offset = 0
            for low, high in sorted(
                (offsets[j] - below, offsets[j] + above)
                for j, below, above in self._conflicts[i]
                if offsets[j] >= 0
            ):
                if offset <= low:
                    break
                offset = max(offset, high)
            offsets[i] = offset
            top = max(top, offset + self.sizes[i])
            if top > self.top:
                return
        # A tie moves on too: it leads the mutations off plateaus.
        self.order, self.offsets, self.top = tuple(order), tuple(offsets), top


def _live_bytes(buffers: Sequence[Buffer], time: int) -> int:
    return sum(align(buffer.bytes) for buffer in buffers if buffer.first <= time <= buffer.last)


def _greedy_orders(buffers: Sequence[Buffer]) -> tuple[list[int], ...]:
    """By size, by time either way, by duration, by size and duration, and the most crowded times first."""
    live = {buffer.first: _live_bytes(buffers, buffer.first) for buffer in buffers}
    crowd = [max(live[t] for t in live if buffer.first <= t <= buffer.last) for buffer in buffers]
    ages = [buffer.last - buffer.first + 1 for buffer in buffers]
    indices = range(len(buffers))
    return (
        sorted(indices, key=lambda i: (-buffers[i].bytes, buffers[i].first)),
        sorted(indices, key=lambda i: (buffers[i].first, -buffers[i].bytes)),
        sorted(indices, key=lambda i: (-buffers[i].last, -buffers[i].first)),
        sorted(indices, key=lambda i: (-ages[i], -buffers[i].bytes)),
        sorted(indices, key=lambda i: -buffers[i].bytes * ages[i]),
        sorted(indices, key=lambda i: (-crowd[i], -buffers[i].bytes)),
        sorted(indices, key=lambda i: (-crowd[i], buffers[i].first)),
    )


def _mutated(placer: _Placer, chance: random.Random) -> list[int]:
    """The best order with one buffer moved forward: mostly one of those that end at the top."""
    order = list(placer.order)
    highest = [i for i in order if placer.offsets[i] + placer.sizes[i] == placer.top]
    position = order.index(chance.choice(highest))
    if position == 0 or chance.random() < 0.3:
        position = chance.randrange(1, len(order))
    buffer = order.pop(position)
    order.insert(chance.randrange(position), buffer)
    return order
