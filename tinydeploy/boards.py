"""Boards: one TOML file each under boards/, read into a frozen dataclass and checked against BOARD_SCHEMA."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinydeploy import kept, paths, platformio_boards
from tinydeploy.errors import UsageError
from tinydeploy.words import DEFAULT_BOARD as DEFAULT_BOARD
from tinydeploy.words import LEVELS as LEVELS

if TYPE_CHECKING:
    import jsonschema


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
        Core(
            "rv32imac",
            "RISC-V RV32IMAC",
            "riscv64-unknown-elf-",
            ("-march=rv32imac", "-misa-spec=2.2", "-mabi=ilp32", "-mcmodel=medany"),
        ),
        # Only with Arduino cores, whose platforms bring compiler and flags with them.
        Core("xtensa-lx6", "Xtensa LX6", "xtensa-esp32-elf-", (), fpu=True),
        Core("xtensa-lx7", "Xtensa LX7", "xtensa-esp32s3-elf-", (), fpu=True),
        Core("avr", "AVR", "avr-", ()),
    )
}


@dataclass(frozen=True)
class Memory:
    """A memory region: start address, which an Arduino core knows better, and size in bytes."""

    origin: int
    bytes: int


@dataclass(frozen=True)
class Device:
    """A peripheral: which driver of firmware_templates/runtime/port runs it, and its base address.

    A UART has pins if they are the board's to choose: "PA2", or "P0.06", and their alternate function.
    """

    driver: str
    base: int
    tx: str = ""
    rx: str = ""
    function: int = 0

    def pin(self, name: str) -> tuple[int, int]:
        """Port and number of the pin `name`: "PD8" is (3, 8), and "P1.02" is (1, 2)."""
        port, number = getattr(self, name)[1:2], getattr(self, name)[2:].lstrip(".")
        return (int(port) if port.isdigit() else ord(port) - ord("A")), int(number)


@dataclass(frozen=True)
class Clock:
    """The driver that brings the clock tree to `Board.clock_hz`, and its numbers: dividers, wait states."""

    driver: str = "fixed"
    numbers: Mapping[str, int] = field(default_factory=dict)


USB_BRIDGES = {
    "cp210x": ("10c4:ea60", "10c4:ea70", "10c4:ea71"),  # Silicon Labs CP2102 to CP2104, CP2105, CP2108
    "ch340": ("1a86:7523", "1a86:7522", "1a86:5523"),  # WCH CH340, CH340K, CH341
    "ch9102": ("1a86:55d4", "1a86:55d3", "1a86:55d8"),  # WCH CH9102, CH343, CH9101
    "ftdi": ("0403:6001", "0403:6010", "0403:6011", "0403:6014", "0403:6015"),
    "pl2303": ("067b:2303", "067b:23a3", "067b:23c3"),  # Prolific
    "st-link": (
        *("0483:374b", "0483:3752"),  # V2-1, the latter without its mass storage
        *("0483:374e", "0483:374f", "0483:3753", "0483:3754", "0483:3755", "0483:3757"),  # V3 in its forms
    ),
    "j-link": ("1366:0105", "1366:1015", "1366:1020", "1366:1024", "1366:1051", "1366:1055", "1366:1061"),
    "cmsis-dap": ("0d28:0204",),  # DAPLink
}
"""USB ids (vendor, product) of the chips and probes that stand between a UART and the host."""


@dataclass(frozen=True)
class Lines:
    """What becomes of a port's control lines when it is open, one of LEVELS; "" leaves them asserted."""

    dtr: str = ""
    rts: str = ""


@dataclass(frozen=True)
class Qemu:
    """How QEMU stands in for the board. `icount_shift`: one instruction takes 2**shift ns of virtual time.

    Where it is None, QEMU has no way to count the instructions that a firmware executes.

    `counter` stands in for the board's where QEMU has no model of that one, and ticks at `counter_hz`.
    """

    system: str  # "arm" for qemu-system-arm
    machine: str
    icount_shift: int | None = None
    counter_hz: int = 0
    counter: Device | None = None
    note: str = ""


