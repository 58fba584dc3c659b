"""From milliseconds to microjoules, and to how long a battery lasts: power times time.

What a part draws hardly depends on the model (5 % in published results of one board), so its active power,
from its file, is taken for all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot

from tinydeploy.boards.board import Board
from tinydeploy.errors import UsageError
from tinydeploy.results.estimated import EnergyEstimate, Estimate

_AMOUNT = re.compile(r"([0-9]{1,12}(?:[.][0-9]{1,9})?) ?([A-Za-z]+)")
_MOST = 1e9
_TIMES = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_CHARGES = {"mAh": 1.0, "Ah": 1000.0}
_SECONDS_A_DAY = 86_400.0
_MICROJOULES_PER_MAH_AND_VOLT = 3.6e6


@dataclass(frozen=True)
class Duty:
    """One inference every so many seconds from a battery; None where nothing is said of it.

    `extra_uj` is what each turn takes besides, for waking up and for the sensor.
    """

    every_s: float | None = None
    battery_mah: float | None = None
    extra_uj: float = 0.0


def duty(every: str | None, battery: str | None, extra_uj: float | None) -> Duty:
    """The duty cycle that is written so: "1s", "220mAh". Raises UsageError for what is none."""
    if every is None:
        if battery is not None or extra_uj is not None:
            named = "battery" if battery is not None else "extra-uj"
            raise UsageError(f"--{named} says little without --every", "add --every 1s, or what it is")
        return Duty()
    seconds = _amount(every, _TIMES, "a time from one inference to the next", "1s, 500ms, 10min or 1h")
    charge = None if battery is None else _amount(battery, _CHARGES, "a battery's charge", "220mAh or 2Ah")
    return Duty(seconds, charge, extra_uj or 0.0)


def _amount(text: str, units: Mapping[str, float], what: str, examples: str) -> float:
    found = _AMOUNT.fullmatch(text.strip())
    if found is None or found[2] not in units or not 0 < (value := float(found[1]) * units[found[2]]) < _MOST:
        raise UsageError(f"'{text}' is not {what}", f"write {examples}")
    return value


def energy(board: Board, time: Estimate, duty: Duty) -> EnergyEstimate | None:
    """The energy of an inference on a board that takes that long; None if its power is not known.

    If it takes longer than there is from one to the next, there is no average power.
    """
    power = board.power
    if power is None or time.ms <= 0:
        return None
    uj = time.ms * power.active_mw
    off = hypot(power.spread, (time.high - time.low) / (2 * time.ms))
    ends = (round(uj * max(0.0, 1 - off), 3), round(uj * (1 + off), 3))
    method = f"estimated time × {power.active_mw:g} mW at {power.volts:g} V ({power.source})"
    found = (round(uj, 3), *ends, method)
    if duty.every_s is None:
        return EnergyEstimate(*found)
    busy = time.ms / 1e3 / duty.every_s
    if busy > 1:
        return EnergyEstimate(*found, duty.every_s)
    average = power.sleep_uw * (1 - busy) + (uj + duty.extra_uj) / duty.every_s
    days = None
    if duty.battery_mah is not None:
        held = duty.battery_mah * power.volts * _MICROJOULES_PER_MAH_AND_VOLT
        days = round(held / average / _SECONDS_A_DAY, 2)
    return EnergyEstimate(*found, duty.every_s, duty.battery_mah, round(average, 3), days)
