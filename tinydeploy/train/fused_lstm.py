"""Keras' LSTM as the one op that TFLite has for it.

TensorFlow's converter makes UNIDIRECTIONAL_SEQUENCE_LSTM of tf_keras' layer, whose function it knows, and a
loop of Keras 3's, which cannot be quantised. So a layer of tf_keras with the same weights computes for one of
Keras 3.
"""

from __future__ import annotations

import importlib
from typing import Any

_KEPT = ("units", "return_sequences", "time_major")


def layers_of(model: Any) -> list[Any]:
    """The model's LSTM layers of a form that TFLite's op has."""
    found = [layer for layer in model._flatten_layers() if type(layer).__name__ == "LSTM"]
    return [layer for layer in found if _has_an_op(layer)]


def _has_an_op(layer: Any) -> bool:
    told = layer.get_config()
    usual = (told.get("activation"), told.get("recurrent_activation")) == ("tanh", "sigmoid")
    other = ("stateful", "unroll", "go_backwards", "return_state")
    return usual and told.get("use_bias") and not any(told.get(name) for name in other)


def replaced(layers: list[Any]) -> list[Any]:
    """Has tf_keras compute for those of Keras 3, and gives the layers that do."""
    legacy, doing = importlib.import_module("tf_keras"), []
    for layer in layers:
        if isinstance(layer, legacy.layers.Layer):
            continue
        told = layer.get_config()
        other = legacy.layers.LSTM(**{name: told[name] for name in _KEPT if name in told})
        other.build((1, *layer.input.shape[1:]))
        other.set_weights(layer.get_weights())
        layer.call = lambda values, other=other, **_: other(values)
        doing.append(other)
    return doing
