"""The boards that PlatformIO's installed platforms know, from their own data, without a network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinydeploy.boards.board import Arduino, Board, Clock, Device, Memory, Psram
from tinydeploy.boards.core import CORES
from tinydeploy.errors import UsageError
from tinydeploy.host.platformio import core_dir


def manifest(board_id: str) -> tuple[str, dict[str, Any]]:
    """The platform, as "name@version", and the manifest (boards/<id>.json) of a board.

    Raises UsageError if no installed platform has the board, or what it says cannot be read.
    """
    # Without the check the name could lead out of the folder.
    found = sorted(core_dir().glob(f"platforms/*/boards/{board_id}.json")) if _is_name(board_id) else []
    if not found:
        raise UsageError(
            f"no platform that PlatformIO has installed here knows a board '{board_id}'",
            "pio boards ID names its platform; pio pkg install --global --platform PLATFORM installs it",
        )
    try:
        board = json.loads(found[0].read_text(encoding="utf-8"))
        platform = json.loads((found[0].parent.parent / "platform.json").read_text(encoding="utf-8"))
        spec = f"{platform['name']}@{platform['version']}"
        sizes = board["upload"]["maximum_size"], board["upload"]["maximum_ram_size"]
        if "arduino" not in board["frameworks"] or not all(isinstance(size, int) for size in sizes):
            raise UsageError(f"{board_id} has no Arduino core in {spec}", "tinydeploy needs one to build on")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"PlatformIO's data about {board_id} cannot be read: {found[0]}") from error
    return spec, board


def _is_name(text: str) -> bool:
    return text.replace("-", "").replace("_", "").isalnum()


ARDUINO_DEVICE: dict[str, Any] = {"driver": "arduino", "base": 0}
_ARDUINO_STACK = 4096  # bytes: what the larger cores give to loop(), or more


PREFIX = "pio:"
_CPUS = {
    "cortex-m0": "cortex-m0plus",
    "cortex-m4": "cortex-m4f",
    "esp32": "xtensa-lx6",
    "esp32s2": "xtensa-lx7",
    "esp32s3": "xtensa-lx7",
    "esp32c3": "rv32imc",
    "esp32c6": "rv32imac",
    "esp32h2": "rv32imac",
}
"""What PlatformIO's manifests call a core, where that is not its id in CORES."""


_ESP_STATIC_RAM = {"esp32": 0x2C200 - 0xDB5C, "esp32s2": 0x2A000, "esp32s3": 0x53700, "esp32c3": 0x4E710}
"""Bytes of the linker scripts' dram0_0_seg (ESP-IDF's memory.ld.in), which all variables have to fit into.
The rest of the RAM is the heap's, or Bluetooth's. On all but the ESP32, code in RAM takes from it, too."""
_ESP_APPLICATION = {
    "default.csv": 0x14_0000,
    "default_8MB.csv": 0x33_0000,
    "default_16MB.csv": 0x64_0000,
    "huge_app.csv": 0x30_0000,
    "min_spiffs.csv": 0x1E_0000,
    "no_ota.csv": 0x20_0000,
}
"""Bytes of the partition app0 in the Arduino core's tables of partitions."""


def _memories(build: Mapping[str, Any], sizes: Mapping[str, Any]) -> tuple[Memory, Memory]:
    """Flash and RAM that a firmware may take. Of an ESP32 the manifest says what the whole chip has."""
    flash, ram = sizes["maximum_size"], sizes["maximum_ram_size"]
    mcu = str(build["mcu"])
    if mcu.startswith("esp32"):
        table = str(build.get("arduino", {}).get("partitions", build.get("partitions", "default.csv")))
        flash = min(flash, _ESP_APPLICATION.get(Path(table).name, _ESP_APPLICATION["default.csv"]))
        ram = min(ram, _ESP_STATIC_RAM.get(mcu, ram))
    return Memory(0, flash), Memory(0, ram)


def _psram(build: Mapping[str, Any]) -> Psram | None:
    """PSRAM of a board that says it has some: not how much, so the least that there is of its kind."""
    flags = build.get("extra_flags", ())
    if "-DBOARD_HAS_PSRAM" not in (flags.split() if isinstance(flags, str) else flags):
        return None
    kind = str(build.get("arduino", {}).get("memory_type", build.get("memory_type", "")))
    return Psram(0x80_0000, 8) if kind.endswith("_opi") else Psram(0x20_0000, 4)


def board_of_platformio(board_id: str) -> Board:
    """The board of this id, with PREFIX before it, by its manifest. Raises UsageError as `manifest` does."""
    name = board_id.removeprefix(PREFIX)
    platform, found = manifest(name)
    build, sizes = found["build"], found["upload"]
    cpu = build.get("cpu") or ("avr" if str(build["mcu"]).startswith("at") else build["mcu"])
    core = CORES.get(_CPUS.get(cpu, cpu))
    if core is None:
        raise UsageError(f"{name} has a core that tinydeploy does not know: {cpu}")
    flash, ram = _memories(build, sizes)
    return Board(
        id=name,
        name=str(found["name"]),
        platformio=name,
        core=core,
        clock_hz=int(str(build["f_cpu"]).rstrip("L")),
        flash=flash,
        ram=ram,
        stack_bytes=_ARDUINO_STACK if ram.bytes > 4 * _ARDUINO_STACK else 512,
        uart=Device(**ARDUINO_DEVICE),
        counter=Device(**ARDUINO_DEVICE),
        clock=Clock(),
        verified="generated",
        usb_ids=tuple(
            f"{int(vendor, 16):04x}:{int(product, 16):04x}" for vendor, product in build.get("hwids", ())
        ),
        arduino=Arduino(platform, mcu=str(build["mcu"])),
        psram=_psram(build),
        notes="Everything about it comes from PlatformIO's own data, and nothing was tried.",
    )
