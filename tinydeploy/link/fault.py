"""Faults: what a faulting core reports, put into words."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from tinydeploy.errors import DeviceFaultError

_ARM = ("r0", "r1", "r2", "r3", "r12", "lr", "pc", "xpsr", "cfsr", "hfsr", "mmfar", "bfar", "sp", "exception")
_RISCV = ("mcause", "pc", "mtval", "ra", "sp", "gp", "a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7")
_XTENSA = (
    *("exccause", "pc", "excvaddr", "depc"),
    *("a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9"),
)
_LAYOUTS = {1: _ARM, 2: _RISCV, 3: _XTENSA}

_HARD_FAULT = 3
_MMFAR_VALID = 1 << 7
_BFAR_VALID = 1 << 15
_CFSR = {  # Configurable Fault Status Register, ARMv7-M Architecture Reference Manual B3.2.15
    0: "instruction fetch from memory that may not be executed",
    1: "access to memory that is protected",
    3: "memory protection hit while leaving an exception",
    4: "stack overflow",
    8: "instruction fetch from an address where there is no memory",
    9: "access to an address where there is no memory",
    10: "access to an address where there is no memory",
    11: "bus error while leaving an exception",
    12: "stack overflow",
    16: "undefined instruction",
    17: "jump to an address that is not Thumb code",
    18: "invalid return from an exception",
    19: "floating-point or vector instruction with the FPU off",
    20: "stack overflow",
    24: "unaligned access",
    25: "division by zero",
}
_STACKING = 1 << 4 | 1 << 12 | 1 << 20
_EXCEPTIONS = {2: "non-maskable interrupt", 3: "hard fault", 11: "supervisor call"}
_MCAUSE = {  # RISC-V Privileged Architecture, machine cause register
    0: "jump to an unaligned address",
    1: "instruction fetch from an address where there is no memory",
    2: "undefined instruction",
    3: "breakpoint",
    4: "unaligned load",
    5: "load from an address where there is no memory",
    6: "unaligned store",
    7: "store to an address where there is no memory, or to flash",
    11: "environment call",
}
_EXCCAUSE = {  # Xtensa Instruction Set Architecture Reference Manual, table 4-64
    0: "undefined instruction",
    1: "system call",
    2: "instruction fetch that failed",
    3: "access that failed",
    6: "division by zero",
    8: "privileged instruction",
    9: "unaligned access",
    12: "instruction fetch that failed on the bus",
    13: "access that failed on the bus",
    14: "instruction fetch from an address where there is no memory",
    15: "access to an address where there is no memory",
    16: "instruction fetch from an address that is not mapped",
    20: "instruction fetch from memory that may not be executed",
    24: "access to an address that is not mapped",
    28: "load from memory that may not be read",
    29: "store to memory that may not be written",
    64: "breakpoint",  # none of the core's own numbers: the debug exception has a vector to itself
}
_EXCCAUSE_ACCESS = (3, 13, 15, 24, 28, 29)
_NEAR_STACK_POINTER = 1024  # bytes: what a function has on the stack
_MCAUSE_ADDRESSED = (1, 4, 5, 6, 7)


def parse(payload: bytes) -> DeviceFaultError:
    """The error for a FAULT frame's payload, which docs/protocol.md describes."""
    names = _LAYOUTS.get(payload[0] if payload else 0, ())
    if not names or len(payload) != 1 + 4 * len(names):
        return DeviceFaultError("the core faulted, and the report is of a kind unknown here")
    registers = dict(zip(names, struct.unpack(f"<{len(names)}I", payload[1:]), strict=True))
    what, address = {_ARM: _arm, _RISCV: _riscv, _XTENSA: _xtensa}[names](registers)
    where = "" if address is None else f" (address {address:#x})"
    at = f" at pc {registers['pc']:#x}" if registers["pc"] else ""
    return DeviceFaultError(
        f"the core faulted{at}: {what}{where}",
        "raise the board's stack_bytes" if what == "stack overflow" else "",
        registers,
    )


def _arm(registers: Mapping[str, int]) -> tuple[str, int | None]:
    cfsr = registers["cfsr"]
    if cfsr & _STACKING:
        return "stack overflow", registers["sp"]
    address = registers["mmfar"] if cfsr & _MMFAR_VALID else registers["bfar"] if cfsr & _BFAR_VALID else None
    for bit, what in _CFSR.items():
        if cfsr & 1 << bit:
            return what, address
    return _EXCEPTIONS.get(registers["exception"], f"exception {registers['exception']}"), None


def _riscv(registers: Mapping[str, int]) -> tuple[str, int | None]:
    cause = registers["mcause"]
    if cause in (5, 7) and abs(registers["mtval"] - registers["sp"]) < _NEAR_STACK_POINTER:
        return "stack overflow", registers["mtval"]
    what = _MCAUSE.get(cause, f"trap cause {cause:#x}")
    return what, registers["mtval"] if cause in _MCAUSE_ADDRESSED else None


def _xtensa(registers: Mapping[str, int]) -> tuple[str, int | None]:
    cause, address = registers["exccause"], registers["excvaddr"]
    if cause in _EXCCAUSE_ACCESS and abs(address - registers["a1"]) < _NEAR_STACK_POINTER:
        return "stack overflow", address
    what = _EXCCAUSE.get(cause, f"exception cause {cause}")
    return what, address if cause in (*_EXCCAUSE_ACCESS, 9) else None
