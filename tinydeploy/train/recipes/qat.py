"""Quantisation-aware training: the forward pass sees weights and values between layers as int8 has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tinydeploy.train.channels import CONVOLUTIONS, JOINING, PASSING
from tinydeploy.train.keras_models import keras_of, variable
from tinydeploy.train.layer_graph import Call, calls, ends, layers_with_weights, rebuilt
from tinydeploy.train.lesson import Lesson
from tinydeploy.train.recipe import Recipe, Seen
from tinydeploy.train.refusal import RefusalError

_MOMENTUM = 0.98  # of a range's moving ends
_LEVELS = 127

_ACTIVATIONS = {"Activation", "ReLU", "LeakyReLU", "Relu", "Relu6"}
_MOVING = {"Flatten", "Reshape", "Permute", "Dropout", "SpatialDropout1D", "SpatialDropout2D", "Identity"}
"""Layers that only move or keep values, so that the output has the input's scale."""
_KERNELS = {
    *CONVOLUTIONS,
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "SeparableConv2D",
    "Conv2DTranspose",
}
_OTHERS = {"BatchNormalization", "Concatenate", "Softmax"}


class Qat(Recipe):
    """Jacob et al., "Quantization and Training of Neural Networks", 2018; it takes no number.

    Weights are rounded as they will be: symmetric, a scale for each output channel, so that a batch
    normalisation that is folded into them later changes nothing of it. Values behind each layer, its
    activation with it, are rounded in a range whose ends follow the batches. The gradient passes the rounding
    as if it were not there. The trained weights stay float: `quantize` makes the same roundings of them.
    """

    order = 4

    def shaped(self, model: Any, lesson: Lesson) -> Any:
        """See Recipe."""
        known = _KERNELS | _OTHERS | _MOVING | PASSING | JOINING | _ACTIVATIONS
        strange = {call.kind: call.layer.name for call in calls(model) if call.kind not in known}
        if strange:
            kind, name = next(iter(strange.items()))
            raise RefusalError(
                f"qat does not know how to quantise {kind} ('{name}') in training",
                "leave qat out: quantize takes the model, and the other recipes train it",
            )
        return model

    def watched(self, model: Any) -> Any:
        """See Recipe."""
        layer = _rounding_layer(keras_of(model))
        rounded = _rounded(model)
        return rebuilt(
            model,
            lambda one: [one, layer(name=f"{one.name}_int8")] if id(one) in rounded else [one],
            lambda tensor: layer()(tensor),
        )

    def seen(self, model: Any) -> Mapping[int, Seen]:
        """See Recipe."""
        found: dict[int, Seen] = {}
        for layer in layers_with_weights(model):
            kind = type(layer).__name__
            if kind in _KERNELS:
                found |= {id(variable(weight)): _per_channel(axes) for weight, axes in _kernels(layer, kind)}
        return found


def _kernels(layer: Any, kind: str) -> list[tuple[Any, tuple[int, ...]]]:
    """The layer's kernels, each with the axes over which one scale reaches."""
    first = layer.weights[0]
    axes = tuple(range(len(first.shape)))
    if kind == "SeparableConv2D":
        return [(first, (0, 1)), (layer.weights[1], (0, 1, 2))]
    if kind.startswith("Depthwise"):
        return [(first, axes[:-2])]
    return [(first, (0, 1, 3) if kind == "Conv2DTranspose" else axes[:-1])]


def _per_channel(axes: tuple[int, ...]) -> Seen:
    def rounded(weight: Any) -> Any:
        scale = tf.reduce_max(tf.abs(weight), axis=axes, keepdims=True) / _LEVELS
        scale = tf.maximum(scale, 1e-12)
        return tf.round(weight / scale) * scale

    return rounded


def _rounded(model: Any) -> set[int]:
    """The layers behind whose output a rounding stands: where the int8 model has a tensor of its own scale.

    A layer whose one reader is a batch normalisation or an activation is one op with that; what only moves
    values keeps their scale, and the model's outputs stay as they are.
    """
    every = list(calls(model))
    readers: dict[int, list[Call]] = {}
    for call in every:
        for one in call.inputs:
            readers.setdefault(one, []).append(call)
    last = {id(tensor) for tensor in ends(model)[1]}
    found = set()
    for call in every:
        behind = readers.get(call.outputs[0], [])
        is_fused = len(behind) == 1 and behind[0].kind in (*_ACTIVATIONS, "BatchNormalization")
        if not is_fused and call.kind not in _MOVING and call.outputs[0] not in last:
            found.add(id(call.layer))
    return found


def _rounding_layer(keras: Any) -> Any:
    """The class of a layer of this Keras that rounds what passes as int8 would."""

    class Rounding(keras.layers.Layer):  # type: ignore[misc]
        """Rounds to 256 levels between ends that follow the batches' lowest and highest values."""

        def build(self, _shape: Any) -> None:
            """See Keras."""
            for name in ("low", "high", "batches"):
                weight = self.add_weight(name=name, shape=(), initializer="zeros", trainable=False)
                setattr(self, f"{name}_end", weight)
            self.built = True

        def call(self, values: Any, training: Any = None) -> Any:
            """See Keras."""
            low, high = self.low_end, self.high_end
            if training:
                is_first = tf.cast(tf.equal(tf.convert_to_tensor(self.batches_end), 0), tf.float32)
                old = _MOMENTUM * (1 - is_first)
                low.assign(old * low + (1 - old) * tf.minimum(tf.reduce_min(values), 0.0))
                high.assign(old * high + (1 - old) * tf.maximum(tf.reduce_max(values), 0.0))
                self.batches_end.assign(self.batches_end + 1.0)
            least, most = tf.convert_to_tensor(low), tf.convert_to_tensor(high)
            return tf.quantization.fake_quant_with_min_max_vars(values, least, tf.maximum(most, least + 1e-6))

        def compute_output_shape(self, shape: Any) -> Any:
            """See Keras."""
            return shape

    return Rounding
