"""The Python of the training environment, and our files of the room `train` as its child.

TensorFlow takes 2 GB, so it is not where tinydeploy is: the Python that has it is named by
$TINYDEPLOY_TRAIN_PYTHON, or is that of .venv-train, which `scripts/setup train` makes. Of the package it
loads `tinydeploy.train` alone, which needs nothing of the rest.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from tinydeploy.errors import ToolError
from tinydeploy.train import MARK

VARIABLE = "TINYDEPLOY_TRAIN_PYTHON"
_LOOKED_AT = 1 << 16  # bytes of what a child has printed, its last
_MOST_SAID = 300  # characters of its last line
_BOOTSTRAP = """
import runpy, sys, types
package = types.ModuleType("tinydeploy")
package.__path__ = [sys.argv.pop(1)]
sys.modules["tinydeploy"] = package
runpy.run_module("tinydeploy.train.worker", run_name="__main__")
"""


def python(purpose: str = "reading this model") -> Path:
    """The Python that has TensorFlow. Raises ToolError, with what installs it, if there is none."""
    named = os.environ.get(VARIABLE)
    if named:
        if not Path(named).is_file():
            raise ToolError(f"{VARIABLE} names no file: {named}")
        return Path(named)
    if importlib.util.find_spec("tensorflow") is not None:
        return Path(sys.executable)
    for root in (Path.cwd(), Path(__file__).resolve().parents[2]):
        found = root / ".venv-train" / "bin" / "python"
        if found.is_file():
            return found
    raise ToolError(
        f"{purpose} needs TensorFlow, which is not installed",
        "python -m venv .venv-train && .venv-train/bin/pip install 'tinydeploy[train]' "
        f"(in the project: scripts/setup train), or name a Python that has it by {VARIABLE}",
    )


def follow(job: Mapping[str, Any], purpose: str, timeout: float) -> Generator[dict[str, Any], None, None]:
    """Has the child follow a job, see train/worker.py, and gives what it tells, as it tells it.

    Raises ToolError if it ends otherwise than it should, or says nothing for `timeout` seconds. It ends when
    the caller stops listening.
    """
    program = python(purpose)
    with tempfile.TemporaryDirectory(prefix="tinydeploy-") as folder, tempfile.TemporaryFile() as log:
        file = Path(folder) / "job.json"
        file.write_text(json.dumps(job), encoding="utf-8")
        package = str(Path(__file__).resolve().parents[1])
        process = subprocess.Popen(
            [str(program), "-P", "-c", _BOOTSTRAP, package, str(file)],
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment(),
            cwd=folder,
        )
        try:
            yield from _told(process, timeout)
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()
        if process.returncode:
            raise ToolError(f"{purpose} failed: {_last(process.returncode, log)}")


def environment() -> dict[str, str]:
    """What a child there is given: no GPU, and nothing that TensorFlow says of that."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow"}
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return kept | quiet | {"TF_USE_LEGACY_KERAS": "0", "TF_ENABLE_ONEDNN_OPTS": "0"}


def _told(process: subprocess.Popen[bytes], timeout: float) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    while True:
        timer = threading.Timer(timeout, process.kill)
        timer.start()
        try:
            line = process.stdout.readline().decode("utf-8", "replace")
        finally:
            timer.cancel()
        if not line:
            break
        if line.startswith(MARK):
            with contextlib.suppress(ValueError):
                yield json.loads(line.removeprefix(MARK))
    process.wait()


def _last(code: int, log: IO[bytes]) -> str:
    """How the child ended: by which signal, or with which last words."""
    if code < 0:
        with contextlib.suppress(ValueError):
            name = signal.Signals(-code).name
            return f"it ended by {name}" + (" (out of memory, or hung)" if name == "SIGKILL" else "")
    return last_words(log) or f"code {code}"


def last_words(log: IO[bytes]) -> str:
    """The last line that a child has printed; "" of one that has printed none."""
    end = log.seek(0, os.SEEK_END)
    log.seek(max(0, end - _LOOKED_AT))
    lines = log.read().decode("utf-8", "replace").splitlines()
    said = ("".join(char for char in line if char.isprintable()).strip() for line in reversed(lines))
    return next(filter(None, said), "")[:_MOST_SAID]
