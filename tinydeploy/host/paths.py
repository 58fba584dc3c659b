"""Paths: what ships with tinydeploy, and what it keeps between runs."""

from __future__ import annotations

import os
from pathlib import Path

from tinydeploy.errors import UsageError

_PACKAGE = Path(__file__).resolve().parent.parent


def _shipped(in_wheel: str, in_checkout: str) -> Path:
    bundled = _PACKAGE / in_wheel
    return bundled if bundled.is_dir() else _PACKAGE.parent / in_checkout


BOARDS = _shipped("boards_data", "boards")
FIRMWARE = _shipped("firmware_templates", "firmware_templates")


def cache_dir() -> Path:
    """The folder for builds and PlatformIO's core: $TINYDEPLOY_CACHE, else $XDG_CACHE_HOME/tinydeploy.

    Raises UsageError if there is no home folder either.
    """
    override = os.environ.get("TINYDEPLOY_CACHE")
    if override:
        return Path(override).resolve()
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError as error:
        raise UsageError(
            "there is no home folder to keep builds in", "export TINYDEPLOY_CACHE=a-folder-to-write-to"
        ) from error
    return Path(base).resolve() / "tinydeploy"
