"""A board as a frozen dataclass: memories, devices, emulators, how it is flashed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tinydeploy.boards.core import Core


@dataclass(frozen=True)
class Memory:
    """A memory region: start address, which an Arduino core knows better, and size in bytes."""

    origin: int
    bytes: int


@dataclass(frozen=True)
class Psram:
    """RAM outside the chip, behind its cache: bytes, and how many lines (4 or 8) carry them, at 80 MHz."""

    bytes: int
    lines: int

    @property
    def megabytes_per_second(self) -> int:
        """What the lines carry at the most; eight take two bits a cycle each."""
        return 160 if self.lines == 8 else 40


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
        """Port and number of the pin `name`, see pin_place."""
        return pin_place(getattr(self, name))


def pin_place(pin: str) -> tuple[int, int]:
    """Port and number of a pin: "PD8" is (3, 8), and "P1.02" is (1, 2)."""
    port, number = pin[1:2], pin[2:].lstrip(".")
    return (int(port) if port.isdigit() else ord(port) - ord("A")), int(number)


@dataclass(frozen=True)
class Trigger:
    """The pin that can tell a meter of an inference: which registers drive it, and where it is from."""

    driver: str
    pin: str
    source: str

    @property
    def place(self) -> tuple[int, int]:
        """Its port and number."""
        return pin_place(self.pin)


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


@dataclass(frozen=True)
class Timing:
    """How the part's memories bear on time, for estimates: see docs/time-model.md.

    `line_cycles` are the core's cycles for a line of 16 bytes of flash data that is newly fetched, known
    within the relative `line_spread`. `points` is whose published times are this part's too, if not the
    board's own.
    """

    line_cycles: float
    line_spread: float
    source: str
    points: str = ""


@dataclass(frozen=True)
class Power:
    """What the part draws while it computes at the board's clock, in mW, known within the relative `spread`.

    `sleep_uw` is what it draws while it sleeps with its RAM kept, in µW, and `volts` what both are for.
    """

    active_mw: float
    spread: float
    sleep_uw: float
    volts: float
    source: str


@dataclass(frozen=True)
class Image:
    """A chip whose ROM loads an image to RAM, code and all, and leaves constants in flash.

    `code_offset` is by how many bytes instructions see the RAM further on than data do. `flash_frequency` is
    how fast the ROM is told to read the flash, in esptool's words.
    """

    code_offset: int
    flash_frequency: str


IMAGES = {
    "esp32c2": Image(0x6E_0000, "30m"),
    "esp32c3": Image(0x70_0000, "40m"),
    "esp32h2": Image(0, "24m"),
}
"""Those chips, as esptool calls them: SOC_I_D_OFFSET of ESP-IDF's soc.h, half of the highest frequency."""

_PSRAM_KEPT = 0x1_0000  # bytes of PSRAM that are left to the heap that the arena is taken from

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
    what its port's control lines have to be, if they reach its reset. `emulation` is what its file has for
    each emulator, by the emulator's name, which knows what it means. A board that is `only_emulated` is made
    for an emulator: its firmware would not run on hardware of that name. `image` is the chip, one of IMAGES,
    whose ROM wants the firmware in a format of its own. With `arena_in_psram` the arena is taken from there.
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
    verified: str
    aliases: tuple[str, ...] = ()
    uploaders: tuple[Uploader, ...] = ()
    usb_ids: tuple[str, ...] = ()
    arduino: Arduino | None = None
    emulation: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    notes: str = ""
    only_emulated: bool = False
    bootloader: str = ""
    lines: Lines = Lines()
    image: str = ""
    timing: Timing | None = None
    power: Power | None = None
    trigger: Trigger | None = None
    psram: Psram | None = None
    arena_in_psram: bool = False

    @property
    def arena_room(self) -> int:
        """Bytes that an arena may have at the most."""
        if self.arena_in_psram and self.psram:
            return self.psram.bytes - _PSRAM_KEPT
        return self.ram.bytes - self.stack_bytes

    @property
    def placement(self) -> str:
        """What there is to know of where the arena lies; "" if that is the chip's own RAM."""
        if not self.arena_in_psram or self.psram is None:
            return ""
        own = 4 * self.clock_hz // 1_000_000
        return (
            f"the arena is in PSRAM: what the cache does not hold comes over {self.psram.lines} lines, "
            f"at most {self.psram.megabytes_per_second} MB/s where the chip's own RAM gives {own:,}; "
            "without PSRAM on its module, the firmware has no arena"
        )

    @property
    def kind(self) -> str:
        """Who starts the chip up: tinydeploy's own runtime ("bare"), or an Arduino core ("arduino")."""
        return "arduino" if self.arduino else "bare"

    @property
    def ldscript(self) -> str:
        """The linker script of a bare firmware, in firmware_templates/platform/ldscripts."""
        return "espressif.ld" if self.image else "firmware.ld"

    @property
    def downloads(self) -> str:
        """The platform that PlatformIO downloads for the board, with its compiler; empty if it needs none."""
        return self.arduino.platform if self.arduino and self.arduino.platform != "baremetal" else ""
