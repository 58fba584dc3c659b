"""Where buffers go in the arena: offsets for buffers with lifetimes, in as few bytes as possible.

This is dynamic storage allocation (Garey & Johnson, SR2), which is NP-hard. Placing buffers one by one, each
at the lowest offset that is free over its whole life, gives an optimal plan for at least one order of the
buffers (that of an optimal plan's offsets), so the search is over orders. It is deterministic.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations

ALIGNMENT = 16  # bytes, of every buffer and of the arena itself
EXHAUSTIVE = 7  # up to so many buffers every order is tried
PLACEMENTS = 50_000  # beyond, the search ends after placing so many buffers in all


@dataclass(frozen=True)
class Buffer:
    """`bytes` that are in use from time `first` to time `last`, both included."""

    bytes: int
    first: int
    last: int


def align(size: int) -> int:
    """`size` rounded up to ALIGNMENT."""
    return -(-size // ALIGNMENT) * ALIGNMENT


def lower_bound(buffers: Sequence[Buffer]) -> int:
    """The largest sum of live bytes at any time, each buffer aligned: no plan is smaller."""
    return max((_live_bytes(buffers, buffer.first) for buffer in buffers), default=0)


def plan(buffers: Sequence[Buffer]) -> tuple[int, ...]:
    """Offsets of `buffers`, in bytes. Buffers that are alive at the same time never overlap."""
    placer = _Placer(buffers)
    indices = range(len(buffers))
    orders: Iterable[Sequence[int]] = permutations(indices)
    if len(buffers) > EXHAUSTIVE:
        orders = _greedy_orders(buffers)
    for order in orders:
        placer.attempt(order)
        if placer.top == placer.bound:
            return placer.offsets
    if len(buffers) > EXHAUSTIVE:
        chance = random.Random(0)
        for _ in range(PLACEMENTS // len(buffers)):
            placer.attempt(_mutated(placer, chance))
            if placer.top == placer.bound:
                break
    return placer.offsets


class _Placer:
    """Places the same buffers in one order after another and keeps the best: `order`, `offsets`, `top`."""

    def __init__(self, buffers: Sequence[Buffer]) -> None:
        self.bound = lower_bound(buffers)
        self.sizes = [align(buffer.bytes) for buffer in buffers]
        self.order: tuple[int, ...] = ()
        self.offsets: tuple[int, ...] = ()
        self.top = sum(self.sizes) + 1
        self._conflicts = [
            [j for j, b in enumerate(buffers) if j != i and a.first <= b.last and b.first <= a.last]
            for i, a in enumerate(buffers)
        ]

    def attempt(self, order: Sequence[int]) -> None:
        """Gives each buffer, in this order, the lowest gap that the earlier ones leave."""
        offsets = [-1] * len(self.sizes)
        for i in order:
            offset = 0
            for start, size in sorted(
                (offsets[j], self.sizes[j]) for j in self._conflicts[i] if offsets[j] >= 0
            ):
                if start - offset >= self.sizes[i]:
                    break
                offset = max(offset, start + size)
            offsets[i] = offset
        top = max((offset + size for offset, size in zip(offsets, self.sizes, strict=True)), default=0)
        if top <= self.top:  # a tie moves on too: it leads the mutations off plateaus
            self.order, self.offsets, self.top = tuple(order), tuple(offsets), top


def _live_bytes(buffers: Sequence[Buffer], time: int) -> int:
    return sum(align(buffer.bytes) for buffer in buffers if buffer.first <= time <= buffer.last)


def _greedy_orders(buffers: Sequence[Buffer]) -> tuple[list[int], ...]:
    """By size, by time, by duration, by size and duration together, and the most crowded times first."""
    live = {buffer.first: _live_bytes(buffers, buffer.first) for buffer in buffers}
    crowd = [max(live[t] for t in live if buffer.first <= t <= buffer.last) for buffer in buffers]
    ages = [buffer.last - buffer.first + 1 for buffer in buffers]
    indices = range(len(buffers))
    return (
        sorted(indices, key=lambda i: (-buffers[i].bytes, buffers[i].first)),
        sorted(indices, key=lambda i: (buffers[i].first, -buffers[i].bytes)),
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
