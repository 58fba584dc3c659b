"""Boards: one TOML file each under boards/, read into a frozen dataclass and checked against BOARD_SCHEMA."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from tinydeploy import paths
from tinydeploy.errors import UsageError


@dataclass(frozen=True)
class Core:
    """A processor core: the compiler that targets it, with which flags, and what it can do."""

    id: str
    name: str
    toolchain: str  # prefix of the GCC cross tools
    flags: tuple[str, ...]
    fpu: bool = False
    dsp: bool = False
    mve: bool = False

    @property
    def is_arm(self) -> bool:
        """Whether this is a Cortex-M."""
        return self.toolchain.startswith("arm")


DEFAULT_BOARD = "mps2-an386"

_ARM = "arm-none-eabi-"
CORES = {
    core.id: core
    for core in (
        Core("cortex-m0plus", "Cortex-M0+", _ARM, ("-mcpu=cortex-m0plus", "-mthumb")),
        Core("cortex-m3", "Cortex-M3", _ARM, ("-mcpu=cortex-m3", "-mthumb")),
        Core(
            "cortex-m4f",
            "Cortex-M4F",
            _ARM,
            ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
            fpu=True,
            dsp=True,
        ),
        Core(
            "cortex-m7",
            "Cortex-M7",
            _ARM,
            ("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-d16"),
            fpu=True,
            dsp=True,
        ),
        Core(
            "cortex-m33",
            "Cortex-M33",
            _ARM,
            ("-mcpu=cortex-m33", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"),
            fpu=True,
            dsp=True,
        ),
        Core(
            "cortex-m55",
            "Cortex-M55",
            _ARM,
            ("-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"),
            fpu=True,
            dsp=True,
            mve=True,
        ),
        Core(
            "rv32imc",
            "RISC-V RV32IMC",
            "riscv64-unknown-elf-",
            # By this version of the ISA the CSR instructions belong to the base; naming them as the extension
            # zicsr would make GCC link the 64-bit libgcc.
            ("-march=rv32imc", "-misa-spec=2.2", "-mabi=ilp32", "-mcmodel=medany"),
        ),
    )
}


@dataclass(frozen=True)
class Memory:
    """A memory region: start address and size in bytes."""

    origin: int
    bytes: int


@dataclass(frozen=True)
class Device:
    """A peripheral: which driver of firmware_templates/runtime/port runs it, and its base address."""

    driver: str
    base: int


@dataclass(frozen=True)
class Qemu:
    """How QEMU stands in for the board. `icount_shift`: one instruction takes 2**shift ns of virtual time.

    `counter_hz` is the rate at which the board's counter ticks in the emulator.
    """

    system: str  # "arm" for qemu-system-arm
    machine: str
    icount_shift: int
    counter_hz: int
    note: str = ""


@dataclass(frozen=True)
class Uploader:
    """A program that can flash the board, and what it needs to know of it.

    That is OpenOCD's scripts ("interface/stlink.cfg target/stm32f4x.cfg"), or the name of the part.
    """

    program: str
    target: str


@dataclass(frozen=True)
class Board:
    """One board. `flash` and `ram` are the budgets that the linker enforces.

    `uploaders` are in the order of preference. `usb_ids` are those of its serial port, as
    "0483:374b": vendor, product.
    """

    id: str
    name: str
    platformio: str
    core: Core
    clock_hz: int
    flash: Memory
    ram: Memory
    stack_bytes: int
    uart: Device
    counter: Device
    qemu: Qemu | None
    uploaders: tuple[Uploader, ...] = ()
    usb_ids: tuple[str, ...] = ()
    notes: str = ""

    @property
    def is_emulated(self) -> bool:
        """Whether an emulator can stand in for it."""
        return self.qemu is not None


_INTEGER = {"type": "integer", "minimum": 0}
_MEMORY = {
    "type": "object",
    "properties": {"origin": _INTEGER, "bytes": {"type": "integer", "minimum": 1024}},
    "required": ["origin", "bytes"],
    "additionalProperties": False,
}


def _device(*drivers: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"driver": {"enum": list(drivers)}, "base": _INTEGER},
        "required": ["driver", "base"],
        "additionalProperties": False,
    }


BOARD_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "platformio": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
        "core": {"enum": list(CORES)},
        "clock_hz": {"type": "integer", "minimum": 1},
        "flash": _MEMORY,
        "ram": _MEMORY,
        "stack_bytes": {"type": "integer", "minimum": 256, "multipleOf": 8},
        "uart": _device("cmsdk", "stm32", "ns16550"),
        "counter": _device("cmsdk-timer", "stm32-timer", "systick", "rdinstret"),
        "qemu": {
            "type": "object",
            "properties": {
                "system": {"enum": ["arm", "riscv32"]},
                "machine": {"type": "string", "pattern": "^[a-z0-9-]+$"},
                "icount_shift": {"type": "integer", "minimum": 0, "maximum": 10},
                "counter_hz": {"type": "integer", "minimum": 1},
                "note": {"type": "string"},
            },
            "required": ["system", "machine", "icount_shift", "counter_hz"],
            "additionalProperties": False,
        },
        "upload": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in ("openocd", "pyocd", "st-flash")},
            "additionalProperties": False,
        },
        "usb": {
            "type": "object",
            "properties": {
                "ids": {"type": "array", "items": {"type": "string", "pattern": "^[0-9a-f]{4}:[0-9a-f]{4}$"}}
            },
            "required": ["ids"],
            "additionalProperties": False,
        },
        "notes": {"type": "string"},
    },
    "required": ["name", "platformio", "core", "clock_hz", "flash", "ram", "stack_bytes", "uart", "counter"],
    "additionalProperties": False,
}


def _read(path: Path) -> Board:
    try:
        raw = tomllib.loads(path.read_text())
        jsonschema.validate(raw, BOARD_SCHEMA)
    except (tomllib.TOMLDecodeError, jsonschema.ValidationError) as error:
        reason = error.message if isinstance(error, jsonschema.ValidationError) else str(error)
        raise UsageError(f"board file {path} is not valid: {reason}") from error
    return Board(
        id=path.stem,
        name=raw["name"],
        platformio=raw["platformio"],
        core=CORES[raw["core"]],
        clock_hz=raw["clock_hz"],
        flash=Memory(**raw["flash"]),
        ram=Memory(**raw["ram"]),
        stack_bytes=raw["stack_bytes"],
        uart=Device(**raw["uart"]),
        counter=Device(**raw["counter"]),
        qemu=Qemu(**raw["qemu"]) if "qemu" in raw else None,
        uploaders=tuple(Uploader(program, target) for program, target in raw.get("upload", {}).items()),
        usb_ids=tuple(raw.get("usb", {}).get("ids", ())),
        notes=raw.get("notes", ""),
    )


@cache
def all_boards(folder: Path = paths.BOARDS) -> tuple[Board, ...]:
    """Every board in `folder`, by id. Raises UsageError if a file does not follow BOARD_SCHEMA."""
    return tuple(_read(path) for path in sorted(folder.glob("*.toml")))


def board(board_id: str) -> Board:
    """The board with this id or PlatformIO id. Raises UsageError, with near names, if there is none."""
    for candidate in all_boards():
        if board_id in (candidate.id, candidate.platformio):
            return candidate
    known = [candidate.id for candidate in all_boards()]
    near = difflib.get_close_matches(board_id, known, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "tinydeploy boards lists them"
    raise UsageError(f"unknown board '{board_id}'", hint)
