"""What an inference executes, by the classes that a core's timing tells apart, and by memory."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tinydeploy.firmware import code
from tinydeploy.firmware.code import Instruction
from tinydeploy.targets.executed import Executed


@dataclass(frozen=True)
class Counts:
    """How many instructions of each class were executed, and what they moved; all are plain counts.

    A load of several words is one load, and each further word an extra one. A load that directly follows
    another is chained to it. Reads from flash and RAM are data accesses, of up to 8 bytes each; a line of
    flash is one of 16 bytes, fetched newly if the access before was to another. Code lines are lines of 16
    bytes that the instructions come from, one after another.
    """

    instructions: int = 0
    first_loads: int = 0
    chained_loads: int = 0
    load_extra_words: int = 0
    stores: int = 0
    store_extra_words: int = 0
    taken_branches: int = 0
    multiplies: int = 0
    dual_multiplies: int = 0
    long_multiplies: int = 0
    divisions: int = 0
    float_operations: int = 0
    float_divisions: int = 0
    vector_instructions: int = 0
    vector_beats: int = 0
    wide_instructions: int = 0
    code_lines: int = 0
    flash_reads: int = 0
    flash_lines: int = 0
    flash_bytes: int = 0
    ram_reads: int = 0
    ram_writes: int = 0
    ram_bytes: int = 0
    other_accesses: int = 0


_LINE = 16  # bytes
_BEATS = 4  # of an MVE instruction, 32 bits each (Armv8-M Architecture Reference Manual, B5.1)
_CONDITION = re.compile(r"(eq|ne|cs|hs|cc|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)$")
_REGISTERS = re.compile(r"\{([^}]*)\}")
_RISCV_LOADS = frozenset({"lb", "lbu", "lh", "lhu", "lw", "flw"})
_RISCV_STORES = frozenset({"sb", "sh", "sw", "fsw"})
_ARM_DUAL = re.compile(r"sml[as]d|smu[as]d|smla[bt][bt]|smul[bt][bt]|smlaw[bt]|smulw[bt]")
_ARM_LONG = re.compile(r"[us]mull|[us]mlal|smlald|smlsld|umaal|smml[as]|smmul")
_DIVIDES = frozenset({"sdiv", "udiv", "div", "divu", "rem", "remu"})


def counts(executed: Executed, elf: Path) -> Counts:
    """The classes of what ran, by the firmware's disassembly. Raises ToolError without the core's objdump."""
    known, at, table = _placed(executed, elf)
    rows = executed.rows[known]
    found = {name: int((rows["executed"] * column[at]).sum()) for name, column in table.items()}
    # Whoever comes by a branch does not come from the load before, nor from the line before.
    broken = int((rows["arrived"] * table["chained_loads"][at]).sum())
    inside_lines = int((rows["arrived"] * (1 - table["code_lines"][at])).sum())
    moved = {name: int(rows[name].sum()) for name in rows.dtype.names or () if hasattr(Counts, name)}
    return Counts(
        **found
        | moved
        | {
            "instructions": executed.instructions,
            "first_loads": found["first_loads"] + broken,
            "chained_loads": found["chained_loads"] - broken,
            "code_lines": found["code_lines"] + inside_lines,
            "taken_branches": int(rows["taken"].sum()),
            "other_accesses": int(rows["other_reads"].sum() + rows["other_writes"].sum()),
        }
    )


def by_instruction(executed: Executed, elf: Path, cycles: Mapping[str, float]) -> npt.NDArray[np.float64]:
    """For each row of what ran its part of the sum that `cycles` by class of Counts make of it."""
    known, at, table = _placed(executed, elf)
    rows = executed.rows[known]
    costs = cycles.get("instructions", 0.0) * rows["executed"].astype(np.float64)
    for name, each in cycles.items():
        if name in table and name != "instructions":
            costs += each * rows["executed"] * table[name][at]
        elif name in (rows.dtype.names or ()):
            costs += each * rows[name]
    broken = rows["arrived"] * table["chained_loads"][at]
    costs += broken * (cycles.get("first_loads", 0.0) - cycles.get("chained_loads", 0.0))
    costs += rows["taken"] * cycles.get("taken_branches", 0.0)
    found = np.zeros(len(executed.rows))
    found[known] = costs
    return found


def _placed(
    executed: Executed, elf: Path
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.intp], dict[str, npt.NDArray[np.int64]]]:
    """Which rows of what ran are the firmware's instructions, where those are in the table, and the table."""
    addresses, table = _table(elf)
    known = np.isin(executed.rows["address"], addresses)
    return known, np.searchsorted(addresses, executed.rows["address"][known]), table