@dataclass(frozen=True)
class Renode:
    """How Renode stands in for the board, at `mips` instructions per microsecond of virtual time.

    `platform` is a description in Renode's own tree, and `uart` names its UART. `counter` stands in for
    the board's where Renode has no model of that one; it counts instructions. `peripherals` is added to
    the platform's description, in its language. `unmodelled` are registers that the firmware may touch
    though Renode has nothing there.
    """

    platform: str
    uart: str
    mips: int
    counter: Device | None = None
    peripherals: str = ""
    unmodelled: tuple[Memory, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Counting:
    """The counter of a target. instructions = ticks * numerator / denominator, or else ticks are cycles."""

    counter: Device
    instructions: bool
    numerator: int = 1
    denominator: int = 1


@dataclass(frozen=True)
class Arduino:
    """How the board's Arduino core is built: by which of PlatformIO's platforms, name and version.

    "baremetal" is tinydeploy's own, which takes the core that the distribution installs; `variant` is what
    this one calls the board. `mcu` is the chip's name there and in PlatformIO's data.
    """

    platform: str
    mcu: str = ""
    variant: str = ""


@dataclass(frozen=True)
class Uploader:
    """A program that can flash the board, and what it needs to know of it.

    That is OpenOCD's scripts ("interface/stlink.cfg target/stm32f4x.cfg"), or the name of the part; for
    avrdude also the bootloader's protocol ("atmega2560 wiring").
    """

    program: str
    target: str


VERIFIED = {
    "emulated": "built, and run in an emulator of this board or of its part",
    "compiled": "built, and not run",
    "generated": "the project is generated, and PlatformIO reads it",
}
"""How a board's firmware has been tried so far. None has been run on hardware."""


@dataclass(frozen=True)
class Board:
    """One board: of the kind "arduino" if it has an Arduino core to build on, else "bare".

    `flash` and `ram` are the budgets that the linker enforces. `verified` says how its firmware has been
    tried (one of VERIFIED); `aliases` are what others call the board. `uploaders` are in the order of
    preference. `usb_ids` are those that its serial port may have, as "0483:374b": vendor, product.
    `bootloader` says how to get into its bootloader if that is flashed without a serial port, and `lines`
    what its port's control lines have to be, if they reach its reset. A board that is `only_emulated` is
    made for an emulator: its firmware would not run on hardware of that name.
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
    clock: Clock
    qemu: Qemu | None
    verified: str
    aliases: tuple[str, ...] = ()
    uploaders: tuple[Uploader, ...] = ()
    usb_ids: tuple[str, ...] = ()
    arduino: Arduino | None = None
    renode: Renode | None = None
    notes: str = ""
    only_emulated: bool = False
    bootloader: str = ""
    lines: Lines = Lines()

    @property
    def kind(self) -> str:
        """Who starts the chip up: tinydeploy's own runtime ("bare"), or an Arduino core ("arduino")."""
        return "arduino" if self.arduino else "bare"

    @property
    def downloads(self) -> str:
        """The platform that PlatformIO downloads for the board, with its compiler; empty if it needs none."""
        return self.arduino.platform if self.arduino and self.arduino.platform != "baremetal" else ""

    @property
    def is_emulated(self) -> bool:
        """Whether an emulator stands in for it if nobody says what is to run the firmware."""
        return self.qemu is not None

    @property
    def emulators(self) -> tuple[str, ...]:
        """The emulators that can stand in for the board."""
        return tuple(name for name in ("qemu", "renode") if getattr(self, name) is not None)

    def counting(self, target: str) -> Counting:
        """How the firmware counts on this target: "qemu", "renode", or anything else for the board itself."""
        if target == "qemu" and self.qemu is not None:
            counter, shift = self.qemu.counter or self.counter, self.qemu.icount_shift
            if shift is None:
                return Counting(counter, True, 0)
            return Counting(counter, True, 10**9, self.qemu.counter_hz << shift)
        if target == "renode" and self.renode is not None:
            return Counting(self.renode.counter or self.counter, True)
        return Counting(self.counter, False)

    def note(self, target: str) -> str:
        """What there is to know about the emulator as a stand-in."""
        emulator = {"qemu": self.qemu, "renode": self.renode}.get(target)
        return emulator.note if emulator else ""


_ARDUINO_DEVICE: dict[str, Any] = {"driver": "arduino", "base": 0}
_ARDUINO_STACK = 4096  # bytes: what the larger cores give to loop(), or more
_INTEGER = {"type": "integer", "minimum": 0}
_MEMORY = {
    "type": "object",
    "properties": {"origin": _INTEGER, "bytes": {"type": "integer", "minimum": 1024}},
    "required": ["bytes"],
    "additionalProperties": False,
}


def _device(*drivers: str, **optional: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"driver": {"enum": list(drivers)}, "base": _INTEGER, **optional},
        "required": ["driver", "base"],
        "additionalProperties": False,
    }


