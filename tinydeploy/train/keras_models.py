"""Trained models of either Keras: read, written, converted to a float .tflite. TensorFlow is loaded first."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import tensorflow as tf


def load(path: str) -> Any:
    """A .keras or .h5 model, by Keras 3, or by tf_keras (Keras 2) what that cannot read.

    Raises what Keras 3 says if neither can.
    """
    try:
        return tf.keras.models.load_model(path, compile=False)
    except Exception as error:
        try:
            return importlib.import_module("tf_keras").models.load_model(path, compile=False)
        except Exception:
            raise error from None


def keras_of(model: Any) -> Any:
    """The Keras that made the model: the package `keras` (3) or `tf_keras` (2)."""
    known = {cls.__module__.partition(".")[0] for cls in type(model).__mro__}
    return importlib.import_module("tf_keras" if "tf_keras" in known else "keras")


def begin(path: str, seed: int) -> Any:
    """The model of the file, with every other model forgotten and every random number begun anew."""
    tf.keras.backend.clear_session()
    tf.config.experimental.enable_op_determinism()
    model = load(path)
    keras_of(model).utils.set_random_seed(seed)
    return model


def variable(weight: Any) -> Any:
    """TensorFlow's variable of a layer's weight, in which Keras 3 wraps its own."""
    return weight if isinstance(weight, tf.Variable) else weight.value


def answer(model: Any, inputs: list[Any], *, training: bool) -> Any:
    """The model's output, or outputs, for a list of inputs."""
    return model(inputs if len(inputs) > 1 else inputs[0], training=training)


def to_tflite(source: str) -> bytes:
    """The float .tflite of a model file, or of the folder of a SavedModel. An open batch becomes 1."""
    if Path(source).is_dir():
        return bytes(tf.lite.TFLiteConverter.from_saved_model(source).convert())
    return float_tflite(load(source))


def float_tflite(model: Any) -> bytes:
    """The float .tflite of a model, with a batch of 1."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    specs = [tf.TensorSpec([1, *one.shape[1:]], one.dtype) for one in model.inputs]
    function = tf.function(lambda *x: model(list(x) if len(x) > 1 else x[0], training=False))
    frozen = convert_variables_to_constants_v2(function.get_concrete_function(*specs))
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([frozen]).convert())


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file that is there whole, or not at all."""
    aside = path.with_name(f".{path.name}.new")
    aside.write_bytes(content)
    aside.replace(path)


def save(model: Any, path: Path) -> None:
    """Writes the model as .keras, whole or not at all."""
    aside = path.with_name(f".new-{path.name}")
    model.save(aside)
    aside.replace(path)
