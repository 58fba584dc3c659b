"""What was estimated: time and energy that no board has measured, each with its interval."""

from __future__ import annotations

from dataclasses import dataclass

from tinydeploy.results.setting import NotNegative

NO_TIME, NO_ENERGY = "there is no estimate of time", "there is no estimate of energy"
"""How a result's warning begins that says why it has none."""


@dataclass(frozen=True)
class Estimate:
    """The time that the board would take by a model of its core and memories: milliseconds, as are both ends.

    Four boards of five are expected between `low` and `high`. `model` names the model, `fitted_on` what its
    factors come from; where no measured times of this part are known, that says so. Where a board ran it,
    `measured_excess` is by what share of `ms` its median time was longer, below 0 shorter.
    """

    cycles: int
    ms: NotNegative
    low: NotNegative
    high: NotNegative
    model: str
    fitted_on: str
    measured_excess: float | None = None


@dataclass(frozen=True)
class OpEstimate:
    """An op's share of an Estimate."""

    cycles: int
    ms: NotNegative
    low: NotNegative
    high: NotNegative


@dataclass(frozen=True)
class EnergyEstimate:
    """Microjoules of an inference, with both ends of the interval in which four boards of five are expected.

    With a duty cycle, `every_s` seconds from one inference to the next, `battery_days` is how long a
    battery of `battery_mah` lasts, sleep between inferences included.
    """

    uj: NotNegative
    low: NotNegative
    high: NotNegative
    method: str
    every_s: float | None = None
    battery_mah: float | None = None
    average_uw: float | None = None
    battery_days: float | None = None
