"""The training that all recipes go through: Adam, a cosine from the first rate to zero, the best epoch kept.

After each epoch all that it needs to go on is in one file, which is there whole or not at all.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tinydeploy.train.keras_models import answer, keras_of, variable, write_whole
from tinydeploy.train.lesson import BATCH, Lesson
from tinydeploy.train.recipe import Recipe, Seen

Array = npt.NDArray[Any]
Told = Callable[[int, float], None]
"""`told(epoch, loss)`: an epoch is done, with this loss on the samples that are held back."""


class Training:
    """One model on its way through the epochs."""

    def __init__(self, model: Any, parts: Sequence[Recipe], lesson: Lesson, teacher: Array | None) -> None:
        """`model` has its final shape. `teacher` are the soft answers to all samples, if they are learnt."""
        self.model, self.parts, self.lesson, self.teacher = model, parts, lesson, teacher
        self.watched = model
        for part in parts:
            self.watched = part.watched(self.watched)
        self.weights = [variable(weight) for weight in model.trainable_weights]
        self.seen = _composed([part.seen(model) for part in parts])
        self.optimizer = keras_of(model).optimizers.Adam(lesson.rate)
        self.optimizer.build(model.trainable_weights)
        self.best, self.best_loss, self.epoch = self._values(), math.inf, 0
        self._step = tf.function(self._one_step)
        self._look = tf.function(self._one_look)

    def run(self, file: Path, told: Told) -> None:
        """Trains, from where the file says if it is there; then the model has its final weights."""
        self._resume(file)
        steps, epochs = self.lesson.steps, self.lesson.epochs
        while self.epoch < epochs:
            is_final = True
            for number, rows in enumerate(self.lesson.epoch(self.epoch)):
                done = (self.epoch * steps + number) / (epochs * steps)
                is_final = self._advance(done)
                self._set_rate(self.lesson.rate * 0.5 * (1 + math.cos(math.pi * done)))
                self._step(self.lesson.batch(rows), self.lesson.labels[rows], self._soft(rows))
            self.epoch += 1
            is_final = is_final or self.epoch == epochs
            loss = self._loss()
            if not math.isfinite(loss):
                raise FloatingPointError(f"the loss is {loss} after epoch {self.epoch}")
            if is_final and loss <= self.best_loss:
                self.best, self.best_loss = self._values(), loss
            write_whole(file, self._packed())
            told(self.epoch, loss)
        for one, value in zip(self._variables(), self.best, strict=True):
            one.assign(value)
        for part in self.parts:
            part.settle(self.model)

    def _advance(self, done: float) -> bool:
        """Tells every recipe how far the training is; whether each has the model as small as it is to be."""
        ready = [part.advance(done) for part in self.parts]
        return all(ready)

    def _set_rate(self, rate: float) -> None:
        self.optimizer.learning_rate.assign(rate)

    def _soft(self, rows: Array) -> Any:
        return tf.zeros(()) if self.teacher is None else self.teacher[rows]

    def _one_step(self, inputs: Any, labels: Any, soft: Any) -> None:
        held = self._put_on()
        with tf.GradientTape() as tape:
            loss = self._objective(answer(self.watched, inputs, training=True), labels, soft)
        gradients = tape.gradient(loss, self.weights)
        self._take_off(held)
        pairs = [
            (gradient, weight)
            for gradient, weight in zip(gradients, self.model.trainable_weights, strict=True)
            if gradient is not None
        ]
        self.optimizer.apply_gradients(pairs)

    def _one_look(self, inputs: Any, labels: Any, soft: Any) -> Any:
        held = self._put_on()
        loss = self._objective(answer(self.watched, inputs, training=False), labels, soft)
        self._take_off(held)
        return loss

    def _put_on(self) -> list[Any]:
        """Gives weights the values that the forward pass is to see; returns those that they had."""
        held = [tf.identity(weight) for weight, _ in self._rounded()]
        for (weight, seen), value in zip(self._rounded(), held, strict=True):
            weight.assign(seen(value))
        return held

    def _take_off(self, held: list[Any]) -> None:
        for (weight, _), value in zip(self._rounded(), held, strict=True):
            weight.assign(value)

    def _rounded(self) -> list[tuple[Any, Seen]]:
        return [(weight, self.seen[id(weight)]) for weight in self.weights if id(weight) in self.seen]

    def _objective(self, outputs: Any, labels: Any, soft: Any) -> Any:
        loss, weight = self.lesson.loss, self.lesson.soft_weight
        judged = loss.judged(outputs)
        hard = loss.hard(labels, judged)
        if self.teacher is None:
            return hard
        return (1 - weight) * hard + weight * loss.soft(soft, judged, self.lesson.temperature)

    def _loss(self) -> float:
        """The mean loss on the samples that are held back."""
        total, rows = 0.0, self.lesson.held
        for start in range(0, len(rows), BATCH):
            some = rows[start : start + BATCH]
            loss = self._look(self.lesson.batch(some), self.lesson.labels[some], self._soft(some))
            total += float(loss) * len(some)
        return total / len(rows)

    def _variables(self) -> list[Any]:
        """All that the forward pass has: weights, moving averages, ranges, masks."""
        own = [one for part in self.parts for one in part.state()]
        return [*map(variable, self.watched.variables), *own]

    def _values(self) -> list[Array]:
        return [one.numpy() for one in self._variables()]

    def _steps(self) -> list[Any]:
        variables = self.optimizer.variables
        return list(map(variable, variables() if callable(variables) else variables))

    def _packed(self) -> bytes:
        arrays: dict[str, Any] = {"epoch": np.array(self.epoch), "best_loss": np.array(self.best_loss)}
        for name, values in (("now", self._values()), ("best", self.best), ("step", self._steps())):
            arrays |= {f"{name}{i}": np.asarray(value) for i, value in enumerate(values)}
        packed = io.BytesIO()
        np.savez(packed, **arrays)
        return packed.getvalue()

    def _resume(self, file: Path) -> None:
        if not file.is_file():
            return
        try:
            with np.load(file, allow_pickle=False) as archive:
                kept = dict(archive)
        except (OSError, ValueError, zipfile.BadZipFile):  # damaged: the training begins anew
            return
        for name, variables in (("now", self._variables()), ("step", self._steps())):
            for number, one in enumerate(variables):
                one.assign(kept[f"{name}{number}"])
        self.best = [kept[f"best{number}"] for number in range(len(self.best))]
        self.epoch, self.best_loss = int(kept["epoch"]), float(kept["best_loss"])


def _composed(tables: Sequence[Any]) -> dict[int, Seen]:
    """What is seen of each weight, through all recipes in their order."""
    found: dict[int, Seen] = {}
    for table in tables:
        for key, seen in table.items():
            first = found.get(key)
            found[key] = seen if first is None else _after(first, seen)
    return found


def _after(first: Seen, second: Seen) -> Seen:
    return lambda value: second(first(value))
