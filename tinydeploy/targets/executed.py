"""What a firmware executed between two moments, instruction by instruction, as an emulator saw it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FIELDS = (
    "executed",  # how often the instruction ran
    "taken",  # how often a branch from it was taken
    "arrived",  # how often a branch led to it
    "flash_reads",  # data accesses, of up to 8 bytes each
    "flash_lines",  # those of them of another line of 16 bytes than the one read from flash before
    "flash_bytes",
    "ram_reads",
    "ram_writes",
    "ram_bytes",
    "other_reads",  # neither in the flash nor in the RAM that the linker was given: devices, other memories
    "other_writes",
)
"""What is known of each instruction."""

ROW = np.dtype([("address", "<u8"), *((name, "<i8") for name in FIELDS)])


@dataclass(frozen=True, eq=False)
class Executed:
    """One row (ROW) for each address at which something ran, in the order of addresses."""

    rows: npt.NDArray[np.void]

    def less(self, other: Executed) -> Executed:
        """What is here beyond the other, which has the cost of measuring; rows of nothing are left out."""
        addresses = np.union1d(self.rows["address"], other.rows["address"])
        rows = np.zeros(len(addresses), ROW)
        rows["address"] = addresses
        for one, sign in ((self.rows, 1), (other.rows, -1)):
            at = np.searchsorted(addresses, one["address"])
            for name in FIELDS:
                rows[name][at] += sign * one[name]
        return Executed(_without_empty(rows))

    def without(self, begin: int, end: int) -> Executed:
        """The same but for the instructions in [begin, end)."""
        inside = (self.rows["address"] >= begin) & (self.rows["address"] < end)
        return Executed(self.rows[~inside])

    @property
    def instructions(self) -> int:
        """How many instructions ran."""
        return int(self.rows["executed"].sum())


def total(parts: list[Executed]) -> Executed:
    """All of these together."""
    rows = np.concatenate([part.rows for part in parts]) if parts else np.zeros(0, ROW)
    addresses, at = np.unique(rows["address"], return_inverse=True)
    summed = np.zeros(len(addresses), ROW)
    summed["address"] = addresses
    for name in FIELDS:
        np.add.at(summed[name], at, rows[name])
    return Executed(_without_empty(summed))


def _without_empty(rows: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    full = np.zeros(len(rows), bool)
    for name in FIELDS:
        full |= rows[name] != 0
    return rows[full]
