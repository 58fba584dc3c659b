"""The code of a linked firmware: where it lies, its instructions, and which function each belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tinydeploy.errors import ToolError
from tinydeploy.firmware import elf

_LABEL = re.compile(r"^[0-9a-f]+ <(.+)>:$")
_LINE = re.compile(r"^\s*([0-9a-f]+):\t([0-9a-f ]+)\t(\S+)(?:\t(.*))?$")


@dataclass(frozen=True)
class Instruction:
    """One instruction as the disassembler writes it: "ldrd", "r0, r1, [r2], #8"; `function` is mangled."""

    address: int
    bytes: int
    mnemonic: str
    operands: str
    function: str


@lru_cache(maxsize=4)
def instructions(path: Path) -> Sequence[Instruction]:
    """All instructions in the order of their addresses. Raises ToolError without the core's objdump."""
    text = elf.disassembly(path)
    if not text:
        raise ToolError(f"{path.name} cannot be disassembled", "its compiler's objdump has to be on PATH")
    return tuple(_parsed(text))


def _parsed(text: str) -> Iterator[Instruction]:
    function = ""
    for line in text.splitlines():
        if label := _LABEL.match(line):
            function = label[1]
        elif (found := _LINE.match(line)) and not found[3].startswith("."):
            digits = len(found[2].replace(" ", ""))
            operands = re.split(r"\s*[;@#] |\s*<", found[4] or "")[0]
            yield Instruction(int(found[1], 16), digits // 2, found[3], operands, function)


def extent(path: Path) -> tuple[int, int]:
    """Where the code begins, and where it ends."""
    found = instructions(path)
    return found[0].address, found[-1].address + found[-1].bytes


def address_of(path: Path, function: str) -> int | None:
    """Where a function begins, by the linker's name for it; None if there is none."""
    return functions(path).get(function, (None, 0))[0]


@lru_cache(maxsize=4)
def functions(path: Path) -> Mapping[str, tuple[int, int]]:
    """Each function's extent [begin, end), by its name in the symbol table."""
    found: dict[str, tuple[int, int]] = {}
    for one in instructions(path):
        begin, end = found.get(one.function, (one.address, one.address))
        found[one.function] = (min(begin, one.address), max(end, one.address + one.bytes))
    return found
