"""Distillation: a student learns from the given model's answers as well as from the labels."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinydeploy.train import channels, keras_models
from tinydeploy.train.layer_graph import ends
from tinydeploy.train.lesson import Lesson
from tinydeploy.train.recipe import Recipe
from tinydeploy.train.recipes.filters import gone
from tinydeploy.train.refusal import RefusalError

_WIDTH = 0.5


class Distill(Recipe):
    """The student is the model that the lesson names, else the given one at `amount` of its width, untrained.

    Behind a recipe that makes the model smaller, the student is what that has made.
    """

    order = 0
    is_soft = True

    def __init__(self, amount: float | None) -> None:
        """See Recipe."""
        super().__init__(amount)
        self.is_student_given = False

    def shaped(self, model: Any, lesson: Lesson) -> Any:
        """See Recipe."""
        if self.is_student_given:
            return model
        if lesson.student:
            student = keras_models.load(lesson.student)
            _check(model, student)
            return student
        found = channels.of(model)
        nothing = np.zeros(max((int(c) for made in found.made.values() for c in made), default=0) + 1)
        share = _WIDTH if self.amount is None else self.amount
        try:
            going = gone(found, nothing, 1 - share)
        except RefusalError as error:
            raise RefusalError(
                "no narrower student can be made of this model", "name one: --student FILE"
            ) from error
        return channels.smaller(model, found, going, weights=False)


def _check(teacher: Any, student: Any) -> None:
    """Raises RefusalError for a student that takes or gives something else than the teacher."""
    for what, of in (("takes", 0), ("gives", 1)):
        shapes = [[list(tensor.shape)[1:] for tensor in ends(model)[of]] for model in (teacher, student)]
        if shapes[0] != shapes[1]:
            raise RefusalError(
                f"the student {what} {shapes[1]}, and the model {shapes[0]}",
                "a student has its teacher's inputs and outputs",
            )
