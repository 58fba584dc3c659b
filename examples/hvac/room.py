"""A simulated room in real weather, minute by minute: what the HVAC example learns from.

The weather is real: a typical year of Greensboro, North Carolina (TMY3, NREL), hourly, which pvlib carries; between hours it
is a straight line. The room is not: two heat capacities (air with furniture, walls), a window to the sun, people who come
and go by a seeded calendar, and a heat pump with a thermostat. Units: °C, W, minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pvlib

Series = npt.NDArray[np.float64]

MINUTES = 365 * 24 * 60
HISTORY, AHEAD = 60, 60  # minutes
FEATURES = (
    "indoor",
    "outdoor",
    "sun",
    "wind",
    "occupancy",
    "setpoint",
    "heat",
    "indoor_lag_15",
    "indoor_lag_30",
    "indoor_lag_60",
    "hour_sin",
    "hour_cos",
    "day_sin",
    "day_cos",
)


@dataclass(frozen=True)
class Year:
    """One year by the minute, each [MINUTES]: the room, its weather, and who is there."""

    indoor: Series
    outdoor: Series
    sun: Series
    wind: Series
    occupancy: Series
    setpoint: Series
    heat: Series


def weather() -> tuple[Series, Series, Series]:
    """Outdoor temperature (°C), global horizontal irradiance (W/m²), wind (m/s)."""
    file = Path(pvlib.__file__).parent / "data" / "723170TYA.CSV"
    hours, _ = pvlib.iotools.read_tmy3(file, map_variables=True)
    at = np.arange(len(hours)) * 60
    columns = (hours[name].to_numpy(float) for name in ("temp_air", "ghi", "wind_speed"))
    outdoor, sun, wind = (np.interp(np.arange(MINUTES), at, column) for column in columns)
    return outdoor, sun, wind


def people(rng: np.random.Generator) -> Series:
    """How many are in the room: up to six on workdays, from about 8 to 18, less at lunch."""
    found = np.zeros(MINUTES)
    for day in range(365):
        if day % 7 >= 5 or rng.random() < 0.04:
            continue
        for _ in range(6):
            if rng.random() < 0.15:
                continue
            come, leave = rng.normal(8.3, 0.6), rng.normal(17.5, 0.9)
            noon = rng.normal(12.3, 0.3)
            for start, end in ((come, noon), (noon + 0.7, leave)):
                found[day * 1440 + int(start * 60) : day * 1440 + int(end * 60)] += 1
    return found


def simulate(seed: int = 1) -> Year:
    """The year. The thermostat heats below the set point and cools 3 °C above it, at night 4 °C apart from that."""
    rng = np.random.default_rng(seed)
    outdoor, sun, wind = weather()
    occupancy = people(rng)
    hour = np.arange(MINUTES) / 60 % 24
    working = (np.arange(MINUTES) // 1440 % 7 < 5) & (hour >= 6.5) & (hour < 18)
    setpoint = np.where(working, 21.0, 17.0)
    indoor, heat = np.empty(MINUTES), np.empty(MINUTES)
    air, wall, power = 19.0, 18.0, 0.0
    gusts = rng.normal(0, 1, MINUTES)
    for minute in range(MINUTES):
        low, high = setpoint[minute], setpoint[minute] + (3.0 if working[minute] else 9.0)
        if air < low - 0.3:
            power = 3000.0
        elif air > high + 0.3:
            power = -3000.0
        elif (power > 0 and air > low + 0.3) or (power < 0 and air < high - 0.3):
            power = 0.0
        leak = 25.0 + 3.0 * wind[minute]  # W/K through window and gaps
        gains = power + 110.0 * occupancy[minute] + 1.6 * sun[minute] + 60.0 * gusts[minute]
        into_wall = 180.0 * (air - wall)
        air += 60 * (gains - into_wall - leak * (air - outdoor[minute])) / 6.0e5
        wall += 60 * (into_wall - 40.0 * (wall - outdoor[minute])) / 1.2e7
        indoor[minute], heat[minute] = air, power
    measured = np.round((indoor + rng.normal(0, 0.03, MINUTES)) * 16) / 16  # a sensor's steps
    return Year(measured, outdoor, sun, wind, occupancy, setpoint, heat)


def table(year: Year) -> npt.NDArray[np.float32]:
    """[MINUTES, feature], each scaled near to -1 to 1; lags reach back before a window, to zero at the year's start."""
    minute = np.arange(MINUTES)
    hour, day = (2 * np.pi * minute / period for period in (1440, 10080))

    def lagged(by: int) -> Series:
        return np.concatenate([np.full(by, year.indoor[0]), year.indoor[:-by]])

    indoor = [(series - 20) / 4 for series in (year.indoor, lagged(15), lagged(30), lagged(60))]
    columns = [
        indoor[0],
        (year.outdoor - 15) / 15,
        year.sun / 500 - 1,
        year.wind / 5 - 1,
        year.occupancy / 3 - 1,
        (year.setpoint - 19) / 2,
        year.heat / 3000,
        *indoor[1:],
        *(wave(angle) for angle in (hour, day) for wave in (np.sin, np.cos)),
    ]
    return (np.round(np.stack(columns, axis=1) * 256) / 256).astype(np.float32)  # fixed point, of 8 bits behind it


def windows(values: npt.NDArray[np.float32], year: Year, ends: npt.NDArray[np.int64]) -> tuple[Series, Series]:
    """X [n, HISTORY, feature] up to each minute of `ends`, and y [n, 1], indoors AHEAD minutes later, in °C."""
    x = np.stack([values[end - HISTORY + 1 : end + 1] for end in ends])
    return x, year.indoor[ends + AHEAD, None]
