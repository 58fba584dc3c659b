"""Low-rank factors: a large dense layer becomes two, with few values between them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinydeploy.train.layer_graph import calls, rebuilt, remade
from tinydeploy.train.lesson import Lesson
from tinydeploy.train.recipe import Recipe
from tinydeploy.train.refusal import RefusalError

_SHARE = 0.5
_LARGE = 1024  # weights


class LowRank(Recipe):
    """`amount` is the share of a layer's weights that its two factors may have.

    The factors are those of the singular value decomposition, cut off at the rank that this share allows:
    the nearest of that rank (Eckart and Young, 1936).
    """

    order = 2

    def shaped(self, model: Any, lesson: Lesson) -> Any:
        """See Recipe."""
        share = _SHARE if self.amount is None else self.amount
        ranks = {}
        for call in calls(model):
            if call.kind == "Dense" and (rank := _rank(call.layer, share)):
                ranks[id(call.layer)] = rank
        if not ranks:
            raise RefusalError(
                f"low-rank factors need a dense layer of {_LARGE:,} weights or more, and there is none",
                "filters makes convolutions smaller",
            )
        return _factored(model, ranks)


def _rank(layer: Any, share: float) -> int:
    """The rank of the layer's factors; 0 for a layer that is left as it is."""
    rows, columns = layer.weights[0].shape
    if rows * columns < _LARGE:
        return 0
    rank = max(1, int(share * rows * columns / (rows + columns)))
    return rank if rank * (rows + columns) < rows * columns else 0


def _factored(model: Any, ranks: dict[int, int]) -> Any:
    weighted: list[tuple[Any, list[Any]]] = []

    def made(layer: Any) -> list[Any]:
        rank = ranks.get(id(layer))
        if rank is None:
            fresh = remade(layer)
            if hasattr(layer, "get_weights"):
                weighted.append((fresh, layer.get_weights()))
            return [fresh]
        kernel, *bias = layer.get_weights()
        left, values, right = np.linalg.svd(kernel, full_matrices=False)
        root = np.sqrt(values[:rank])
        first = remade(layer, units=rank, activation="linear", use_bias=False, name=f"{layer.name}_first")
        second = remade(layer, name=f"{layer.name}_second")
        weighted.append((first, [left[:, :rank] * root]))
        weighted.append((second, [root[:, None] * right[:rank], *bias]))
        return [first, second]

    result = rebuilt(model, made)
    for layer, weights in weighted:
        layer.set_weights(weights)
    return result
