"""Magnitude pruning: the smallest weights become zero, one by one, wherever they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tinydeploy.train.keras_models import variable
from tinydeploy.train.layer_graph import layers_with_weights
from tinydeploy.train.lesson import Lesson
from tinydeploy.train.recipe import Recipe, Seen
from tinydeploy.train.refusal import RefusalError

_SHARE = 0.5
_LEAST = 64  # weights of a kernel that is pruned
_TURNS = 16  # in which the share grows
_GROWING = 0.5  # of the training


class Prune(Recipe):
    """`amount` is the share of each kernel's weights that is zero at the end.

    It grows over the first half of the training, fast at first: Zhu and Gupta, "To prune, or not to prune",
    2017. What is zero stays so.
    """

    order = 3

    def __init__(self, amount: float | None) -> None:
        """See Recipe."""
        super().__init__(amount)
        self._kernels: list[Any] = []
        self._masks: list[Any] = []
        self._turn = -1

    def shaped(self, model: Any, lesson: Lesson) -> Any:
        """See Recipe."""
        if not _kernels(model):
            raise RefusalError(f"no layer has a kernel of {_LEAST} weights or more, so none can be pruned")
        return model

    def seen(self, model: Any) -> Mapping[int, Seen]:
        """See Recipe."""
        self._kernels = _kernels(model)
        self._masks = [tf.Variable(tf.ones(kernel.shape), trainable=False) for kernel in self._kernels]
        pairs = zip(self._kernels, self._masks, strict=True)
        return {id(kernel): _masked(mask) for kernel, mask in pairs}

    def advance(self, done: float) -> bool:
        """See Recipe."""
        turn = min(_TURNS, int(done / _GROWING * _TURNS) + 1)
        if turn != self._turn:
            self._turn = turn
            share = _SHARE if self.amount is None else self.amount
            self._mask(share * (1 - (1 - turn / _TURNS) ** 3))
        return turn == _TURNS

    def _mask(self, share: float) -> None:
        for kernel, mask in zip(self._kernels, self._masks, strict=True):
            sizes = np.where(mask.numpy() > 0, np.abs(kernel.numpy()), -1.0)
            zeros = round(share * sizes.size)
            keep = np.ones(sizes.size, np.float32)
            keep[np.argsort(sizes, axis=None, kind="stable")[:zeros]] = 0
            mask.assign(keep.reshape(sizes.shape))

    def state(self) -> list[Any]:
        """See Recipe."""
        return self._masks

    def settle(self, model: Any) -> None:
        """See Recipe."""
        for kernel, mask in zip(self._kernels, self._masks, strict=True):
            kernel.assign(kernel * mask)


def _masked(mask: Any) -> Seen:
    return lambda value: value * mask


def _kernels(model: Any) -> list[Any]:
    """The weights that are pruned: of two dimensions or more, and not a few."""
    found = {}
    for layer in layers_with_weights(model):
        for weight in layer.weights:
            if len(weight.shape) >= 2 and np.prod(weight.shape) >= _LEAST:
                found[id(variable(weight))] = variable(weight)
    return list(found.values())
