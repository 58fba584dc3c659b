"""A case: what was held against limits, and whether all of it held. What a CI is told of is cases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tinydeploy.results.measured import Gate
from tinydeploy.results.result import Result
from tinydeploy.results.verdict import failures


@dataclass(frozen=True)
class Case:
    """What was checked: its gates, and a phrase for each failure. `error` says why there is no result.

    `file` is the model or the result that it was about, `folder` where its result is.
    """

    name: str
    file: str
    gates: tuple[Gate, ...] = ()
    failed: tuple[str, ...] = ()
    error: str = ""
    folder: str = ""
    result: Result | None = None

    @property
    def passed(self) -> bool:
        """Whether there is a result, and nothing failed."""
        return not self.error and not self.failed

    @property
    def lines(self) -> tuple[str, ...]:
        """All that is wrong, a line each."""
        return (self.error,) if self.error else self.failed


def named(result: Result) -> str:
    """A result by its model, board, and what else it was made for."""
    said = [result.optimize or result.engine] if result.optimize != "balanced" else []
    return ", ".join([f"{Path(result.model.path).stem} on {result.board.id}", *map(str, said)])


def of_result(result: Result, file: str, folder: str = "", name: str = "") -> Case:
    """The case of a result that is held against its limits."""
    return Case(name or named(result), file, result.gates or (), failures(result), "", folder, result)
