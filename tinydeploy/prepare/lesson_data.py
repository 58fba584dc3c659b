"""What recipes are trained with: labelled samples as arrays, and the loss that belongs to the output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydeploy.errors import DataError, ModelError
from tinydeploy.model.held_back import held_back
from tinydeploy.model.metric_choice import ANOMALY, CLASSES, FLAGS, SCORE, VALUES, YES_OR_NO, Judge
from tinydeploy.model.outputs import Kind
from tinydeploy.model.samples import Samples

Array = npt.NDArray[Any]

_HELD = 0.1  # of the samples choose the best epoch, and are not trained with
_LEAST = 20  # samples


@dataclass(frozen=True, eq=False)
class LessonData:
    """`arrays` as train.lesson reads them; `loss` as train.losses does."""

    arrays: dict[str, Array]
    loss: dict[str, Any]

    def write(self, path: Path) -> None:
        """Writes the arrays as an .npz."""
        arrays: dict[str, Any] = self.arrays
        np.savez(path, **arrays)


def of(samples: Samples) -> LessonData:
    """From samples in the float model's own types, with labels.

    Raises DataError for too few samples or labels that cannot be trained with, ModelError for an output that
    nothing can be learnt of.
    """
    judge = samples.judge
    if judge is None:
        reason = samples.unjudged or "they hold no labels"
        raise DataError(f"the training data cannot be trained with: {reason}", "np.savez(…, x=x, y=labels)")
    if samples.count < _LEAST:
        raise DataError(f"{samples.count} samples are too few to train with", f"at least {_LEAST}")
    inputs = [values[:, 0] for values in samples.inputs]  # without the batch of 1
    labels, kind, rows = _labels(judge, inputs)
    held = held_back(samples, rows, _HELD)
    arrays = {f"x{number}": values for number, values in enumerate(inputs)}
    arrays |= {"labels": labels, "rows": np.setdiff1d(rows, held), "held": held}
    probabilities = judge.output.kind in (Kind.SOFTMAX, Kind.LOGISTIC)
    return LessonData(
        arrays, {"kind": kind, "position": judge.output.position, "probabilities": probabilities}
    )


def _labels(judge: Judge, inputs: list[Array]) -> tuple[Array, str, Array]:
    """The labels as the loss takes them, its kind, and the rows that may be learnt from."""
    output, rows = judge.output, np.arange(len(judge.truth))
    if judge.task is ANOMALY:
        assert output.copies is not None, "an anomaly is what is copied badly"
        normal = np.flatnonzero(judge.truth.reshape(len(rows), -1)[:, 0] == 0)
        return inputs[output.copies], "values", normal
    if judge.task is CLASSES:
        if output.kind is Kind.INDEX:
            raise ModelError(
                "the model gives class numbers, of which nothing can be learnt", "leave its ARGMAX out"
            )
        if output.axis != len(output.tensor.shape) - 1:
            raise ModelError("the classes do not lie along the output's last axis")
        return judge.truth.astype(np.int64), "classes", rows
    if judge.task in (YES_OR_NO, SCORE, FLAGS):
        return judge.truth.astype(np.float32), "flags", rows
    assert judge.task is VALUES
    return judge.truth.astype(np.float32), "values", rows
