"""Indoor temperature 60 minutes ahead, by two LSTMs, beside a linear regression on the same inputs.

Data: the simulated room of room.py in real weather. Split by time: nine months train, October is left out, November and
December test. ai-edge-quantizer has no LSTM, so TensorFlow's converter quantises here. Writes calibration.npz,
test.npz, float/, and the int8 model with its card.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from training import Card, figure, fit, float_tflite, trained_with, write  # isort: skip
from models.common import Floats  # isort: skip
import numpy as np
import room
import tensorflow as tf
import tf_keras as keras
from sklearn.linear_model import LinearRegression
from tinydeploy.model.preparation import Preparation

HERE = Path(__file__).resolve().parent
DAY = 24 * 60
TRAIN, TEST = (1 * DAY, 273 * DAY), (305 * DAY, 365 * DAY - room.AHEAD)
STEP = 29  # minutes between training windows
CALIBRATED, TESTED = 200, 400  # windows
CENTRE, SPREAD = 20.0, 4.0  # °C, by which the network learns; its last layer then gives °C


def build(batch: int | None) -> keras.Model:
    given = keras.layers.Input((room.HISTORY, len(room.FEATURES)), batch_size=batch)
    x = keras.layers.LSTM(32, return_sequences=True)(given)
    x = keras.layers.LSTM(16)(x)
    return keras.Model(given, keras.layers.Dense(1)(x))


def in_degrees(model: keras.Model) -> None:
    """Scales the last layer so that it gives °C."""
    weights, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([weights * SPREAD, bias * SPREAD + CENTRE])


def int8_tflite(model: keras.Model, calibration: Floats) -> bytes:
    """The model as a fully int8 .tflite, by TensorFlow's converter."""
    single = build(1)
    single.set_weights(model.get_weights())

    def samples() -> Iterator[list[Floats]]:
        for x in calibration:
            yield [x[None]]

    converter = tf.lite.TFLiteConverter.from_keras_model(single)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def spread(span: tuple[int, int], count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """`count` minutes evenly over a span."""
    return np.linspace(*span, count, endpoint=False).astype(np.int64)


def main() -> None:
    year = room.simulate()
    values = room.table(year)
    x, y = room.windows(values, year, np.arange(*TRAIN, STEP))
    x_test, y_test = room.windows(values, year, spread(TEST, TESTED))
    calibration, _ = room.windows(values, year, spread(TRAIN, CALIBRATED))
    target = ((y - CENTRE) / SPREAD).astype(np.float32)
    model = fit(build, x, target, loss="mae", epochs=12, batch=128, rate=1e-2)
    in_degrees(model)
    line = LinearRegression().fit(x.reshape(len(x), -1), y)
    guesses = {
        "the temperature now": x_test[:, -1, :1] * SPREAD + CENTRE,
        "linear regression": line.predict(x_test.reshape(len(x_test), -1)),
        "LSTMs, float": model.predict(x_test, verbose=0),
    }
    mae = {name: float(np.abs(guess - y_test).mean()) for name, guess in guesses.items()}
    print(f"{len(x)} windows to train, {len(x_test)} to test: MAE in °C", {k: round(v, 3) for k, v in mae.items()})
    np.savez_compressed(HERE / "calibration.npz", x=calibration)
    np.savez_compressed(HERE / "test.npz", x=x_test, y=y_test.astype(np.float32))
    card = Card(
        made="python examples/hvac/train.py",
        licence="Apache-2.0; its weather is in the public domain (TMY3, NREL), carried by pvlib (BSD-3-Clause)",
        preparation=Preparation(features=room.FEATURES),
        training=trained_with("the simulated room, January to September", x),
        figure=figure("mae", mae["LSTMs, float"], len(x_test)),
    )
    write(HERE / "float" / "hvac.tflite", float_tflite(build, model), card, x)
    calibrated = trained_with("calibration.npz", calibration)
    write(HERE / "hvac.tflite", int8_tflite(model, calibration), replace(card, calibration=calibrated), x)


if __name__ == "__main__":
    main()
