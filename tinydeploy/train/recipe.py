"""What a recipe may do: change the model before training, and what the training sees of its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from tinydeploy.train.lesson import Lesson

Seen = Callable[[Any], Any]
"""What the forward pass sees of a weight: a function of it. The gradient goes to the weight as it is."""


class Recipe:
    """Does nothing: the model is trained on. The recipes are made of this one, each changing what it has to.

    Of several that are combined, those of a lower `order` come first.
    """

    order: ClassVar[int] = 0
    is_soft: ClassVar[bool] = False
    """Whether the given model's answers are learnt from, too."""

    def __init__(self, amount: float | None) -> None:
        """`amount` is the number that was written behind the recipe's name."""
        self.amount = amount

    def shaped(self, model: Any, lesson: Lesson) -> Any:
        """The model with other layers. Raises RefusalError where the recipe does not apply."""
        return model

    def watched(self, model: Any) -> Any:
        """The model that is trained; it has the very weights of `model`. Raises RefusalError."""
        return model

    def seen(self, model: Any) -> Mapping[int, Seen]:
        """What the forward pass sees of weights, by their ids. Called once, before training."""
        return {}

    def advance(self, done: float) -> bool:
        """Told before each step what share of all is done; whether the model is as small as it is to be."""
        return True

    def state(self) -> list[Any]:
        """Variables of its own, which a training that goes on needs again."""
        return []

    def settle(self, model: Any) -> None:
        """After training: makes the weights what they are to be."""
