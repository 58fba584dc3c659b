"""What training lowers: the loss of a model's judged output, against labels and against a teacher's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

_EPSILON = 1e-7


class Loss:
    """The loss of one kind of answer.

    "classes": labels are class numbers [n, places], the output has classes along its last axis. "flags":
    labels are 0 or 1 in the output's shape. "values": numbers in the output's shape. `probabilities` says
    that SOFTMAX or LOGISTIC are in the model; else its output is logits.
    """

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.kind, self.position = str(told["kind"]), int(told["position"])
        self._probabilities = bool(told["probabilities"])

    def judged(self, outputs: Any) -> Any:
        """The output that labels belong to, as logits or values."""
        output = outputs[self.position] if isinstance(outputs, list | tuple) else outputs
        if self.kind == "values" or not self._probabilities:
            return output
        clipped = tf.clip_by_value(output, _EPSILON, 1 - _EPSILON)
        return tf.math.log(clipped) if self.kind == "classes" else tf.math.log(clipped / (1 - clipped))

    def hard(self, labels: Any, judged: Any) -> Any:
        """The mean loss against the labels: cross-entropy, or the mean square of what values are off."""
        if self.kind == "classes":
            flat = tf.reshape(judged, (-1, judged.shape[-1]))
            each = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.reshape(labels, (-1,)), flat)
            return tf.reduce_mean(each)
        labels = tf.reshape(tf.cast(labels, judged.dtype), tf.shape(judged))
        if self.kind == "flags":
            return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, judged))
        return tf.reduce_mean(tf.square(labels - judged))

    def soft(self, teacher: Any, judged: Any, temperature: float) -> Any:
        """The mean loss against a teacher's output, both softened by a temperature.

        Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015: times the square of
        the temperature, so that the gradient's size does not depend on it. Of values, the mean square.
        """
        if self.kind == "values":
            return tf.reduce_mean(tf.square(teacher - judged))
        square = temperature * temperature
        if self.kind == "flags":
            labels = tf.sigmoid(teacher / temperature)
            return square * tf.reduce_mean(
                tf.nn.sigmoid_cross_entropy_with_logits(labels, judged / temperature)
            )
        labels = tf.nn.softmax(teacher / temperature)
        cross = tf.nn.softmax_cross_entropy_with_logits(labels, judged / temperature)
        own = tf.nn.softmax_cross_entropy_with_logits(labels, teacher / temperature)
        return square * tf.reduce_mean(cross - own)
