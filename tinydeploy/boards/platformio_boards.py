"""The boards that PlatformIO's installed platforms know, from their own data, without a network."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tinydeploy.errors import UsageError


def core_dir() -> Path:
    """The user's own PlatformIO folder, where platforms are installed that tinydeploy did not bring."""
    return Path(os.environ.get("PLATFORMIO_CORE_DIR") or Path.home() / ".platformio")


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
