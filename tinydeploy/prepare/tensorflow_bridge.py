"""Keras models, .h5 files and SavedModels as float .tflite, by TensorFlow in an environment of its own.

TensorFlow takes 2 GB, so it is not where tinydeploy is: the Python that has it is named by
$TINYDEPLOY_TRAIN_PYTHON, or is that of .venv-train, which `scripts/setup train` makes.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tinydeploy.errors import ModelError, ToolError

VARIABLE = "TINYDEPLOY_TRAIN_PYTHON"
_TIMEOUT = 1800.0  # seconds
_ERROR = "tinydeploy-error:"

# Runs there, with the paths of model and result. A batch that the model leaves open is 1; Keras 2 files are
# read by tf_keras where Keras 3 cannot.
_SCRIPT = """
import sys
import tensorflow as tf

source, target = sys.argv[1:]

def loaded(path):
    try:
        return tf.keras.models.load_model(path, compile=False)
    except Exception as error:
        try:
            import tf_keras
            return tf_keras.models.load_model(path, compile=False)
        except Exception:
            raise error

def converter():
    if __import__("os").path.isdir(source):
        return tf.lite.TFLiteConverter.from_saved_model(source)
    model = loaded(source)
    specs = [tf.TensorSpec([1, *t.shape[1:]], t.dtype) for t in model.inputs]
    function = tf.function(lambda *x: model(list(x) if len(x) > 1 else x[0], training=False))
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(function.get_concrete_function(*specs))
    return tf.lite.TFLiteConverter.from_concrete_functions([frozen])

try:
    content = converter().convert()
except Exception as error:
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    print("tinydeploy-error:", lines[0], file=sys.stderr)
    sys.exit(1)
open(target, "wb").write(content)
"""


def python() -> Path:
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
        "reading this model needs TensorFlow, which is not installed",
        "python -m venv .venv-train && .venv-train/bin/pip install 'tinydeploy[train]' "
        f"(in the project: scripts/setup train), or name a Python that has it by {VARIABLE}",
    )


def to_tflite(model: Path) -> bytes:
    """The float .tflite. Raises ModelError if TensorFlow cannot load or convert the model."""
    with tempfile.TemporaryDirectory(prefix="tinydeploy-") as folder:
        target = Path(folder) / "model.tflite"
        command = [str(python()), "-c", _SCRIPT, str(model.resolve()), str(target)]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
        environment.pop("PYTHONPATH", None)
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=_TIMEOUT, env=environment, cwd=folder, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ToolError(f"TensorFlow has not converted {model} in {_TIMEOUT:.0f} s") from error
        if done.returncode == 0 and target.is_file():
            return target.read_bytes()
        said = done.stderr.decode("utf-8", "replace").splitlines()
    reason = next((line.removeprefix(_ERROR).strip() for line in said if line.startswith(_ERROR)), "")
    if not reason:
        last = said[-1] if said else f"code {done.returncode}"
        raise ToolError(f"TensorFlow failed to convert {model}: {last[:200]}")
    hint = ""
    if "custom_objects" in reason or "Unknown layer" in reason or "Could not locate class" in reason:
        hint = "its own classes are in its source alone: convert it there, and give the .tflite"
    raise ModelError(f"TensorFlow cannot convert {model}: {reason[:300]}", hint)
