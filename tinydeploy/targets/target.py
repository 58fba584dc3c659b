"""The contract of a target: what can load a firmware and run it. It knows nothing of models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from tinydeploy.link.channel import Stream


@dataclass(frozen=True)
class ByHand:
    """How somebody without tinydeploy runs a firmware with its link on the terminal.

    That is a command line, and the files that it needs, by their paths in the project.
    """

    command: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)


class Target(Protocol):
    """A firmware on something that runs it. `start` first; leaving the context, or `close`, ends it.

    `kind` (one of TARGETS) and `version` go into the result.
    """

    @property
    def kind(self) -> str:
        """The kind of target."""

    @property
    def version(self) -> str:
        """Its version, as it says it itself."""

    def start(self) -> Stream:
        """Runs the firmware from reset; the stream is its link. Raises ToolError or TargetError."""

    def reset(self) -> Stream:
        """Ends what runs, and starts again; the earlier stream is closed."""
        return self.start()

    def close(self) -> None:
        """Ends what runs; harmless when done twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
