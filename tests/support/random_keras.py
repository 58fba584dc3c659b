"""Makes random small Keras models, in the training environment: `PYTHON random_keras.py FOLDER SEED …`.

Their weights are random, and batch normalisations have seen nothing: what counts is which ops come out.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
from keras import layers


class Walk:
    """A value that a random net has come to."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.axes = 1 if seed % 4 == 0 else 2
        self.x = self.given = keras.Input((24, 3) if self.axes == 1 else (9, 8, 2))

    def made(self, kind: str, *options, **more):
        """A layer of this axis' kind on the value as it is."""
        return getattr(layers, f"{kind}{self.axes}D")(*options, **more)(self.x)

    def activation(self):
        return self.random.choice(
            ["relu", "relu6", "linear", "tanh", "sigmoid"], p=[0.4, 0.25, 0.2, 0.1, 0.05]
        )

    def conv(self) -> None:
        options = {"padding": str(self.random.choice(["same", "valid"])), "activation": self.activation()}
        if min(self.x.shape[1:-1]) < 3:
            options["padding"] = "same"
        self.x = self.made("Conv", int(self.random.integers(2, 10)), 3, **options)

    def strided(self) -> None:
        self.x = self.made("Conv", int(self.random.integers(2, 10)), 3, strides=2, padding="same")

    def depthwise(self) -> None:
        self.x = self.made("DepthwiseConv", 3, padding="same", activation=self.activation())

    def separable(self) -> None:
        self.x = self.made("SeparableConv", int(self.random.integers(2, 8)), 3, padding="same")

    def normalised(self) -> None:
        statistics = {
            "beta_initializer": "random_normal",
            "gamma_initializer": keras.initializers.RandomUniform(0.5, 1.5),
            "moving_mean_initializer": "random_normal",
            "moving_variance_initializer": keras.initializers.RandomUniform(0.5, 1.5),
        }
        self.x = self.made("Conv", self.x.shape[-1], 3, padding="same", use_bias=False)
        self.x = layers.ReLU(6)(layers.BatchNormalization(**statistics)(self.x))

    def residual(self) -> None:
        other = self.made("Conv", self.x.shape[-1], 3, padding="same")
        kind = layers.Multiply if self.random.random() < 0.2 else layers.Add
        self.x = layers.ReLU()(kind()([self.x, other]))

    def side_by_side(self) -> None:
        parts = [self.made("Conv", 3, 1, activation="relu"), self.made("Conv", 4, 3, padding="same")]
        self.x = layers.Concatenate()([*parts, self.x])

    def pooled(self) -> None:
        if min(self.x.shape[1:-1]) >= 4:
            self.x = self.made(str(self.random.choice(["MaxPooling", "AveragePooling"])), 2)

    def recurrent(self) -> keras.Model:
        """One or two LSTM layers over a series."""
        if self.random.random() < 0.5:
            self.x = layers.LSTM(int(self.random.integers(4, 9)), return_sequences=True)(self.x)
        return keras.Model(self.given, layers.Dense(4)(layers.LSTM(int(self.random.integers(4, 9)))(self.x)))

    def model(self) -> keras.Model:
        steps = [self.conv, self.strided, self.depthwise, self.separable, self.normalised]
        steps += [self.residual, self.side_by_side, self.pooled]
        self.conv()
        for number in self.random.choice(len(steps), int(self.random.integers(2, 5))):
            steps[number]()
        self.x = self.made("GlobalAveragePooling") if self.random.random() < 0.5 else layers.Flatten()(self.x)
        if self.random.random() < 0.5:
            self.x = layers.Dense(12, activation="relu")(self.x)
        last = str(self.random.choice(["softmax", "linear", "sigmoid"]))
        return keras.Model(self.given, layers.Dense(4, activation=last)(self.x))


def main(folder: Path, seeds: list[int]) -> None:
    for seed in seeds:
        keras.utils.set_random_seed(seed)
        walk = Walk(seed)
        model = walk.recurrent() if seed % 8 == 4 else walk.model()
        model.save(folder / f"net{seed}.keras")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(seed) for seed in sys.argv[2:]])
