"""Makes Keras models, untrained, in the training environment: `PYTHON make_keras_models.py FOLDER`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import tf_keras

CLASSES = 4


def cnn(library, width: int = 8, side: int = 8):
    """Every kind of layer that passes channels on: convolution, depthwise, a sum, side by side, dense."""
    layers = library.layers
    image = layers.Input((side, side, 1), name="image")
    x = layers.Conv2D(width, 3, padding="same", use_bias=False)(image)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    deep = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    x = layers.Add()([x, layers.Conv2D(width, 1, activation="relu")(deep)])
    x = layers.MaxPooling2D(2)(layers.Concatenate()([x, deep]))
    x = layers.Dense(48, activation="relu")(layers.Flatten()(x))
    return library.Model(image, layers.Dense(CLASSES, activation="softmax")(x))


@keras.saving.register_keras_serializable("tests")
class Twice(keras.layers.Layer):
    """A layer of one's own."""

    def call(self, values):
        return 2 * values


def main(folder: Path) -> None:
    library = keras
    library.utils.set_random_seed(1)
    tf_keras.utils.set_random_seed(1)
    cnn(library).save(folder / "cnn.keras")
    cnn(library).export(folder / "saved")
    cnn(library, width=4).save(folder / "student.keras")
    cnn(library, side=12).save(folder / "other.keras")
    cnn(tf_keras).save(folder / "legacy.h5")
    layers = library.layers
    series = layers.Input((8, 8))
    scores = layers.Dense(CLASSES, activation="softmax")(layers.LSTM(8)(series))
    library.Model(series, scores).save(folder / "lstm.keras")
    image = layers.Input((8, 8, 1))
    own = layers.Dense(CLASSES, activation="softmax")(layers.Flatten()(Twice()(image)))
    library.Model(image, own).save(folder / "own.keras")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
