"""The upload of a built firmware with PlatformIO, as the board's platform does it or by a command given."""

from __future__ import annotations

import os
import re

from tinydeploy.boards.board import Board
from tinydeploy.errors import ToolError
from tinydeploy.firmware.build import Firmware
from tinydeploy.host import cache, paths
from tinydeploy.host.platformio import run_platformio

UPLOAD_TIMEOUT = 180.0  # seconds

_CONFIG = "upload.ini"
_ERROR = re.compile(r"\berror:|\bE\b|fail", re.IGNORECASE)
_END = "*** ["  # how SCons begins the line that says which step has failed


def upload(
    firmware: Firmware, board: Board, port: str, command: str = "", timeout: float = UPLOAD_TIMEOUT
) -> None:
    """Has PlatformIO put `firmware` into the board's flash, and start it; nothing is built.

    Without a `port` the platform finds the board by itself. `command` replaces what the platform would run;
    PlatformIO fills in $SOURCE (the ELF) and $UPLOAD_PORT. Raises ToolError if the upload fails or takes
    longer than `timeout` seconds.
    """
    log = paths.cache_dir() / "logs" / f"upload-{firmware.project.parent.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    options = ["--target", "nobuild", "--target", "upload", "--disable-auto-clean"]
    if port:
        options += ["--upload-port", port]
    with cache.locked(firmware.project.parent):
        if command:
            # Settings of a file of its own, so that the project stays the one that was built.
            config = (
                f"[platformio]\nextra_configs = platformio.ini\n"
                f"[env:{board.platformio}]\nupload_command = {' '.join(command.split())}\n"
            )
            (firmware.project / _CONFIG).write_bytes(os.fsencode(config))
            options += ["--project-conf", str(firmware.project / _CONFIG)]
        status = run_platformio(firmware.project, log, timeout, *options)
    if status != 0:
        hint = f"its output is in {log}"
        if not port and board.bootloader:
            hint = f"no port of a {board.name} is there; to flash it without one, {board.bootloader}; {hint}"
        raise ToolError(f"the upload failed{_reason(log.read_text(errors='replace'))}", hint)


def _reason(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    end = next((at for at, line in enumerate(lines) if line.startswith(_END)), len(lines))
    telling = [line for line in lines[:end] if _ERROR.search(line)] or lines[max(0, end - 1) : end]
    return f": {telling[0]}" if telling else ""
