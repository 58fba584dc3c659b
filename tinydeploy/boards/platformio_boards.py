"""The boards that PlatformIO's installed platforms know, from their own data, without a network."""

from __future__ import annotations

import json
from typing import Any

from tinydeploy.boards.board import Arduino, Board, Clock, Device, Memory
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
}
"""What PlatformIO's manifests call a core, where that is not its id in CORES."""


def board_of_platformio(board_id: str) -> Board:
    """The board of this id, with PREFIX before it, by its manifest. Raises UsageError as `manifest` does."""
    name = board_id.removeprefix(PREFIX)
    platform, found = manifest(name)
    build, sizes = found["build"], found["upload"]
    cpu = build.get("cpu") or ("avr" if str(build["mcu"]).startswith("at") else build["mcu"])
    core = CORES.get(_CPUS.get(cpu, cpu))
    if core is None:
        raise UsageError(f"{name} has a core that tinydeploy does not know: {cpu}")
    return Board(
        id=name,
        name=str(found["name"]),
        platformio=name,
        core=core,
        clock_hz=int(str(build["f_cpu"]).rstrip("L")),
        flash=Memory(0, sizes["maximum_size"]),
        ram=Memory(0, sizes["maximum_ram_size"]),
        stack_bytes=_ARDUINO_STACK if sizes["maximum_ram_size"] > 4 * _ARDUINO_STACK else 512,
        uart=Device(**ARDUINO_DEVICE),
        counter=Device(**ARDUINO_DEVICE),
        clock=Clock(),
        verified="generated",
        usb_ids=tuple(
            f"{int(vendor, 16):04x}:{int(product, 16):04x}" for vendor, product in build.get("hwids", ())
        ),
        arduino=Arduino(platform, mcu=str(build["mcu"])),
        notes="Everything about it comes from PlatformIO's own data, and nothing was tried.",
    )
