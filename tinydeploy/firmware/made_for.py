"""What a firmware is made for, and how it is run there: what a project tells of its target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from tinydeploy.boards.board import Board, Counting
from tinydeploy.link.channel import BAUD


class MadeFor(Protocol):
    """What a firmware is made for, as far as its project tells of it: a kind of target."""

    @property
    def name(self) -> str:
        """What --target calls it."""

    @property
    def title(self) -> str:
        """What people call it."""

    @property
    def is_emulator(self) -> bool:
        """Whether it stands in for the board."""

    def counting(self, board: Board) -> Counting:
        """How the firmware counts there."""

    def links(self, board: Board) -> tuple[str, ...]:
        """The links that it has, the default first."""


@dataclass(frozen=True)
class ByHand:
    """How somebody without tinydeploy runs a firmware with its link on the terminal.

    That is a command line, what it does (a sentence without its end), and the files that it needs, by their
    paths in the project. `places` are paths there, and what is at them.
    """

    command: tuple[str, ...]
    told: str
    files: Mapping[str, str] = field(default_factory=dict)
    places: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Application:
    """What a firmware does instead of serving tinydeploy's host, with the same runtime around it.

    `verb` measures it, if one does. `defines` are the macros that compile it, `templates` those of its
    headers, which `facts` fill in, and `told` what a person is told who has it in a terminal. With `marks`
    it tells a meter of its work by the board's trigger pin. It speaks at `baud`, where the link has a rate.
    """

    name: str
    verb: str
    defines: tuple[str, ...]
    templates: tuple[str, ...]
    facts: Mapping[str, Any]
    told: str
    marks: bool = False
    baud: int = BAUD

    @property
    def headers(self) -> dict[str, str]:
        """Where the headers are among the sources, each with its template."""
        return {template.removesuffix(".j2"): template for template in self.templates}


@dataclass(frozen=True)
class Suite:
    """How a firmware that tests itself is run and watched: the emulator's name for people, and the command.

    `workflow` is the path of a CI job that does the same, `templates` and `files` are what it all needs, by
    paths in the project, `places` as in ByHand. `emulator` is what templates are told of it.
    """

    title: str
    command: str
    workflow: str
    templates: Mapping[str, str]
    files: Mapping[str, str]
    places: tuple[tuple[str, str], ...]
    emulator: Any


@dataclass(frozen=True)
class SelfTest:
    """Samples for a firmware to run by itself, and a suite that watches it.

    `inputs` and `expected` are the bytes of all samples, one after another, and of each sample those of its
    tensors.
    """

    samples: int
    inputs: bytes
    expected: bytes
    suite: Suite
    max_instructions: int | None = None
