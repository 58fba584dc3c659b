"""MobileNet V1 at a quarter of its width on 96 × 96 grey pixels, and a smaller one: is there a face or not?

Data: scikit-image's subset of Labeled Faces in the Wild, 100 faces and 100 patches without one, of 25 × 25 pixels, here
stretched to 96 × 96. That is far too little to tell how good such a network can be: this example is about memory. Every
fifth picture tests. Writes NAME-calibration.npz, NAME-test.npz and float/NAME.tflite for both networks.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from training import Card, figure, float_tflite, trained_with, write  # isort: skip
from models.common import Floats, Recipe, float_accuracy, train  # isort: skip
import numpy as np
import tensorflow as tf
import tf_keras as keras
from skimage.data import lfw_subset

HERE = Path(__file__).resolve().parent
LABELS = ("nothing", "face")
layers = keras.layers

# Howard et al., MobileNets, arXiv:1704.04861, table 1: stride and filters of its 13 blocks.
V1 = ((1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), *[(1, 512)] * 5, (2, 1024), (1, 1024))
SMALL = ((2, 64), (2, 128), (1, 128), (2, 256), (1, 256))


def build(size: int, width: float, blocks: tuple[tuple[int, int], ...], batch: int | None) -> keras.Model:
    """A MobileNet V1 of these blocks, `width` times as wide, for size × size grey pixels."""

    def activated(x: keras.KerasTensor) -> keras.KerasTensor:
        return layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.9)(x))

    image = layers.Input((size, size, 1), batch_size=batch)
    x = activated(layers.Conv2D(int(32 * width), 3, 2, padding="same", use_bias=False)(image))
    for stride, filters in blocks:
        x = activated(layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(x))
        x = activated(layers.Conv2D(int(filters * width), 1, use_bias=False)(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(len(LABELS), activation="softmax")(x))


def augment(x: Floats, rng: np.random.Generator) -> Floats:
    """Mirrored, moved by up to 4 pixels, brighter or darker."""
    mirrored = np.where(rng.random((len(x), 1, 1, 1)) < 0.5, x[:, :, ::-1], x)
    moved = np.stack([np.roll(one, rng.integers(-4, 5, 2), (0, 1)) for one in mirrored])
    return np.clip(moved * rng.uniform(0.8, 1.2, (len(x), 1, 1, 1)), 0, 1).astype(np.float32)


def main() -> None:
    pixels = np.repeat([1, 0], 100)  # faces come first
    small = lfw_subset().astype(np.float32)[..., None]
    x = np.round(tf.image.resize(small, (96, 96)).numpy() * 255) / 255
    test = np.arange(200) % 5 == 0
    for name, size, width, blocks, epochs in (
        ("mobilenet", 96, 0.25, V1, 8),
        ("small", 48, 0.25, SMALL, 20),
    ):
        sized = tf.image.resize(x, (size, size), method="area").numpy()
        model = train(
            Recipe(partial(build, size, width, blocks), augment, epochs=epochs, batch=20, rate=3e-3, repeats=4),
            sized[~test],
            pixels[~test],
        )
        accuracy = float_accuracy(model, sized[test], pixels[test])
        print(f"{name}: top-1 float {accuracy:.1%} of {test.sum()}")
        np.savez_compressed(HERE / f"{name}-calibration.npz", x=sized[~test], y=pixels[~test])
        np.savez_compressed(HERE / f"{name}-test.npz", x=sized[test], y=pixels[test])
        card = Card(
            made="python examples/visual/train.py",
            licence="Apache-2.0; its data BSD-3-Clause (scikit-image)",
            labels=LABELS,
            training=trained_with("lfw_subset of scikit-image, four of five", sized[~test]),
            figure=figure("top1", accuracy, int(test.sum())),
        )
        file = HERE / "float" / f"{name}.tflite"
        write(file, float_tflite(partial(build, size, width, blocks), model), card, sized[~test])


if __name__ == "__main__":
    main()
