"""What the training scripts share: one recipe to train, quantise to int8, and measure a classifier.

Needs `pip install tinydeploy[train]`. The int8 accuracy is that of TFLite Micro's own interpreter.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# Both are read once, when TensorFlow is first imported. tf_keras, not Keras 3: only its LSTM converts to
# one UNIDIRECTIONAL_SEQUENCE_LSTM.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras as keras
from sklearn.model_selection import StratifiedKFold
from tflite_micro import runtime

SEED = 1
CALIBRATION_SAMPLES = 500

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Data:
    """Labelled samples, split. `x` is [samples, *input shape] in the model's real units, `y` [samples]."""

    x_train: Floats
    y_train: Labels
    x_test: Floats
    y_test: Labels


@dataclass(frozen=True)
class Recipe:
    """How one model is trained: AdamW, a cosine schedule from `rate` to 0, label smoothing.

    `build` makes the untrained model for a batch size (None: any). An epoch is `repeats` versions of each
    training sample, all made afresh by `augment`.
    """

    build: Callable[[int | None], keras.Model]
    augment: Callable[[Floats, np.random.Generator], Floats]
    epochs: int
    batch: int
    rate: float
    repeats: int = 1
    weight_decay: float = 1e-3
    smoothing: float = 0.05


def train(recipe: Recipe, x: Floats, y: Labels) -> keras.Model:
    """A model trained by `recipe` on all of x, y: the same each time on one machine and versions."""
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    rng = np.random.default_rng(SEED)
    x, y = np.tile(x, (recipe.repeats,) + (1,) * (x.ndim - 1)), np.tile(y, recipe.repeats)
    model = recipe.build(None)
    steps = recipe.epochs * -(-len(x) // recipe.batch)
    schedule = keras.optimizers.schedules.CosineDecay(recipe.rate, steps)
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=recipe.weight_decay),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=recipe.smoothing),
    )
    targets = np.eye(int(y.max()) + 1, dtype=np.float32)[y]
    for epoch in range(recipe.epochs):
        history = model.fit(recipe.augment(x, rng), targets, batch_size=recipe.batch, verbose=0)
        if epoch % 10 == 9:
            print(f"  epoch {epoch + 1}/{recipe.epochs}  loss {history.history['loss'][0]:.4f}", flush=True)
    return model


def quantize(recipe: Recipe, model: keras.Model, x: Floats) -> bytes:
    """`model` as a fully int8 .tflite for one sample at a time; some of `x` set the activation ranges."""
    single = recipe.build(1)  # a fixed batch keeps shape arithmetic out of the graph
    single.set_weights(model.get_weights())

    def samples() -> Iterator[list[Floats]]:
        for index in np.linspace(0, len(x) - 1, min(CALIBRATION_SAMPLES, len(x)), dtype=int):
            yield [x[index : index + 1]]

    converter = tf.lite.TFLiteConverter.from_keras_model(single)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def float_accuracy(model: keras.Model, x: Floats, y: Labels) -> float:
    """Top-1 accuracy of the float model."""
    return float(np.mean(model.predict(x, verbose=0).argmax(axis=1) == y))


def int8_accuracy(tflite: bytes, x: Floats, y: Labels) -> float:
    """Top-1 accuracy of the int8 model in TFLite Micro, its state reset before each sample."""
    interpreter = runtime.Interpreter.from_bytes(tflite, arena_size=1 << 20)
    details = interpreter.get_input_details(0)["quantization_parameters"]
    scale, zero_point = np.float32(details["scales"][0]), int(details["zero_points"][0])
    inputs = np.clip(np.round(x / scale) + zero_point, -128, 127).astype(np.int8)
    correct = 0
    for sample, label in zip(inputs, y, strict=True):
        interpreter.reset()
        interpreter.set_input(sample[np.newaxis], 0)
        interpreter.invoke()
        correct += int(interpreter.get_output(0).argmax() == label)
    return correct / len(y)


def report(name: str, recipe: Recipe, data: Data) -> bytes:
    """Train on the training part, print the accuracies on the test part, and return the .tflite."""
    model = train(recipe, data.x_train, data.y_train)
    tflite = quantize(recipe, model, data.x_train)
    before = float_accuracy(model, data.x_test, data.y_test)
    after = int8_accuracy(tflite, data.x_test, data.y_test)
    print(
        f"{name}: {len(data.y_train)} train, {len(data.y_test)} held out, "
        f"{len(tflite):,} bytes; top-1 float {before:.2%}, int8 in TFLite Micro {after:.2%}",
        flush=True,
    )
    return tflite


def folds(data: Data, count: int) -> Iterator[Data]:
    """The first `count` of five stratified folds of the training part alone; the test part is not touched."""
    splitter = StratifiedKFold(n_splits=5, shuffle=True, random_state=SEED)
    for number, (fit, check) in enumerate(splitter.split(data.x_train, data.y_train)):
        if number < count:
            x, y = data.x_train, data.y_train
            yield Data(x[fit], y[fit], x[check], y[check])


def main(script: str, data: Data, recipes: Mapping[str, Recipe]) -> None:
    """The command line of a train.py: write <name>.tflite and test.npz beside it, or --validate."""
    parser = argparse.ArgumentParser(description="Make the models and their held-out samples again.")
    parser.add_argument(
        "--validate",
        type=int,
        choices=range(1, 6),
        metavar="FOLDS",
        help="write nothing; cross-validate on the training samples, on 1 to 5 of the five folds",
    )
    validate = parser.parse_args().validate
    folder = Path(script).resolve().parent
    if validate is None:
        np.savez_compressed(folder / "test.npz", x=data.x_test, y=data.y_test)
    for name, recipe in recipes.items():
        if validate is None:
            (folder / f"{name}.tflite").write_bytes(report(name, recipe, data))
        else:
            for number, fold in enumerate(folds(data, validate)):
                report(f"{name} fold {number + 1}/5", recipe, fold)
