"""Downloads of TFLite Micro: by PlatformIO, into the cache, once."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
import urllib.parse
from pathlib import Path

from tinydeploy.errors import ToolError, UsageError
from tinydeploy.host import cache, paths, platformio
from tinydeploy.words import TFLM_VARIABLE

_CONNECT_TIMEOUT = 5.0  # seconds
_DOWNLOAD_TIMEOUT = 300.0
_REGISTRY = "api.registry.platformio.org"
HINT = (
    f"name a folder with TFLite Micro by --tflm-library or {TFLM_VARIABLE}, "
    "or take --engine aot, which needs none"
)


def download(source: str) -> Path:
    """Has PlatformIO download a library into the cache, once, and returns its folder."""
    storage = paths.cache_dir() / "libraries" / f"from-{hashlib.sha256(source.encode()).hexdigest()[:12]}"
    if cache.is_sealed(storage) and not cache.is_whole(storage):
        cache.remove(storage)
    found = _installed(storage)
    if found is None:
        _check_reachable(source)
        storage.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "platformio", "pkg", "install", "--global", "--skip-dependencies"]
        command += ["--storage-dir", str(storage), "--library", source]
        try:
            done = subprocess.run(
                command,
                env=platformio.environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_DOWNLOAD_TIMEOUT,
                check=False,
            )
            said = (done.stderr or done.stdout).strip().splitlines()
            reason = said[-1] if said else f"code {done.returncode}"
        except subprocess.TimeoutExpired:
            reason = f"no end after {_DOWNLOAD_TIMEOUT:.0f} s"
        found = _installed(storage)
        if found is None:
            raise ToolError(f"PlatformIO could not download TFLite Micro from {source}: {reason}", HINT)
    if not cache.is_sealed(storage):
        files = (path for path in found.rglob("*") if path.is_file() and ".git" not in path.parts)
        cache.seal(storage, files)
    return found


def _installed(storage: Path) -> Path | None:
    """The library in `storage`, where PlatformIO puts it once it is whole."""
    return next((path for path in storage.glob("[!.]*") if path.is_dir()), None)


def _check_reachable(source: str) -> None:
    """Raises ToolError at once where PlatformIO would try again for a minute."""
    try:
        address = urllib.parse.urlsplit(source.removeprefix("git+"))
        host = address.hostname or _REGISTRY
        port = address.port or {"http": 80, "ssh": 22, "git": 9418}.get(address.scheme, 443)
    except ValueError as error:
        raise UsageError(f"{source} is no address: {error}", HINT) from error
    if address.scheme == "file":
        return
    try:
        socket.create_connection((host, port), _CONNECT_TIMEOUT).close()
    except OSError as error:
        reason = error.strerror or error
        raise ToolError(f"cannot download TFLite Micro from {source}: {host}: {reason}", HINT) from error
