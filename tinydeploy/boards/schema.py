"""BOARD_SCHEMA, the JSON Schema of a board's TOML file, and the check against it.

Any further table is an emulator's, which has a schema of its own (`check_table`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinydeploy.boards.board import IMAGES, USB_BRIDGES, VERIFIED
from tinydeploy.boards.core import CORES
from tinydeploy.errors import UsageError
from tinydeploy.host import memo
from tinydeploy.words import LEVELS as LEVELS

_INTEGER = {"type": "integer", "minimum": 0}
MEMORY = {
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
    "cmsdk",
    "stm32",
    "stm32-v2",
    "nrf-uarte",
    "sifive",
    "ns16550",
    "espressif",
    "simcall",
    tx=_PIN,
    rx=_PIN,
    function=_INTEGER,
)
COUNTER = _device("cmsdk-timer", "stm32-timer", "systick", "dwt", "rdinstret", "mcycle", "mpccr", "ccount")
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
    "espressif": ("crystal_hz",),
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
        "flash": MEMORY,
        "ram": MEMORY,
        "stack_bytes": {"type": "integer", "minimum": 256, "multipleOf": 8},
        "uart": _UART,
        "counter": COUNTER,
        "clock": {"oneOf": [_clock(driver, *numbers) for driver, numbers in _CLOCKS.items()]},
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
            "properties": {
                name: {"type": "string"} for name in ("openocd", "pyocd", "st-flash", "avrdude", "esptool")
            },
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
        "timing": {
            "type": "object",
            "properties": {
                "line_cycles": {"type": "number", "exclusiveMinimum": 0, "maximum": 100},
                "line_spread": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                "source": {"type": "string", "minLength": 1},
                "points": {"type": "string", "pattern": "^[a-z0-9_-]+$"},
            },
            "required": ["line_cycles", "line_spread", "source"],
            "additionalProperties": False,
        },
        "power": {
            "type": "object",
            "properties": {
                "active_mw": {"type": "number", "exclusiveMinimum": 0},
                "spread": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                "sleep_uw": {"type": "number", "minimum": 0},
                "volts": {"type": "number", "exclusiveMinimum": 0},
                "source": {"type": "string", "minLength": 1},
            },
            "required": ["active_mw", "spread", "sleep_uw", "volts", "source"],
            "additionalProperties": False,
        },
        "psram": {
            "type": "object",
            "properties": {"bytes": {"type": "integer", "minimum": 0x20_0000}, "lines": {"enum": [4, 8]}},
            "required": ["bytes", "lines"],
            "additionalProperties": False,
        },
        "trigger": {
            "type": "object",
            "properties": {
                "driver": {"enum": ["stm32", "nrf"]},
                "pin": {"type": "string", "pattern": "^P([A-K][0-9]{1,2}|[01][.][0-9]{2})$"},
                "source": {"type": "string", "minLength": 1},
            },
            "required": ["driver", "pin", "source"],
            "additionalProperties": False,
        },
        "only_emulated": {"type": "boolean"},
        "image": {"enum": list(IMAGES)},
        "notes": {"type": "string"},
    },
    "required": ["name", "platformio", "core", "clock_hz", "flash", "ram", "stack_bytes", "verified"],
    "if": {"required": ["arduino"]},
    "then": {"not": {"anyOf": [{"required": [name]} for name in ("uart", "counter", "clock")]}},
    "else": {"required": ["uart", "counter"]},
    "additionalProperties": {"type": "object"},
}


def check(path: Path, raw: dict[str, Any]) -> None:
    """Raises UsageError unless the file's content follows BOARD_SCHEMA, if it is not known to."""
    _check(f"board file {path} is not valid", raw, BOARD_SCHEMA)


def check_table(board_id: str, name: str, table: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """The same of an emulator's table in the board's file."""
    _check(f"the board file of {board_id} is not valid: [{name}]", table, schema)


def _check(failed: str, raw: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    key = f"board {schema} {raw}"
    if memo.read(key):
        return
    import jsonschema  # takes a while to load, and --help needs none of it
    from jsonschema.exceptions import best_match

    if wrong := best_match(jsonschema.Draft202012Validator(schema).iter_errors(raw)):
        raise UsageError(f"{failed}: {wrong.message}")
    memo.write(key, b"valid")
