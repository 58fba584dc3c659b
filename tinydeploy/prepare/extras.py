"""Packages that only this room needs: each is looked for when it is asked for, and named if it is missing."""

from __future__ import annotations

import importlib.util

from tinydeploy.errors import ToolError

_EXTRAS = {
    "ai_edge_quantizer": ("quantize", "quantising a float model"),
    "ai_edge_litert": ("quantize", "running a float model"),
    "onnx": ("onnx", "reading ONNX"),
    "litert_torch": ("torch", "converting a PyTorch program"),
}


def need(package: str) -> None:
    """Raises ToolError, with the command that installs it, if the package is not there."""
    extra, purpose = _EXTRAS[package]
    if importlib.util.find_spec(package) is None:
        raise ToolError(
            f"{purpose} needs {package.replace('_', '-')}, which is not installed",
            f"pip install 'tinydeploy[{extra}]'",
        )
