"""Stand-ins: the machine of a board's core, which runs what is built for a board that no emulator models.

What a firmware needs of the machine (its addresses, UART and counter) is the machine's; what decides how it
is compiled and whether it fits (core, sizes of flash and RAM, stack, clock) stays the board's own.
"""

from __future__ import annotations

import dataclasses

from tinydeploy.boards import lookup
from tinydeploy.boards.board import Board, Clock, Memory

_MACHINES = {
    "cortex-m0plus": "qemu-cortex-m0plus",
    "cortex-m3": "mps2-an385",
    "cortex-m4f": "mps2-an386",
    "cortex-m7": "mps2-an500",
    "cortex-m33": "mps2-an505",
    "cortex-m55": "mps3-an547",
    "rv32imc": "qemu-virt-rv32",
    "rv32imac": "qemu-virt-rv32",
    "xtensa-lx6": "qemu-xtensa",
    "xtensa-lx7": "qemu-xtensa",
}
"""By core, the board whose machine executes its instructions, or of Xtensa those that all its cores have."""


def has_machine(board: Board) -> bool:
    """Whether there is a machine of the board's core."""
    return board.core.id in _MACHINES


def on_machine(board: Board, emulator: str) -> Board:
    """The board as the machine of its core has it in this emulator, which says so in its note.

    Its memories start where the machine's do. They are as large as the board's, or as the machine's if those
    are smaller. What runs is compiled for the board's core, or the machine's if that has another compiler.
    """
    machine = lookup.board(_MACHINES[board.core.id])
    table = machine.emulation[emulator]
    return dataclasses.replace(
        board,
        core=board.core if _is_same(board, machine) else machine.core,
        flash=_within(board.flash, machine.flash),
        ram=_within(board.ram, machine.ram),
        uart=machine.uart,
        counter=machine.counter,
        clock=Clock(),
        arduino=None,
        image="",
        emulation={emulator: {**table, "note": _note(board, machine, table.get("note", ""))}},
    )


def _is_same(board: Board, machine: Board) -> bool:
    return board.core.toolchain == machine.core.toolchain


def _within(wanted: Memory, there: Memory) -> Memory:
    return Memory(there.origin, min(wanted.bytes, there.bytes))


def _note(board: Board, machine: Board, known: str) -> str:
    """What stands in for what, and what is known of that machine."""
    what = f"the same instructions, {board.core.name}"
    if not _is_same(board, machine):
        what = f"firmware for {machine.core.name}, not for its {board.core.name}"
    said = (
        f"{machine.name} stands in for {board.name}: {what}, within the board's flash and RAM; "
        "its peripherals and its clock are not there."
    )
    for what, wanted, there in (("flash", board.flash, machine.flash), ("RAM", board.ram, machine.ram)):
        if there.bytes < wanted.bytes:
            said += f" Of {wanted.bytes >> 10:,} KiB of {what} it has {there.bytes >> 10:,}."
    return f"{said} {known}".strip()
