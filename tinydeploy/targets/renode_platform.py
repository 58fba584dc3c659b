"""A board as Renode has it: what its file says, its platform's description, and the script that makes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tinydeploy.boards.board import Board, Device, Memory
from tinydeploy.boards.schema import COUNTER, MEMORY, check_table
from tinydeploy.errors import UsageError

NAME = "renode"
DESCRIPTION = "tests/renode/board.repl"
"""Where a project has its board's description for Renode."""

_BOOT_SECONDS = 0.02  # of virtual time, for the firmware to start


@dataclass(frozen=True)
class Renode:
    """How Renode stands in for a board: the table [renode] of its file.

    It runs `mips` instructions per microsecond of virtual time. `platform` is a description in Renode's own
    tree, and `uart` names its UART. `counter` stands in for the board's where Renode has no model of that
    one; it counts instructions. `peripherals` is added to the platform's description, in its language.
    `unmodelled` are registers that the firmware may touch though Renode has nothing there.
    """

    platform: str
    uart: str
    mips: int
    counter: Device | None = None
    peripherals: str = ""
    unmodelled: tuple[Memory, ...] = ()
    note: str = ""


_SCHEMA = {
    "type": "object",
    "properties": {
        "platform": {"type": "string", "pattern": r"^platforms/[A-Za-z0-9_./-]+\.repl$"},
        "uart": {"type": "string", "pattern": "^[A-Za-z0-9_]+$"},
        "mips": {"enum": [n for n in range(1, 1001) if 1000 % n == 0]},
        "counter": COUNTER,
        "peripherals": {"type": "string"},
        "unmodelled": {"type": "array", "items": MEMORY},
        "note": {"type": "string"},
    },
    "required": ["platform", "uart", "mips"],
    "additionalProperties": False,
}


def described(board: Board) -> Renode | None:
    """What the board's file says of Renode. Raises UsageError if that cannot be."""
    table = board.emulation.get(NAME)
    if table is None:
        return None
    check_table(board.id, NAME, table, _SCHEMA)
    counter = Device(**table["counter"]) if "counter" in table else None
    unmodelled = tuple(Memory(**region) for region in table.get("unmodelled", ()))
    return Renode(**{**table, "counter": counter, "unmodelled": unmodelled})


def platform(board: Board) -> Renode:
    """The same. Raises UsageError if there is nothing."""
    found = described(board)
    if found is None:
        raise UsageError(f"Renode has no platform for {board.name}")
    return found


def platform_description(board: Board) -> str:
    """The board for Renode: its platform, made to count instructions, and without what it would download.

    Virtual time goes by instructions, so a counter that ticks `mips` million times a second counts them.
    """
    renode = platform(board)
    hz = renode.mips * 1_000_000
    # The init section replaces that of the platform, which may fetch register descriptions over the network.
    tags = "".join(
        f'\n        Tag <{region.origin:#x}, {region.origin + region.bytes - 1:#x}> "unmodelled"'
        for region in renode.unmodelled
    )
    text = f"""using "{renode.platform}"

sysbus:
    init:
        UnhandledAccessBehaviour ReportIfNotTagged{tags}

cpu:
    PerformanceInMips: {renode.mips}
"""
    if board.core.is_arm:
        text += f"\nnvic:\n    systickFrequency: {hz}\n"
    counter = renode.counter or board.counter
    if counter.driver == "dwt":
        text += f"\ndwt: Miscellaneous.DWT @ sysbus {counter.base:#x}\n    frequency: {hz}\n"
    return text + (f"\n{renode.peripherals.strip()}\n" if renode.peripherals else "")


def script(board: Board, description: Path, elf: Path, terminal: str) -> list[str]:
    """The commands that make the machine, with its UART at what `terminal` creates, up to its start."""
    renode = platform(board)
    commands = [
        "logLevel 2",  # warnings and errors
        f'mach create "{board.id}"',
        f"machine LoadPlatformDescription {quoted(description)}",
        f"sysbus LoadELF {quoted(elf)}",
        # Not with Mode SynchronizedTimers, though that is faster: what is sent then comes from another
        # thread than the core's, and some UART models block the core for good.
        "emulation SetGlobalAdvanceImmediately true",
        terminal,
        f"connector Connect sysbus.{renode.uart} link",
        # Some models warn whenever the firmware asks for a byte and there is none, which is all the time.
        f"logLevel 3 sysbus.{renode.uart}",
        # The UART drops what comes before the firmware has turned it on.
        f'emulation RunFor "{_BOOT_SECONDS}"',
    ]
    if board.core.is_arm:
        commands.insert(4, f"cpu VectorTableOffset {board.flash.origin:#x}")
    return commands


def quoted(path: Path) -> str:
    """A path as Renode's monitor reads it."""
    return "@" + str(path).replace(" ", "\\ ")
