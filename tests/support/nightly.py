"""How much is gone over: a turn in `make test`, the whole with TINYDEPLOY_NIGHTLY=1, as in `make nightly`.

Random models are the same ones in every run of `make test`. Each night has others: TINYDEPLOY_NIGHT is its
number, which `make nightly` sets to the day's and prints.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

NIGHTLY = os.environ.get("TINYDEPLOY_NIGHTLY") == "1"
NIGHT = int(os.environ.get("TINYDEPLOY_NIGHT", "0")) if NIGHTLY else 0


def first_seed(count: int) -> int:
    """Where this run's `count` random models begin; TINYDEPLOY_SEED=n takes the n-th and those after it."""
    return int(os.environ.get("TINYDEPLOY_SEED", NIGHT * count))


def turn(everything: Sequence[T], *usual: T) -> list[T]:
    """All of `everything` in a nightly run, and else those of it that are `usual`."""
    return [item for item in everything if NIGHTLY or item in usual]
