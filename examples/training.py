"""What the examples' training scripts share: a float .tflite for one sample at a time, with its card.

Needs `pip install tinydeploy[train]`, and not tinydeploy's commands: of the package only the card is used.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))

from models.common import SEED, Floats  # isort: skip  # first, for it chooses tf_keras
import numpy as np
import tensorflow as tf
import tf_keras as keras

from tinydeploy.model import card as cards
from tinydeploy.model.card import Card, FloatFigure, Training

Build = Callable[[int | None], keras.Model]
"""Makes an untrained model for a batch size; None: any."""


def fit(build: Build, x: Floats, y: Floats, *, loss: str, epochs: int, batch: int, rate: float) -> keras.Model:
    """A model trained by Adam, its rate falling to 0 by a cosine: the same each time on one machine."""
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()
    model = build(None)
    schedule = keras.optimizers.schedules.CosineDecay(rate, epochs * -(-len(x) // batch))
    model.compile(optimizer=keras.optimizers.Adam(schedule), loss=loss)
    model.fit(x, y, epochs=epochs, batch_size=batch, verbose=2)
    return model


def float_tflite(build: Build, model: keras.Model) -> bytes:
    """The model in float, for a batch of 1, which keeps shape arithmetic out of the graph."""
    single = build(1)
    single.set_weights(model.get_weights())
    return bytes(tf.lite.TFLiteConverter.from_keras_model(single).convert())


def trained_with(source: str, x: Floats) -> Training:
    """The training data, for the card: what they are called, and the hash of what the model has seen."""
    return Training(source, hashlib.sha256(np.ascontiguousarray(x, np.float32).tobytes()).hexdigest(), len(x))


def figure(metric: str, value: float, samples: int) -> FloatFigure:
    """How good the float model is."""
    return FloatFigure(metric, round(value, 5), samples)


def write(file: Path, content: bytes, card: Card, x: Floats) -> None:
    """The model, and its card beside it. `x` are the prepared inputs it was trained on."""
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    whole = replace(
        card, file=file.name, sha256=hashlib.sha256(content).hexdigest(), **cards.statistics(np.float32(x))
    )
    cards.path_for(file).write_text(whole.to_toml())
    print(f"{file.relative_to(REPO)}: {len(content):,} bytes")
