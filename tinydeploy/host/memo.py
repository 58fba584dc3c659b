"""Memoisation on disk: small things that take long to make, kept by what they were made from.

An entry is one file: the SHA-256 of its content, and the content. One that is damaged is not there.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from tinydeploy.errors import UsageError
from tinydeploy.host import paths

FOLDER = "kept"
_DIGEST = hashlib.sha256().digest_size


def read(key: str) -> bytes | None:
    """What was kept under this key; None if nothing was, or it is not as it was."""
    try:
        path = _path(key)
        whole = path.read_bytes()
        if hashlib.sha256(whole[_DIGEST:]).digest() != whole[:_DIGEST]:
            return None
        os.utime(path)
        return whole[_DIGEST:]
    except (OSError, UsageError):
        return None


def write(key: str, content: bytes) -> None:
    """Keeps it, if that can be done."""
    with suppress(OSError, UsageError):
        path = _path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(dir=path.parent, prefix=".")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(content).digest() + content)
            Path(aside).replace(path)
        except BaseException:
            Path(aside).unlink(missing_ok=True)
            raise


def _path(key: str) -> Path:
    return paths.cache_dir() / FOLDER / hashlib.sha256(key.encode()).hexdigest()
