"""Handwritten digits of 8×8: the data, and a small convolutional net, trained for the recipes to begin with.

Data: the 1,797 digits that scikit-learn carries (Optical Recognition of Handwritten Digits, UCI). A
stratified, seeded split holds out 360. Input: ink / 16. `group` is "thin" or "thick": less or more ink than
the median of the training part. Writes train.npz, test.npz and digits.keras here.
"""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HERE = Path(__file__).resolve().parent
SEED = 1
EPOCHS = 30


def build() -> keras.Model:
    layers = keras.layers
    image = layers.Input((8, 8, 1))
    x = image
    for channels, pool in ((12, False), (16, True), (24, True)):
        x = layers.Conv2D(channels, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.MaxPooling2D(2)(x) if pool else x
    x = layers.Dense(48, activation="relu")(layers.Flatten()(x))
    return keras.Model(image, layers.Dense(10, activation="softmax")(x))


def main() -> None:
    images, digits = load_digits(return_X_y=True)
    x = (images.reshape(-1, 8, 8, 1) / 16).astype(np.float32)
    x_train, x_test, y_train, y_test = train_test_split(
        x, digits.astype(np.int64), test_size=360, stratify=digits, random_state=SEED
    )
    median = np.median(x_train.mean(axis=(1, 2, 3)))
    for name, some, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        group = np.where(some.mean(axis=(1, 2, 3)) > median, "thick", "thin")
        np.savez_compressed(HERE / f"{name}.npz", x=some, y=y, group=group)
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    model = build()
    steps = EPOCHS * -(-len(x_train) // 32)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=EPOCHS, batch_size=32, verbose=0)
    _, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"digits: {len(y_train)} train, {len(y_test)} held out; top-1 float {accuracy:.2%}")
    model.save(HERE / "digits.keras")


if __name__ == "__main__":
    main()
