"""Trained models of either Keras: read, written, converted to a float .tflite. TensorFlow is loaded first."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import tensorflow as tf

from tinydeploy.train import fused_lstm


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
    return bytes(_converter_of(source).convert())


def float_tflite(model: Any) -> bytes:
    """The float .tflite of a model, with a batch of 1."""
    return bytes(_converter(model).convert())


def int8_tflite(source: str, samples: Any, bits: int, float_io: bool) -> bytes:
    """The same quantised by TensorFlow's converter: activations of 8 or 16 bits, with ranges over `samples`.

    These are [n, 1, …], of the model's one input. `float_io` leaves inputs and outputs float.
    """
    converter, sets = _converter_of(source), tf.lite.OpsSet
    wide = sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([one] for one in samples)
    converter.target_spec.supported_ops = [wide if bits == 16 else sets.TFLITE_BUILTINS_INT8]
    if not float_io:
        converter.inference_input_type = tf.int16 if bits == 16 else tf.int8
        converter.inference_output_type = converter.inference_input_type
    return bytes(converter.convert())


def _converter_of(source: str) -> Any:
    if Path(source).is_dir():
        return tf.lite.TFLiteConverter.from_saved_model(source)
    return _converter(load(source))


def _converter(model: Any) -> Any:
    """TensorFlow's converter of a model, with a batch of 1."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    fused = fused_lstm.layers_of(model)
    others = fused_lstm.replaced(fused)
    specs = [tf.TensorSpec([1, *one.shape[1:]], one.dtype) for one in model.inputs]
    function = tf.function(lambda *x: model(list(x) if len(x) > 1 else x[0], training=False))
    concrete = function.get_concrete_function(*specs)
    if not fused:
        return tf.lite.TFLiteConverter.from_concrete_functions([convert_variables_to_constants_v2(concrete)])
    kept = tf.Module()  # freezing them here would take the functions apart that the converter knows
    kept.weights, kept.others = [variable(weight) for weight in model.weights], others
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], kept)


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
