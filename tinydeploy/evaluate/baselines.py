"""Where a baseline is: a file, a folder, or a commit of git."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinydeploy.errors import UsageError
from tinydeploy.host import git
from tinydeploy.results import baseline, stored
from tinydeploy.results.baseline import Allowance
from tinydeploy.results.result import Result

_GIT = "git:"


@dataclass(frozen=True)
class Baselines:
    """What was asked for: `written` as --baseline has it, "" without one."""

    written: str
    allowed: Mapping[str, Allowance]
    force: bool

    @classmethod
    def taken(cls, settled: dict[str, Any]) -> Baselines:
        """What is asked for, which is taken out of all that is settled. Raises UsageError."""
        written, allow = settled.pop("baseline", None), settled.pop("allow", None)
        if written is not None and not str(written):
            raise UsageError("the baseline is an empty string", "a file, a folder, or git:REF")
        written = str(written or "")
        force = bool(settled.pop("force", False))
        if allow and not written:
            raise UsageError("allow says how much worse than a baseline, and there is none", "add --baseline")
        try:
            return cls(written, baseline.allowances_of(allow or {}), force)
        except ValueError as error:
            raise UsageError(f"allow {error}") from error

    def of(self, file: Path) -> Callable[[Result], Result]:
        """What holds the result of the file `file` against its baseline, which is read at once."""
        if not self.written:
            return lambda result: result
        before, name = self._read(file)
        return lambda result: baseline.judged(result, before, name, self.allowed, force=self.force)

    def _read(self, file: Path) -> tuple[Result, str]:
        if self.written.startswith(_GIT):
            ref, _, path = self.written.removeprefix(_GIT).partition(":")
            named = Path(path) if path.endswith(".json") or not path else Path(path) / stored.FILE
            return stored.parse(git.at(ref, named if path else file), self.written), self.written
        place = Path(self.written)
        if place.is_dir() and not (place / stored.FILE).exists():
            below = place / file.resolve().parent.name
            if not (below / stored.FILE).exists():
                raise UsageError(
                    f"{place} has no baseline for {file.parent.name}: neither {stored.FILE} "
                    f"nor {below.name}/{stored.FILE}",
                    "run writes one with -o/--out",
                )
            place = below
        return stored.read(place), self.written
