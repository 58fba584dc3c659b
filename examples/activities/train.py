"""Activities of a smart watch: 27 features of five seconds, and a dense net of 128 and 64 units.

Data: BasicMotions of the UEA archive, which aeon carries: 80 recordings of 10 s at 10 Hz, accelerometer and
gyroscope, 4 activities, split 40 / 40 by the archive. From each come six windows of 5 s, one each second; windows of a
recording overlap, but no recording is in both parts. Writes train.csv, test.csv, and float/.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from training import Card, figure, float_tflite, trained_with, write  # isort: skip
from models.common import Data, Floats, Labels, Recipe, float_accuracy, train  # isort: skip
import numpy as np
import tf_keras as keras
from aeon.datasets import load_basic_motions

from tinydeploy.model.preparation import Preparation

HERE = Path(__file__).resolve().parent
ACTIVITIES = ("badminton", "running", "standing", "walking")
WINDOW, STRIDE = 50, 10  # steps of 0.1 s
AXES = ("ax", "ay", "az", "gx", "gy", "gz")
NAMES = tuple(f"{axis}_{what}" for what in ("mean", "std", "min", "max") for axis in AXES) + (
    "a_mean",
    "a_std",
    "g_mean",
)


def features(window: Floats) -> list[float]:
    """Of [step, axis]: mean, deviation, least and most of each axis, and of the vectors' lengths."""
    acceleration = np.linalg.norm(window[:, :3], axis=1)
    turning = np.linalg.norm(window[:, 3:], axis=1)
    found = [window.mean(0), window.std(0), window.min(0), window.max(0)]
    return [*np.concatenate(found), acceleration.mean(), acceleration.std(), turning.mean()]


def load(split: str) -> tuple[Floats, Labels]:
    """X [window, feature] as it is in the .csv, y [window], of one of the archive's parts."""
    x, y = [], []
    for series, activity in zip(*load_basic_motions(split=split), strict=True):
        for start in range(0, series.shape[1] - WINDOW + 1, STRIDE):
            x.append(features(series[:, start : start + WINDOW].T))
            y.append(ACTIVITIES.index(activity))
    return np.round(np.array(x), 4).astype(np.float32), np.array(y, np.int64)


def write_csv(file: Path, x: Floats, y: Labels) -> None:
    with file.open("w", newline="") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow([*NAMES, "label"])
        rows.writerows([*(f"{value:.4f}" for value in row), ACTIVITIES[k]] for row, k in zip(x, y, strict=True))


def build(batch: int | None) -> keras.Model:
    given = keras.layers.Input((len(NAMES),), batch_size=batch)
    x = keras.layers.Dense(128, activation="relu")(given)
    x = keras.layers.Dense(64, activation="relu")(x)
    return keras.Model(given, keras.layers.Dense(len(ACTIVITIES), activation="softmax")(x))


def noisy(x: Floats, rng: np.random.Generator) -> Floats:
    return (x + rng.normal(0, 0.1, x.shape)).astype(np.float32)


def main() -> None:
    (x, y), (x_test, y_test) = load("train"), load("test")
    write_csv(HERE / "train.csv", x, y)
    write_csv(HERE / "test.csv", x_test, y_test)
    mean, scale = (tuple(round(float(v), 4) for v in values) for values in (x.mean(0), x.std(0)))
    scaled = Preparation(mean, scale, features=NAMES)
    data = Data(scaled.applied("x", x), y, scaled.applied("x", x_test), y_test)
    model = train(Recipe(build, noisy, epochs=60, batch=32, rate=2e-3), data.x_train, y)
    accuracy = float_accuracy(model, data.x_test, y_test)
    print(f"top-1 float {accuracy:.2%} of {len(y_test)} windows")
    card = Card(
        made="python examples/activities/train.py",
        licence="Apache-2.0; its data BSD-3-Clause (aeon)",
        labels=ACTIVITIES,
        preparation=scaled,
        training=trained_with("BasicMotions, the archive's training part", data.x_train),
        figure=figure("top1", accuracy, len(y_test)),
    )
    write(HERE / "float" / "activities.tflite", float_tflite(build, model), card, data.x_train)


if __name__ == "__main__":
    main()
