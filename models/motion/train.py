"""Smart-watch activities: a small 1-D CNN, and an LSTM, on 10 s of accelerometer and gyroscope at 10 Hz.

Data: BasicMotions of the UEA archive, which aeon carries: 80 recordings of 4 activities, 6 channels by
100 steps. The archive's own split is kept: 40 to train, 40 held out. One sample right or wrong is 2.5
points of accuracy, so the figure is coarse. Input: the sensors' own units, as [step, channel].
The recipes were chosen with `--validate`, which sees the 40 training recordings alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from models.common import SEED, Data, Floats, Labels, Recipe, main  # isort: skip
import numpy as np
import tf_keras as keras
from aeon.datasets import load_basic_motions

layers = keras.layers
STEPS, CHANNELS = 100, 6
ACTIVITIES = ("badminton", "running", "standing", "walking")


def load() -> Data:
    def part(split: str) -> tuple[Floats, Labels]:
        series, activities = load_basic_motions(split=split)
        labels = np.array([ACTIVITIES.index(activity) for activity in activities], np.int64)
        order = np.random.default_rng(SEED).permutation(len(labels))  # the archive has them class by class
        return series.transpose(0, 2, 1).astype(np.float32)[order], labels[order]

    return Data(*part("train"), *part("test"))


def build_cnn(batch: int | None) -> keras.Model:
    series = layers.Input((STEPS, CHANNELS), batch_size=batch)
    x = layers.Reshape((1, STEPS, CHANNELS))(series)
    for channels in (12, 16, 24):
        x = layers.Conv2D(channels, (1, 5), strides=(1, 2), padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(series, layers.Dense(len(ACTIVITIES), activation="softmax")(x))


def build_lstm(batch: int | None) -> keras.Model:
    series = layers.Input((STEPS, CHANNELS), batch_size=batch)
    x = layers.LSTM(16)(series)
    return keras.Model(series, layers.Dense(len(ACTIVITIES), activation="softmax")(x))


def augment(x: Floats, rng: np.random.Generator) -> Floats:
    """Each recording rotated in time by its own number of steps, scaled by up to a tenth, with noise."""
    shifts = rng.integers(0, STEPS, len(x))
    moved = np.stack([np.roll(series, shift, axis=0) for series, shift in zip(x, shifts, strict=True)])
    scaled = moved * rng.uniform(0.9, 1.1, (len(x), 1, CHANNELS))
    return (scaled + rng.normal(0, 0.05, x.shape)).astype(np.float32)


if __name__ == "__main__":
    main(
        __file__,
        load(),
        {
            "motion": Recipe(build_cnn, augment, epochs=40, batch=32, rate=4e-3, repeats=10),
            "motion_lstm": Recipe(build_lstm, augment, epochs=40, batch=32, rate=1e-2, repeats=10),
        },
    )
