"""The child of `tinydeploy compress` in the training environment: follows a job, and tells of each step.

`python -c BOOTSTRAP job.json`, see prepare/training_child.py. It prints a line of JSON for each thing that
happens, behind MARK; what libraries print besides is not read.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinydeploy.train import MARK, keras_models
from tinydeploy.train.layer_graph import calls, layers_with_weights
from tinydeploy.train.lesson import BATCH, Lesson
from tinydeploy.train.recipe import Recipe
from tinydeploy.train.recipes.distill import Distill
from tinydeploy.train.recipes.filters import Filters
from tinydeploy.train.recipes.low_rank import LowRank
from tinydeploy.train.recipes.prune import Prune
from tinydeploy.train.recipes.qat import Qat
from tinydeploy.train.refusal import RefusalError
from tinydeploy.train.training_loop import Training

_PR_SET_PDEATHSIG = 1
_TELLING = ("Could not locate class", "Unknown layer")
KINDS: Mapping[str, type[Recipe]] = {
    "tune": Recipe,
    "qat": Qat,
    "prune": Prune,
    "filters": Filters,
    "low-rank": LowRank,
    "distill": Distill,
}


def say(**what: Any) -> None:
    """Tells the parent."""
    print(MARK + json.dumps(what), flush=True)


def parts_of(told: Mapping[str, Any]) -> list[Recipe]:
    """The recipes of a row, in the order in which they act."""
    parts = [KINDS[name](amount) for name, amount in told["parts"]]
    parts.sort(key=lambda part: part.order)
    for part in parts:
        if isinstance(part, Distill):
            part.is_student_given = any(isinstance(other, Filters | LowRank) for other in parts)
    return parts


def shaped(source: str, parts: list[Recipe], lesson: Lesson) -> tuple[Any, Any]:
    """The model as it was, and with the layers that the recipes leave it. Raises RefusalError."""
    given = keras_models.begin(source, lesson.seed)
    list(calls(given))  # refuses a class of its own
    model = given
    for part in parts:
        model = part.shaped(model, lesson)
    model.trainable = True
    return given, model


def teach(given: Any, lesson: Lesson) -> Any:
    """The given model's answers to all samples, as logits or values."""
    count = len(lesson.inputs[0])
    found = []
    for start in range(0, count, 8 * BATCH):
        rows = np.arange(start, min(start + 8 * BATCH, count))
        outputs = keras_models.answer(given, lesson.batch(rows), training=False)
        found.append(np.asarray(lesson.loss.judged(outputs)))
    return np.concatenate(found)


def follow(job: Mapping[str, Any], told: Mapping[str, Any], lesson: Lesson) -> None:
    """One row: trains it, and leaves STEM.keras, STEM-float.tflite and, last, facts.json in its folder."""
    folder, parts = Path(told["folder"]), parts_of(told)
    folder.mkdir(parents=True, exist_ok=True)
    given, model = shaped(job["model"], parts, lesson)
    teacher = teach(given, lesson) if any(part.is_soft for part in parts) else None
    training = Training(model, parts, lesson, teacher)
    losses: list[float] = []

    def epoch(number: int, loss: float) -> None:
        losses.append(loss)
        say(at="epoch", row=told["name"], epoch=number, loss=loss)

    checkpoint = folder / "checkpoint.npz"
    training.run(checkpoint, epoch)
    keras_models.save(model, folder / f"{job['stem']}.keras")
    content = keras_models.float_tflite(model)
    keras_models.write_whole(folder / f"{job['stem']}-float.tflite", content)
    facts = {"weights": _weights(model), "zeros": _zeros(model), "loss": training.best_loss}
    keras_models.write_whole(folder / "facts.json", json.dumps(facts).encode())
    checkpoint.unlink(missing_ok=True)
    say(at="done", row=told["name"])


def converted(job: Mapping[str, Any]) -> bytes:
    """The model as a float .tflite, or quantised, where the job names samples for that."""
    if "samples" not in job:
        return keras_models.to_tflite(job["convert"])
    samples = np.load(job["samples"], allow_pickle=False)
    return keras_models.int8_tflite(job["convert"], samples, job["bits"], job["float_io"])


def _kernels(model: Any) -> list[Any]:
    return [w for layer in layers_with_weights(model) for w in layer.get_weights() if w.ndim >= 2]


def _weights(model: Any) -> int:
    return sum(kernel.size for kernel in _kernels(model))


def _zeros(model: Any) -> int:
    return sum(int((kernel == 0).sum()) for kernel in _kernels(model))


def main(path: str) -> None:
    """Follows the job: first every row's shape, so that what does not apply is refused at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # and ends with it
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    if "convert" in job:
        keras_models.write_whole(Path(job["to"]), converted(job))
        return
    lesson = Lesson.of(job)
    rows = list(job["rows"])
    for told in job["rows"]:
        say(at="looking", row=told["name"])
        try:
            shaped(job["model"], parts_of(told), lesson)
        except RefusalError as error:
            say(at="refused", row=told["name"], message=error.message, hint=error.hint)
            rows.remove(told)
    if len(rows) < len(job["rows"]) and not job["lenient"]:
        return
    for told in rows:
        say(at="begun", row=told["name"])
        try:
            follow(job, told, lesson)
        except Exception as error:
            say(at="failed", row=told["name"], message=first_line(error))


def first_line(error: BaseException) -> str:
    """What an error says first, or, of a class that Keras does not know, that."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    for line, words in itertools.product(lines, _TELLING):
        if words in line:
            return line[line.index(words) :]
    return (lines or [type(error).__name__])[0]


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except Exception as error:
        say(at="error", message=first_line(error))
        sys.exit(1)