def _clock(driver: str, *numbers: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"driver": {"const": driver}}
        | {name: {"type": ["integer", "boolean"]} for name in numbers},
        "required": ["driver", *numbers],
        "additionalProperties": False,
    }


_PIN = {"type": "string", "pattern": "^P([A-K][0-9]{1,2}|[01][.][0-9]{2})$"}
_UART = _device(
    "cmsdk", "stm32", "stm32-v2", "nrf-uarte", "sifive", "ns16550", tx=_PIN, rx=_PIN, function=_INTEGER
)
_COUNTER = _device("cmsdk-timer", "stm32-timer", "systick", "dwt", "rdinstret", "mcycle")
_STM32F4_CLOCK = (
    *("hse_hz", "hse_bypass", "m", "n", "p", "apb1", "apb2"),
    *("wait_states", "vos", "over_drive"),
)
_CLOCKS = {
    "stm32f4": _STM32F4_CLOCK,
    "stm32f7": _STM32F4_CLOCK,
    "stm32h7": ("hse_hz", "hse_bypass", "m", "n", "p", "wait_states", "boost"),
    "nrf52": (),
    "fe310": ("hse_hz", "m", "n", "p", "flash_divider"),
}
"""What each clock driver has to be told: frequencies in Hz, the PLL's dividers by the reference manual's
names, dividers of buses."""

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
        "uart": _UART,
        "counter": _COUNTER,
        "clock": {"oneOf": [_clock(driver, *numbers) for driver, numbers in _CLOCKS.items()]},
        "qemu": {
            "type": "object",
            "properties": {
                "system": {"enum": ["arm", "riscv32", "avr"]},
                "machine": {"type": "string", "pattern": "^[a-z0-9_-]+$"},
                "icount_shift": {"type": "integer", "minimum": 0, "maximum": 10},
                "counter_hz": {"type": "integer", "minimum": 1},
                "counter": _COUNTER,
                "note": {"type": "string"},
            },
            "required": ["system", "machine"],
            "dependentRequired": {"icount_shift": ["counter_hz"], "counter_hz": ["icount_shift"]},
            "additionalProperties": False,
        },
        "renode": {
            "type": "object",
            "properties": {
                "platform": {"type": "string", "pattern": r"^platforms/[A-Za-z0-9_./-]+\.repl$"},
                "uart": {"type": "string", "pattern": "^[A-Za-z0-9_]+$"},
                "mips": {"enum": [n for n in range(1, 1001) if 1000 % n == 0]},
                "counter": _COUNTER,
                "peripherals": {"type": "string"},
                "unmodelled": {"type": "array", "items": _MEMORY},
                "note": {"type": "string"},
            },
            "required": ["platform", "uart", "mips"],
            "additionalProperties": False,
        },
        "verified": {"enum": list(VERIFIED)},
        "aliases": {"type": "array", "items": {"type": "string", "pattern": "^[A-Za-z0-9_/.-]+$"}},
        "arduino": {
            "type": "object",
            "properties": {
                "platform": {"type": "string", "pattern": "^[a-z0-9-]+(@[0-9.]+)?$"},
                "mcu": {"type": "string", "pattern": "^[a-z0-9]+$"},
                "variant": {"type": "string", "pattern": "^[A-Za-z0-9_-]+$"},
            },
            "required": ["platform"],
            "additionalProperties": False,
        },
        "upload": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in ("openocd", "pyocd", "st-flash", "avrdude")},
            "additionalProperties": False,
        },
        "usb": {
            "type": "object",
            "properties": {
                "ids": {"type": "array", "items": {"type": "string", "pattern": "^[0-9a-f]{4}:[0-9a-f]{4}$"}},
                "bridges": {"type": "array", "items": {"enum": list(USB_BRIDGES)}},
                "bootloader": {"type": "string"},
            },
            "minProperties": 1,
            "additionalProperties": False,
        },
        "lines": {
            "type": "object",
            "properties": {"dtr": {"enum": list(LEVELS)}, "rts": {"enum": list(LEVELS)}},
            "additionalProperties": False,
        },
        "only_emulated": {"type": "boolean"},
        "notes": {"type": "string"},
    },
    "required": ["name", "platformio", "core", "clock_hz", "flash", "ram", "stack_bytes", "verified"],
    "if": {"required": ["arduino"]},
    "then": {"not": {"anyOf": [{"required": [name]} for name in ("uart", "counter", "clock")]}},
    "else": {"required": ["uart", "counter"]},
    "additionalProperties": False,
}


