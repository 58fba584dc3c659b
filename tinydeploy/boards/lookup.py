"""The look-up of boards: one TOML file each under boards/, checked against BOARD_SCHEMA and read."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tinydeploy.boards.board import (
    USB_BRIDGES,
    Arduino,
    Board,
    Clock,
    Device,
    Lines,
    Memory,
    Power,
    Psram,
    Timing,
    Trigger,
    Uploader,
)
from tinydeploy.boards.core import CORES
from tinydeploy.boards.platformio_boards import ARDUINO_DEVICE, PREFIX, board_of_platformio
from tinydeploy.boards.schema import BOARD_SCHEMA, check
from tinydeploy.errors import UsageError
from tinydeploy.host import paths


def _raw(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"board file {path} is not valid: {error}") from error


@cache
def _read(path: Path) -> Board:
    raw = _raw(path)
    check(path, raw)
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
        uart=Device(**raw.get("uart", ARDUINO_DEVICE)),
        counter=Device(**raw.get("counter", ARDUINO_DEVICE)),
        clock=_clock_of(raw.get("clock", {"driver": "fixed"})),
        verified=raw["verified"],
        aliases=tuple(raw.get("aliases", ())),
        uploaders=tuple(Uploader(program, target) for program, target in raw.get("upload", {}).items()),
        usb_ids=(*usb.get("ids", ()), *(one for name in usb.get("bridges", ()) for one in USB_BRIDGES[name])),
        arduino=Arduino(**raw["arduino"]) if "arduino" in raw else None,
        emulation={name: raw[name] for name in raw if name not in BOARD_SCHEMA["properties"]},
        notes=raw.get("notes", ""),
        only_emulated=raw.get("only_emulated", False),
        bootloader=usb.get("bootloader", ""),
        lines=Lines(**raw.get("lines", {})),
        image=raw.get("image", ""),
        timing=Timing(**_in_a_line(raw["timing"])) if "timing" in raw else None,
        psram=Psram(**raw["psram"]) if "psram" in raw else None,
        power=Power(**_in_a_line(raw["power"])) if "power" in raw else None,
        trigger=Trigger(**_in_a_line(raw["trigger"])) if "trigger" in raw else None,
    )


def _in_a_line(raw: dict[str, Any]) -> dict[str, Any]:
    """The same with its source, which a file may give in several lines, in one."""
    return raw | {"source": " ".join(raw["source"].split())}


def _clock_of(raw: dict[str, Any]) -> Clock:
    return Clock(raw["driver"], {name: int(value) for name, value in raw.items() if name != "driver"})


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
    named = tuple(board(word) for word in words if word.startswith(PREFIX))
    wanted = [word.lower() for word in words if not word.startswith(PREFIX)]
    if named and not wanted:
        return named

    def text(board: Board) -> str:
        chip = (board.core.id, board.core.name, board.clock.driver, board.downloads, board.image)
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
        if board_id.startswith(PREFIX):
            raise
        return None


def board(board_id: str) -> Board:
    """The board with this id, PlatformIO id or alias; or "pio:" and an id that PlatformIO's platforms know.

    Raises UsageError, with near names, if there is none.
    """
    if board_id.startswith(PREFIX):
        return board_of_platformio(board_id)
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
    raise UsageError(f"unknown board '{board_id}'", f"{hint}; any other of PlatformIO's is {PREFIX}ID")
