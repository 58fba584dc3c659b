"""Anomalies in a series: an autoencoder of 64 steps, trained on what is normal alone.

Data: series 135 of the KDD-TSAD archive ("InternalBleeding16", an arterial blood pressure), which aeon carries: 1,200
steps without an anomaly, and 7,501 with one of 12 steps, of which the first 1,200 are the same and left out. Writes train.npz, test.npz, and float/.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from training import Card, figure, fit, float_tflite, trained_with, write  # isort: skip
from models.common import Floats, Labels  # isort: skip
import numpy as np
import tf_keras as keras
from aeon.datasets import load_kdd_tsad_135
from sklearn.metrics import roc_auc_score

HERE = Path(__file__).resolve().parent
WINDOW, STRIDE = 64, 8  # steps; the stride is that of the test, training goes by 1
MEAN, SCALE = 70.0, 16.0  # what brings the pressure near to -1 to 2


def windows(series: Floats, anomalous: Labels, stride: int) -> tuple[Floats, Labels]:
    """X [n, WINDOW]; y [n] is 1 where a window holds a step of the anomaly."""
    starts = range(0, len(series) - WINDOW + 1, stride)
    x = np.stack([series[start : start + WINDOW] for start in starts])
    y = np.array([anomalous[start : start + WINDOW].max() for start in starts], np.int64)
    return np.round((x.astype(np.float64) - MEAN) / SCALE, 3).astype(np.float32), y


def build(batch: int | None) -> keras.Model:
    given = keras.layers.Input((WINDOW,), batch_size=batch)
    x = given
    for units in (32, 8, 32):
        x = keras.layers.Dense(units, activation="relu")(x)
    return keras.Model(given, keras.layers.Dense(WINDOW)(x))


def main() -> None:
    (calm, _), (whole, anomalous) = (load_kdd_tsad_135(split=part) for part in ("train", "test"))
    x, _ = windows(calm.ravel(), np.zeros(calm.size, np.int64), 1)
    assert np.allclose(whole.ravel()[: calm.size], calm.ravel(), atol=1e-3)
    whole, anomalous = whole.ravel()[calm.size :], anomalous.ravel()[calm.size :].astype(np.int64)
    x_test, y_test = windows(whole, anomalous, STRIDE)
    model = fit(build, x, x, loss="mse", epochs=200, batch=32, rate=2e-3)
    error = np.square(model.predict(x_test, verbose=0) - x_test).mean(axis=1)
    auc = float(roc_auc_score(y_test, error))
    print(f"{len(x)} windows to train, {len(y_test)} to test with {y_test.sum()} anomalous; AUC float {auc:.4f}")
    np.savez_compressed(HERE / "train.npz", x=x[::4])
    np.savez_compressed(HERE / "test.npz", x=x_test, y=y_test)
    card = Card(
        made="python examples/anomaly/train.py",
        licence="Apache-2.0; its data BSD-3-Clause (aeon)",
        training=trained_with("KDD-TSAD 135, its part without an anomaly", x),
        figure=figure("auc", auc, len(y_test)),
    )
    write(HERE / "float" / "anomaly.tflite", float_tflite(build, model), card, x)


if __name__ == "__main__":
    main()
