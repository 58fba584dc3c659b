"""Linear int8 ADD: one linear function of its inputs, in place of TFLite's three rescalings.

It has 256 * 256 cases. The rescalings keep so many more bits than the output that there are nearly always
integers for which (a * x + b * y + start) >> shift, clamped, is the same in every case: they are looked for
here, and where none are found, the rescalings stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import floor, hypot, log2

import numpy as np
import numpy.typing as npt

VALUES = np.arange(-128, 128, dtype=np.int64)
_AROUND = 4  # how far from its rounded ratio a slope is looked for
_MOST_BITS = 30


@dataclass(frozen=True)
class Linear:
    """(a * x + b * y + start) >> shift for int8 x and y, in 32 bits."""

    a: int
    b: int
    start: int
    shift: int


def linear(outputs: npt.NDArray[np.int64], slopes: tuple[float, float], low: int, high: int) -> Linear | None:
    """What gives outputs[x + 128, y + 128], clamped to low and high; `slopes` are the real ones.

    None if no slopes near the real ones do.
    """
    reach = 128 * sum(map(abs, slopes)) + abs(float(outputs[128, 128])) + 256
    shift = min(_MOST_BITS, floor(log2(2**31 / reach)))
    if shift < 1:
        return None
    nearest = [round(slope * 2**shift) for slope in slopes]
    offsets = sorted(product(range(-_AROUND, _AROUND + 1), repeat=2), key=lambda pair: hypot(*pair))
    above_low, below_high = outputs > low, outputs < high
    floors = outputs << shift
    for steps in offsets:
        a, b = (slope + step for slope, step in zip(nearest, steps, strict=True))
        missing = floors - (a * VALUES[:, np.newaxis] + b * VALUES)
        least = missing[above_low].max(initial=-(2**31))
        most = missing[below_high].min(initial=2**31 - 1) + (1 << shift) - 1
        start = int(least + most) // 2
        furthest = 128 * (abs(a) + abs(b)) + abs(start)
        if least <= most and furthest < 2**31:
            return Linear(a, b, start, shift)
    return None
