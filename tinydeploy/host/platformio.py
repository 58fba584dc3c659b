"""PlatformIO Core on this machine: its folder, the environment that it runs in, and `pio run`."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tinydeploy.errors import ToolError
from tinydeploy.host import object_cache, paths


def core_dir() -> Path:
    """The user's own PlatformIO folder, where platforms are installed that tinydeploy did not bring."""
    return Path(os.environ.get("PLATFORMIO_CORE_DIR") or Path.home() / ".platformio")


# What a user's shell may hold that would reach the compiler, SCons or PlatformIO past the project.
_FOREIGN_VARIABLES = re.compile(
    r"PLATFORMIO_.*|PYTHONEXEPATH|SCONSFLAGS|SCONS_.*|CPATH|C(PLUS)?_INCLUDE_PATH|LIBRARY_PATH|COMPILER_PATH"
    r"|GCC_EXEC_PREFIX|GCC_.*|LD_RUN_PATH|DEPENDENCIES_OUTPUT|SUNPRO_DEPENDENCIES|LC_.*|LANGUAGE"
)


def environment(core: Path | None = None) -> dict[str, str]:
    """The environment that PlatformIO runs in: nothing of the user's shell reaches a build.

    `core` is PlatformIO's own folder; tinydeploy's without it.
    """
    core = core or paths.cache_dir() / "platformio"
    kept = {name: value for name, value in os.environ.items() if not _FOREIGN_VARIABLES.fullmatch(name)}
    return kept | {
        "LC_ALL": "C.UTF-8",
        "PLATFORMIO_CORE_DIR": str(core),
        "PLATFORMIO_BUILD_CACHE_DIR": str(object_cache.objects().folder),
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        "PLATFORMIO_DISABLE_UPGRADE_CHECK": "true",
        "PLATFORMIO_DISABLE_COLOR": "true",
        "PLATFORMIO_NO_ANSI": "true",
    }


def run_platformio(folder: Path, log: Path, timeout: float, *options: str) -> int:
    """Runs `pio run` in `folder` in a process group of its own, of which nothing outlives this call.

    Returns its exit code; its output is in `log`. Raises ToolError if it takes longer than `timeout` seconds.
    """
    command = [sys.executable, "-m", "platformio", "run", "--project-dir", str(folder), *options]
    # A project that brings no platform of its own needs one that the user has installed, or will.
    core = None if (folder / "platforms").is_dir() else core_dir()
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command,
            cwd=folder,
            env=environment(core),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise ToolError(
                f"PlatformIO took longer than {timeout:g} s; its output is in {log}", "give --timeout more"
            ) from error
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
