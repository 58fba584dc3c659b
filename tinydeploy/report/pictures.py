"""The report's pictures, each drawn once: matplotlib alone takes most of a second to load."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinydeploy.host import memo, tools
from tinydeploy.model.ops.catalogue import CATALOGUE
from tinydeploy.results.measured import Accuracy
from tinydeploy.results.result import Result, plain

_DRAWN = ("model", "arena", "per_op", "counted")  # of a result, in its schedule
_DRAWN_BY = ("figures.py", "confusion.py", "svg.py", "families.py", "text.py")


def schedule(result: Result) -> str:
    """figures.schedule for a wide page, and for a phone."""

    def draw() -> str:
        from tinydeploy.report import figures, svg

        return svg.either(figures.schedule(result), figures.schedule_narrow(result))

    told = {name: value for name, value in result.to_json().items() if name in _DRAWN}
    return _once("schedule", told, draw)


def confusion(accuracy: Accuracy) -> str:
    """See confusion.confusion."""

    def draw() -> str:
        from tinydeploy.report.confusion import confusion

        return confusion(accuracy)

    return _once("confusion", plain(accuracy), draw)


def _once(name: str, told: Any, draw: Callable[[], str]) -> str:
    key = f"picture {name} {tools.version('matplotlib')} {_programs()} {json.dumps(told, sort_keys=True)}"
    found = memo.read(key)
    if found is not None:
        return found.decode()
    drawn = draw()
    memo.write(key, drawn.encode())
    return drawn


def _programs() -> str:
    """What draws them, by its content."""
    here = Path(__file__).parent
    families = repr({kind: row.family for kind, row in CATALOGUE.items()}).encode()
    return hashlib.sha256(
        b"".join([families, *((here / name).read_bytes() for name in _DRAWN_BY)])
    ).hexdigest()
