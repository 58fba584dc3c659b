"""Where an inference spends what it takes: by op, function, source line and instruction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ProfileUnit = Literal["estimated cycles", "instructions"]


@dataclass(frozen=True)
class ProfiledLine:
    """What one line of a function takes in one op; `source` is "src/runtime/main.cpp:12", if known."""

    op: int
    function: str
    source: str
    count: int


@dataclass(frozen=True)
class ProfiledInstruction:
    """An instruction as the disassembler writes it, how often it ran, and what it takes in all ops."""

    address: int
    text: str
    executed: int
    count: int


@dataclass(frozen=True)
class ProfiledFunction:
    """A function, what it takes in all ops, and, of those that take most, each instruction of it."""

    name: str
    count: int
    instructions: tuple[ProfiledInstruction, ...] = ()


@dataclass(frozen=True)
class Profile:
    """One inference, that of the sample whose count is the median.

    In cycles if the board has a time model, each rounded, and in instructions else. The costliest come first.
    """

    unit: ProfileUnit
    total: int
    functions: tuple[ProfiledFunction, ...]
    lines: tuple[ProfiledLine, ...]
