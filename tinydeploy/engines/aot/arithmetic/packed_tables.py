"""Tables of 65,536 integers, one for each int16, packed without loss: lines, and what differs from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

MAX_BYTES = 48 << 10
_BLOCK = 256  # entries that share the form in which they are packed
_BITS = (0, 1, 2, 4, 8)


@dataclass(frozen=True, eq=False)
class Packed:
    """Blocks of 256 entries, as kernels/lookup.h reads them: `starts` says where in `words` each begins.

    A block's words are shift + 16 * bits, the least that an entry is above the line between its knots, the
    knots, one for every 2**shift entries and one for the entry behind the block, and how much more than the
    least each entry is above, in so many bits, from each word's low end on. Equal blocks are there once.
    """

    starts: npt.NDArray[np.uint16]
    words: npt.NDArray[np.int16]

    @property
    def bytes(self) -> int:
        """Size of the constants."""
        return self.starts.nbytes + self.words.nbytes


def pack(table: Integers) -> Packed | None:
    """The smallest form of `table`, whose entries have 16 bits; None if that has more than MAX_BYTES."""
    blocks = table.reshape(-1, _BLOCK)
    ends = np.append(blocks[1:, 0], table[-1])
    forms = [_Form.of(blocks, ends, shift) for shift in range(2, 9)]
    best = np.argmin([form.words for form in forms], axis=0).tolist()
    found: dict[bytes, int] = {}
    words: list[npt.NDArray[np.int16]] = []
    starts = np.zeros(len(blocks), np.int64)
    size = 0
    for block, chosen in enumerate(best):
        packed = forms[chosen].packed(block)
        starts[block] = found.setdefault(packed.tobytes(), size)
        if starts[block] == size:
            words.append(packed)
            size += packed.size
    smallest = 2 * (len(blocks) + size) <= MAX_BYTES
    return Packed(starts.astype(np.uint16), np.concatenate(words)) if smallest else None


@dataclass(frozen=True, eq=False)
class _Form:
    """All blocks with a knot every 2**shift entries: a row of `knots` and `rest` for each of them."""

    shift: int
    knots: Integers
    rest: Integers
    least: Integers
    bits: Integers

    @classmethod
    def of(cls, blocks: Integers, ends: Integers, shift: int) -> _Form:
        """`ends` are the entries behind the blocks."""
        knots = np.column_stack([blocks[:, :: 1 << shift], ends])
        along = np.arange(1 << shift)
        lines = knots[:, :-1, np.newaxis] + (np.diff(knots)[:, :, np.newaxis] * along >> shift)
        rest = blocks - lines.reshape(blocks.shape)
        least = rest.min(axis=1)
        # What needs more than 16 bits takes 16, too: the kernel's sum wraps around.
        enough = np.searchsorted([1 << bits for bits in _BITS], rest.max(axis=1) - least, side="right")
        return cls(shift, knots, rest, least, np.append(_BITS, 16)[enough])

    @property
    def words(self) -> Integers:
        """How many words each block takes."""
        words: Integers = 2 + self.knots.shape[1] + _BLOCK // 16 * self.bits
        return words

    def packed(self, block: int) -> npt.NDArray[np.int16]:
        """The words of a block."""
        bits, least = int(self.bits[block]), int(self.least[block])
        above = np.zeros(0, np.int64)
        if bits:
            each = ((self.rest[block] - least) & 0xFFFF).reshape(-1, 16 // bits)
            above = (each << bits * np.arange(16 // bits)).sum(axis=1)
        words = np.concatenate([[self.shift + 16 * bits, least], self.knots[block], above]) & 0xFFFF
        return words.astype(np.uint16).view(np.int16)
