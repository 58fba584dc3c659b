"""Handwritten digits, 8x8: a CNN small enough for a microcontroller with 8 KB of RAM.

Data: the 1,797 digits that scikit-learn carries. A stratified, seeded split holds out 360; the model is
trained on the other 1,437. Input: ink / 16, 0 to 1.
The recipe was chosen with `--validate`, which sees the 1,437 alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from models.common import SEED, Data, Floats, Recipe, main  # isort: skip
import numpy as np
import tf_keras as keras
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

layers = keras.layers


def load() -> Data:
    images, digits = load_digits(return_X_y=True)
    x = (images.reshape(-1, 8, 8, 1) / 16).astype(np.float32)
    x_train, x_test, y_train, y_test = train_test_split(
        x, digits.astype(np.int64), test_size=360, stratify=digits, random_state=SEED
    )
    return Data(x_train, y_train, x_test, y_test)


def build(batch: int | None) -> keras.Model:
    image = layers.Input((8, 8, 1), batch_size=batch)
    x = image
    for channels, pool in ((8, False), (16, True), (24, True)):
        x = layers.Conv2D(channels, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.MaxPooling2D(2)(x) if pool else x
    return keras.Model(image, layers.Dense(10, activation="softmax")(layers.Flatten()(x)))


def augment(x: Floats, rng: np.random.Generator) -> Floats:
    """Each image with its own contrast and, one time in two, shifted by one pixel at most."""
    shifted = x.copy()
    for index in np.flatnonzero(rng.random(len(x)) < 0.5):
        dy, dx = rng.integers(0, 3, 2)
        shifted[index] = np.pad(x[index], ((1, 1), (1, 1), (0, 0)))[dy : dy + 8, dx : dx + 8]
    return np.clip(shifted * rng.uniform(0.8, 1.2, (len(x), 1, 1, 1)), 0, 1).astype(np.float32)


if __name__ == "__main__":
    main(__file__, load(), {"digits": Recipe(build, augment, epochs=60, batch=32, rate=4e-3)})
