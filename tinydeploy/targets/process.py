"""Child processes that never outlive this one, and what they have said."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tinydeploy.host import paths

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def ends_with_this_process() -> Callable[[], None] | None:
    """What the child does before it becomes QEMU, so that the kernel ends it even if we are killed."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up here: after the fork nothing may be loaded
    parent = os.getpid()

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return ask


def kept(name: str, words: bytes) -> Path:
    """A file among the logs, named after the program `name`, that holds all that it said."""
    folder = paths.cache_dir() / "logs"
    folder.mkdir(parents=True, exist_ok=True)
    handle, path = tempfile.mkstemp(prefix=f"{name}-", suffix=".log", dir=folder)
    with os.fdopen(handle, "wb") as log:
        log.write(words)
    return Path(path)
