"""Keras models, .h5 files and SavedModels as .tflite, by TensorFlow in an environment of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinydeploy.errors import ModelError, ToolError
from tinydeploy.host.interpreter import Array
from tinydeploy.prepare import training_child

_TIMEOUT = 1800.0  # seconds
_OWN_CLASSES = ("custom_objects", "Unknown layer", "Could not locate class", "register_keras_serializable")


def to_tflite(model: Path) -> bytes:
    """The float .tflite. Raises ModelError if TensorFlow cannot load or convert the model."""
    with tempfile.TemporaryDirectory(prefix="tinydeploy-") as folder:
        return _followed(model, {}, Path(folder) / "model.tflite")


def to_int8(model: Path, samples: Array, bits: int, float_io: bool) -> bytes:
    """The model quantised by TensorFlow's converter, with the ranges over `samples` [n, 1, …]; see train.

    Raises ModelError if it cannot.
    """
    with tempfile.TemporaryDirectory(prefix="tinydeploy-") as folder:
        file = Path(folder) / "samples.npy"
        np.save(file, samples)
        more = {"samples": str(file), "bits": bits, "float_io": float_io}
        return _followed(model, more, Path(folder) / "model.tflite")


def _followed(model: Path, more: Mapping[str, Any], target: Path) -> bytes:
    job = {"convert": str(model.resolve()), "to": str(target), **more}
    reason = ""
    try:
        for told in training_child.follow(job, "reading this model", _TIMEOUT):
            if told.get("at") == "error":
                reason = str(told.get("message"))
    except ToolError:
        if not reason:
            raise
    if target.is_file():
        return target.read_bytes()
    hint = ""
    if any(words in reason for words in _OWN_CLASSES):
        hint = "its own classes are in its source alone: convert it there, and give the .tflite"
    what = "quantise" if more else "convert"
    raise ModelError(f"TensorFlow cannot {what} {model}: {reason[:300]}", hint)
