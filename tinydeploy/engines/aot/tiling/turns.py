"""Turns: what an op reads and makes of its tensors in each stripe, and in each patch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from tinydeploy.engines.aot.memory.input_overlap import Steps


@dataclass(frozen=True)
class Part:
    """What an op reads or makes of a tensor in one turn: `rows` times `columns` pixels.

    They begin at pixel `first` of the tensor's buffer, and each row is `pitch` pixels behind the one before.
    """

    rows: int
    columns: int
    first: int
    pitch: int

    @property
    def is_torn(self) -> bool:
        """Whether there are other pixels between its rows."""
        return self.rows > 1 and self.columns != self.pitch


@dataclass(frozen=True)
class Turn:
    """What an op does in one turn: the parts of its `sides`, and the padding around its input.

    `padding` is above, below, left and right.
    """

    number: int
    parts: tuple[Part, ...]
    padding: tuple[int, int, int, int]

    @property
    def shape(self) -> tuple[object, ...]:
        """All but where the parts begin."""
        return self.padding, *((part.rows, part.columns, part.pitch) for part in self.parts)


@dataclass(frozen=True, eq=False)
class Rows:
    """Of a tensor made in the run: how many rows each stripe ends with, and the first that is then held."""

    ends: Steps
    held: Steps

    @cached_property
    def made(self) -> list[range]:
        """What each stripe makes."""
        return [range(start, stop) for start, stop in pairwise([0, *self.ends.tolist()])]

    @cached_property
    def most(self) -> int:
        """How many its buffer has to hold."""
        return int((self.ends - self.held).max())

    @cached_property
    def stays(self) -> bool:
        """Whether some rows of a stripe are needed in the next."""
        return bool((self.ends[:-1] != self.held[1:]).any())

    def kept(self) -> list[tuple[int, int]]:
        """For each stripe, how many rows stay from the one before, and how many before them do not."""
        stays = zip(self.ends.tolist(), pairwise(self.held.tolist()), strict=False)
        return [(0, 0), *((end - new, new - old) for end, (old, new) in stays)]
