"""The failure of a run: what failed, in which phase, and how far it had come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SCHEMA = "tinydeploy.failure/1"
PHASES = ("build", "search", "target", "reference", "second opinion")


@dataclass(frozen=True)
class Failure:
    """A run without a result. `done` are the phases that ended well, with their seconds.

    `log` is the file that holds the build's output, "" if nothing was built.
    """

    message: str
    hint: str
    kind: str
    exit_code: int
    phase: str
    done: dict[str, float]
    model: str
    model_sha256: str
    board: str
    engine: str
    optimize: str | None
    target: str
    log: str
    started: str
    version: str

    def to_json(self) -> dict[str, Any]:
        """The content of failed.json, which is no result: no figure of one is in it."""
        return {"schema": SCHEMA} | vars(self)
