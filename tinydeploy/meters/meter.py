"""A meter: what it records, and the energy of the inferences that a trigger marks in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from tinydeploy.errors import DataError, TargetError
from tinydeploy.results.measured import MeasuredEnergy

LEAST_SAMPLES = 10  # of a window


@dataclass(frozen=True, eq=False)
class Recording:
    """Moments in seconds, the watts from each to the next, and whether the trigger is high; all [n].

    `name` is what has recorded it, for people.
    """

    name: str
    seconds: npt.NDArray[np.float64]
    watts: npt.NDArray[np.float64]
    high: npt.NDArray[np.bool_]


class Meter(Protocol):
    """`start`, then the inferences, then `stop`; `close` on every way out."""

    def start(self) -> None:
        """Begins to record. Raises TargetError if the meter does not answer."""

    def stop(self) -> Recording:
        """What was recorded. Raises DataError or TargetError if that cannot be used."""

    def close(self) -> None:
        """Lets go of the meter; harmless when done twice."""


def energy(recording: Recording, inferences: int) -> MeasuredEnergy:
    """The energy of an inference, of so many that each raised the trigger: the mean, the least, the most.

    The edges lie within a sample: so `low` leaves out the first and the last of a window, and `high` takes
    both twice. Raises DataError or TargetError if the windows are others, or too short.
    """
    seconds, name = recording.seconds, recording.name
    steps = np.diff(seconds)
    if len(seconds) < 2 or (steps <= 0).any():
        raise DataError(f"{name}: the moments do not follow each other")
    joules = np.concatenate(([0.0], np.cumsum(recording.watts[:-1] * steps)))
    edges = np.flatnonzero(np.diff(recording.high.astype(np.int8)))
    if not edges.size:
        raise DataError(f"{name} has no edge of the trigger", "is the pin wired to the meter's input?")
    if recording.high[0] or recording.high[-1]:
        raise TargetError(f"{name} begins or ends within an inference", "did the meter stop?")
    begins, ends = edges[::2] + 1, edges[1::2] + 1
    if len(begins) != inferences:
        hint = "did the meter stop?" if len(begins) < inferences else "is the recording of this run?"
        raise TargetError(f"{name} has {len(begins)} inferences, and {inferences} were run", hint)
    if (ends - begins).min() < LEAST_SAMPLES:
        raise DataError(
            f"{name} has {(ends - begins).min()} samples of an inference, and {LEAST_SAMPLES} are needed",
            "record faster",
        )
    spent = joules[ends] - joules[begins]
    edges_spent = joules[begins + 1] - joules[begins] + joules[ends] - joules[ends - 1]
    low, high = (spent - edges_spent).min(), (spent + edges_spent).max()
    uj, least, most = (round(1e6 * float(value), 4) for value in (spent.mean(), low, high))
    return MeasuredEnergy(uj, least, most, f"measured by {name}, {inferences} inferences")
