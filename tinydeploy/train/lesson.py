"""What all recipes are trained with: the same samples, loss, seed and number of epochs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.train.losses import Loss

Array = npt.NDArray[Any]

BATCH = 32


@dataclass(frozen=True, eq=False)
class Lesson:
    """`inputs` are float arrays [n, …], one per input of the model, `labels` as the loss takes them.

    `rows` are trained with, `held` choose the best epoch. `rate` is where the learning rate begins.
    """

    inputs: list[Array]
    labels: Array
    rows: Array
    held: Array
    loss: Loss
    epochs: int
    seed: int
    rate: float
    temperature: float
    soft_weight: float
    student: str

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Lesson:
        """From the job, and the arrays in the file that it names."""
        with np.load(told["data"], allow_pickle=False) as archive:
            arrays = dict(archive)
        count = sum(name.startswith("x") for name in arrays)
        return cls(
            [arrays[f"x{number}"] for number in range(count)],
            arrays["labels"],
            arrays["rows"],
            arrays["held"],
            Loss(told["loss"]),
            *(told[name] for name in ("epochs", "seed", "rate", "temperature", "soft_weight", "student")),
        )

    @property
    def steps(self) -> int:
        """How many steps an epoch has."""
        return -(-len(self.rows) // BATCH)

    def epoch(self, number: int) -> Iterator[Array]:
        """The rows of each step of an epoch, in an order that its number and the seed settle."""
        order = np.random.default_rng([self.seed, number]).permutation(self.rows)
        return (order[start : start + BATCH] for start in range(0, len(order), BATCH))

    def batch(self, rows: Array) -> list[Array]:
        """The inputs of these rows."""
        return [values[rows] for values in self.inputs]
