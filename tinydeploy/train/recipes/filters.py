"""Filter pruning: whole filters go, and with them what the layers behind have for their channels."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tinydeploy.train import channels
from tinydeploy.train.channels import Channels
from tinydeploy.train.keras_models import answer, variable
from tinydeploy.train.lesson import Lesson
from tinydeploy.train.recipe import Recipe
from tinydeploy.train.refusal import RefusalError

_SHARE = 0.5
_MULTIPLE = 4  # kernels take four channels at a time
_BATCHES = 16  # that tell what a filter is worth


class Filters(Recipe):
    """`amount` is the share of each layer's filters that goes.

    The worth of a filter is the square of what the loss would change without it, to the first order, summed
    over batches: Molchanov et al., "Importance Estimation for Neural Network Pruning", 2019. Layers whose
    outputs are added lose the same ones.
    """

    order = 1

    def shaped(self, model: Any, lesson: Lesson) -> Any:
        """See Recipe."""
        found = channels.of(model)
        worth = _worth(model, found, lesson)
        return channels.smaller(
            model, found, gone(found, worth, _SHARE if self.amount is None else self.amount)
        )


def gone(found: Channels, worth: npt.NDArray[Any], share: float) -> set[int]:
    """The roots of the channels that go: of each group those that are worth least.

    What stays is a multiple of four where the group has eight or more. Raises RefusalError if nothing can go.
    """
    going: set[int] = set()
    for roots in found.groups():
        kept = max(1, round(len(roots) * (1 - share)))
        if len(roots) >= 2 * _MULTIPLE:
            kept = min(len(roots), max(_MULTIPLE, _MULTIPLE * round(kept / _MULTIPLE)))
        order = np.argsort(worth[roots], kind="stable")
        going |= {int(root) for root in roots[order[: len(roots) - kept]]}
    if not going:
        raise RefusalError(
            "no filter can be left out: each leaves the model, or is read by a layer that is not known here"
        )
    return going


def _worth(model: Any, found: Channels, lesson: Lesson) -> npt.NDArray[Any]:
    """The worth of each channel, by its root."""
    total = np.zeros(max((int(c) for made in found.made.values() for c in made), default=0) + 1)
    weights = [variable(weight) for weight in model.trainable_weights]
    for rows in itertools.islice(lesson.epoch(0), _BATCHES):
        with tf.GradientTape() as tape:
            outputs = answer(model, lesson.batch(rows), training=False)
            loss = lesson.loss.hard(lesson.labels[rows], lesson.loss.judged(outputs))
        gradients = tape.gradient(loss, weights)
        changes = {
            id(weight): np.asarray(tf.convert_to_tensor(gradient)) * weight.numpy()
            for weight, gradient in zip(weights, gradients, strict=True)
            if gradient is not None
        }
        total += _squares(found, changes, len(total))
    return total


def _squares(found: Channels, changes: dict[int, Any], size: int) -> npt.NDArray[Any]:
    total = np.zeros(size)
    for key, layer in found.layers.items():
        own = np.zeros(size)
        for slot in found.slots[key]:
            change = changes.get(id(variable(layer.weights[slot.weight])))
            if slot.makes and change is not None:
                axes = tuple(axis for axis in range(change.ndim) if axis != slot.axis % change.ndim)
                roots = [found.root(int(one)) for one in slot.channels]
                np.add.at(own, roots, change.sum(axis=axes))
        total += own**2
    return total