@lru_cache(maxsize=4)
def _table(elf: Path) -> tuple[npt.NDArray[np.uint64], dict[str, npt.NDArray[np.int64]]]:
    """Every instruction's address, and by class what one execution of it adds to that class."""
    instructions = code.instructions(elf)
    names = [field.name for field in dataclasses.fields(Counts)]
    table = {name: np.zeros(len(instructions), np.int64) for name in names}
    for at, adds in enumerate(_classified(instructions)):
        for name, much in adds.items():
            table[name][at] += much
    used = {name: column for name, column in table.items() if column.any() or name in _ALWAYS}
    return np.array([one.address for one in instructions], np.uint64), used


_ALWAYS = ("first_loads", "chained_loads", "code_lines")


def _classified(instructions: Sequence[Instruction]) -> Iterator[dict[str, int]]:
    before: Instruction | None = None
    loaded = False
    for one in instructions:
        follows = before is not None and before.address + before.bytes == one.address
        adds = _classes(one)
        if adds.pop("load", 0):
            adds["chained_loads" if follows and loaded else "first_loads"] = 1
            loaded = True
        else:
            loaded = False
        if not follows or before is None or before.address // _LINE != one.address // _LINE:
            adds["code_lines"] = 1
        if one.bytes == 4:
            adds["wide_instructions"] = 1
        before = one
        yield adds


def _classes(one: Instruction) -> dict[str, int]:
    """The classes of one instruction, whatever stands before it; "load" is any that loads."""
    name = one.mnemonic.removesuffix(".w").removesuffix(".n")
    if name in _RISCV_LOADS:
        return {"load": 1}
    if name in _RISCV_STORES:
        return {"stores": 1}
    plain = name.partition(".")[0]
    if plain.startswith("v"):
        return _vector_or_float(one, plain)
    if plain.startswith(("ldr", "ldm", "pop")):
        return {"load": 1, "load_extra_words": _words(one, plain) - 1}
    if plain.startswith(("str", "stm", "push")):
        return {"stores": 1, "store_extra_words": _words(one, plain) - 1}
    bare = _CONDITION.sub("", plain)
    if bare in _DIVIDES or plain in _DIVIDES:
        return {"divisions": 1}
    if _ARM_DUAL.match(plain):
        return {"dual_multiplies": 1}
    if _ARM_LONG.match(plain) or plain.startswith("mulh"):
        return {"long_multiplies": 1}
    if plain.startswith(("mul", "mla", "mls")):
        return {"multiplies": 1}
    return {}


def _vector_or_float(one: Instruction, plain: str) -> dict[str, int]:
    """The classes of an instruction of the FPU's or MVE's."""
    if re.search(r"\bq[0-7]\b", one.operands):
        adds = {"vector_instructions": 1, "vector_beats": _BEATS}
        if plain.startswith(("vld", "vst")):
            adds |= {"load": 1} if plain.startswith("vld") else {"stores": 1}
        return adds
    words = _words(one, plain)
    if plain.startswith(("vldr", "vldm", "vpop")):
        return {"load": 1, "load_extra_words": words - 1}
    if plain.startswith(("vstr", "vstm", "vpush")):
        return {"stores": 1, "store_extra_words": words - 1}
    if plain.startswith(("vdiv", "vsqrt")):
        return {"float_operations": 1, "float_divisions": 1}
    return {"float_operations": 1}


def _words(one: Instruction, plain: str) -> int:
    """How many words a load or a store moves, at least one."""
    if listed := _REGISTERS.search(one.operands):
        per = 2 if listed[1].strip().startswith("d") else 1
        return max(1, sum(per * _span(part.strip()) for part in listed[1].split(",")))
    if plain.startswith(("ldrd", "strd")):
        return 2
    return 2 if plain.startswith("v") and one.operands.startswith("d") else 1


def _span(registers: str) -> int:
    first, dash, last = registers.partition("-")
    return int(last.strip(" rsd")) - int(first.strip(" rsd")) + 1 if dash else 1
