"""What a meter may have recorded: inferences of a known energy, as arrays and as a file."""

from __future__ import annotations

import numpy as np

from tinydeploy.meters.meter import Recording


def recording(pulses: int, samples: int = 100, watts: float = 0.03) -> Recording:
    """So many inferences of 1 ms each at `watts`, 10 samples of 3 mW before, between and after them."""
    high = np.concatenate([[False] * 10, *[[True] * samples + [False] * 10] * pulses])
    return Recording("a meter", np.arange(len(high)) * 1e-3 / samples, np.where(high, watts, 0.003), high)


def as_csv(found: Recording, header: str = "time_s,current_ma,voltage_v,trigger", volts: float = 3.0) -> str:
    rows = zip(found.seconds, 1e3 * found.watts / volts, found.high, strict=True)
    lines = (f"{second:.9f},{milliamperes:.9f},{volts},{3.3 * high}" for second, milliamperes, high in rows)
    return "\n".join([header, *lines, ""])
