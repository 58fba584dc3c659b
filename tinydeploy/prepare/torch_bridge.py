"""Programs exported from PyTorch (.pt2) as float .tflite, by litert-torch, where it is installed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tinydeploy.errors import ModelError, ToolError
from tinydeploy.prepare import extras

_TIMEOUT = 1800.0  # seconds

_SCRIPT = """
import sys
import torch
import litert_torch

source, target = sys.argv[1:]
program = torch.export.load(source)
arguments, keywords = program.example_inputs
litert_torch.convert(program.module(), arguments, sample_kwargs=keywords or None).export(target)
"""


def to_tflite(program: Path) -> bytes:
    """The float .tflite. Raises ToolError without litert-torch, ModelError if it cannot convert it."""
    extras.need("litert_torch")
    with tempfile.TemporaryDirectory(prefix="tinydeploy-") as folder:
        target = Path(folder) / "model.tflite"
        command = [sys.executable, "-c", _SCRIPT, str(program.resolve()), str(target)]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT, cwd=folder, check=False)
        except subprocess.TimeoutExpired as error:
            raise ToolError(f"litert-torch has not converted {program} in {_TIMEOUT:.0f} s") from error
        if done.returncode == 0 and target.is_file():
            return target.read_bytes()
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"code {done.returncode}"]
    raise ModelError(f"litert-torch cannot convert {program}: {said[-1][:300]}")