@cache
def _validator() -> jsonschema.Draft202012Validator:
    import jsonschema  # takes a while to load, and --help needs none of it

    return jsonschema.Draft202012Validator(BOARD_SCHEMA)


def _raw(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"board file {path} is not valid: {error}") from error


def _check(path: Path, raw: dict[str, Any]) -> None:
    """Raises UsageError unless the file's content follows BOARD_SCHEMA, if it is not known to."""
    key = f"board {BOARD_SCHEMA} {raw}"
    if kept.read(key):
        return
    from jsonschema.exceptions import best_match

    if wrong := best_match(_validator().iter_errors(raw)):
        raise UsageError(f"board file {path} is not valid: {wrong.message}")
    kept.write(key, b"valid")


@cache
def _read(path: Path) -> Board:
    raw = _raw(path)
    _check(path, raw)
    usb = raw.get("usb", {})
    return Board(
        id=path.stem,
        name=raw["name"],
        platformio=raw["platformio"],
        core=CORES[raw["core"]],
        clock_hz=raw["clock_hz"],
        flash=Memory(**{"origin": 0} | raw["flash"]),
        ram=Memory(**{"origin": 0} | raw["ram"]),
        stack_bytes=raw["stack_bytes"],
        uart=Device(**raw.get("uart", _ARDUINO_DEVICE)),
        counter=Device(**raw.get("counter", _ARDUINO_DEVICE)),
        clock=_clock_of(raw.get("clock", {"driver": "fixed"})),
        qemu=_qemu(raw["qemu"]) if "qemu" in raw else None,
        verified=raw["verified"],
        aliases=tuple(raw.get("aliases", ())),
        uploaders=tuple(Uploader(program, target) for program, target in raw.get("upload", {}).items()),
        usb_ids=(*usb.get("ids", ()), *(one for name in usb.get("bridges", ()) for one in USB_BRIDGES[name])),
        arduino=Arduino(**raw["arduino"]) if "arduino" in raw else None,
        renode=_renode(raw["renode"]) if "renode" in raw else None,
        notes=raw.get("notes", ""),
        only_emulated=raw.get("only_emulated", False),
        bootloader=usb.get("bootloader", ""),
        lines=Lines(**raw.get("lines", {})),
    )


def _renode(raw: dict[str, Any]) -> Renode:
    counter = Device(**raw["counter"]) if "counter" in raw else None
    unmodelled = tuple(Memory(**region) for region in raw.get("unmodelled", ()))
    return Renode(**raw | {"counter": counter, "unmodelled": unmodelled})


def _clock_of(raw: dict[str, Any]) -> Clock:
    return Clock(raw["driver"], {name: int(value) for name, value in raw.items() if name != "driver"})


def _qemu(raw: dict[str, Any]) -> Qemu:
    return Qemu(**raw | {"counter": Device(**raw["counter"]) if "counter" in raw else None})


