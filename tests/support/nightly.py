"""How much is gone over: a turn in `make test`, the whole with TINYDEPLOY_NIGHTLY=1, as in `make nightly`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

NIGHTLY = os.environ.get("TINYDEPLOY_NIGHTLY") == "1"


def turn(everything: Sequence[T], *usual: T) -> list[T]:
    """All of `everything` in a nightly run, and else those of it that are `usual`."""
    return [item for item in everything if NIGHTLY or item in usual]
