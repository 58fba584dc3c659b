"""Keras models, .h5 files and SavedModels as float .tflite, by TensorFlow in an environment of its own."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tinydeploy.errors import ModelError, ToolError
from tinydeploy.prepare import training_child

_TIMEOUT = 1800.0  # seconds
_OWN_CLASSES = ("custom_objects", "Unknown layer", "Could not locate class", "register_keras_serializable")


def to_tflite(model: Path) -> bytes:
    """The float .tflite. Raises ModelError if TensorFlow cannot load or convert the model."""
    with tempfile.TemporaryDirectory(prefix="tinydeploy-") as folder:
        target = Path(folder) / "model.tflite"
        job = {"convert": str(model.resolve()), "to": str(target)}
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
    raise ModelError(f"TensorFlow cannot convert {model}: {reason[:300]}", hint)