@cache
def all_boards(folder: Path = paths.BOARDS) -> tuple[Board, ...]:
    """Every board in `folder`, by id. Raises UsageError if a file does not follow BOARD_SCHEMA."""
    return tuple(_read(path) for path in _files(folder))


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.toml"))


def ids() -> list[str]:
    """Every board's id; no file is read."""
    return [path.stem for path in _files(paths.BOARDS)]


def select(words: Sequence[str]) -> tuple[Board, ...]:
    """The boards in whose names, or those of core and chip, all `words` occur; and those named as "pio:ID".

    Raises UsageError if there is none.
    """
    named = tuple(board(word) for word in words if word.startswith(_ANY))
    wanted = [word.lower() for word in words if not word.startswith(_ANY)]
    if named and not wanted:
        return named

    def text(board: Board) -> str:
        chip = (board.core.id, board.core.name, board.clock.driver, board.downloads)
        return " ".join((board.id, board.name, *chip, *board.aliases)).lower()

    found = tuple(board for board in all_boards() if all(word in text(board) for word in wanted))
    if not found:
        raise UsageError(f"no board is called '{' '.join(wanted)}'", "tinydeploy boards lists them")
    return found + named


def find(board_id: str) -> Board | None:
    """`board`, or None if nothing has exactly this name."""
    try:
        return board(board_id)
    except UsageError:
        if board_id.startswith(_ANY):
            raise
        return None


def board(board_id: str) -> Board:
    """The board with this id, PlatformIO id or alias; or "pio:" and an id that PlatformIO's platforms know.

    Raises UsageError, with near names, if there is none.
    """
    if board_id.startswith(_ANY):
        return _of_platformio(board_id)
    files = {path.stem: path for path in _files(paths.BOARDS)}
    if board_id in files:
        return _read(files[board_id])
    names = dict(files)
    for path in files.values():
        raw = _raw(path)
        for name in (*raw.get("aliases", ()), raw.get("platformio", "")):
            names.setdefault(name, path)
    if board_id in names:
        return _read(names[board_id])
    near = difflib.get_close_matches(board_id, names, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else "tinydeploy boards lists them"
    raise UsageError(f"unknown board '{board_id}'", f"{hint}; any other of PlatformIO's is {_ANY}ID")


_ANY = "pio:"
_CPUS = {
    "cortex-m0": "cortex-m0plus",
    "cortex-m4": "cortex-m4f",
    "esp32": "xtensa-lx6",
    "esp32s2": "xtensa-lx7",
    "esp32s3": "xtensa-lx7",
    "esp32c3": "rv32imc",
}
"""What PlatformIO's manifests call a core, where that is not its id in CORES."""


def _of_platformio(board_id: str) -> Board:
    name = board_id.removeprefix(_ANY)
    platform, manifest = platformio_boards.manifest(name)
    build, sizes = manifest["build"], manifest["upload"]
    cpu = build.get("cpu") or ("avr" if str(build["mcu"]).startswith("at") else build["mcu"])
    core = CORES.get(_CPUS.get(cpu, cpu))
    if core is None:
        raise UsageError(f"{name} has a core that tinydeploy does not know: {cpu}")
    return Board(
        id=name,
        name=str(manifest["name"]),
        platformio=name,
        core=core,
        clock_hz=int(str(build["f_cpu"]).rstrip("L")),
        flash=Memory(0, sizes["maximum_size"]),
        ram=Memory(0, sizes["maximum_ram_size"]),
        stack_bytes=_ARDUINO_STACK if sizes["maximum_ram_size"] > 4 * _ARDUINO_STACK else 512,
        uart=Device(**_ARDUINO_DEVICE),
        counter=Device(**_ARDUINO_DEVICE),
        clock=Clock(),
        qemu=None,
        verified="generated",
        usb_ids=tuple(
            f"{int(vendor, 16):04x}:{int(product, 16):04x}" for vendor, product in build.get("hwids", ())
        ),
        arduino=Arduino(platform, mcu=str(build["mcu"])),
        notes="Everything about it comes from PlatformIO's own data, and nothing was tried.",
    )
