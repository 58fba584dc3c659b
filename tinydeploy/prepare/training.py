"""Training by recipes: what is asked for, each row's folder by its content, and the child that fills it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinydeploy.errors import ModelError, ToolError, UsageError
from tinydeploy.evaluate import data_request
from tinydeploy.model import samples as sample_files
from tinydeploy.prepare import training_child
from tinydeploy.prepare.lesson_data import LessonData
from tinydeploy.prepare.recipe_names import Combination
from tinydeploy.progress import Progress
from tinydeploy.version import __version__

FACTS = "facts.json"
_PURPOSE = "training by recipes"
_SILENCE = 3600.0  # seconds that an epoch, or the conversion at the end, may take
_FORMAT = 1  # changes with what a recipe does


@dataclass(frozen=True)
class Taught:
    """How all recipes train: epochs, seed, the first learning rate; for distillation the temperature, the
    weight of the soft labels against the hard ones, and the student's file.
    """

    epochs: int = 10
    seed: int = 1
    rate: float = 1e-3
    temperature: float = 4.0
    soft_weight: float = 0.7
    student: Path | None = None

    def __post_init__(self) -> None:
        """Raises UsageError for a number that means nothing."""
        if not (math.isfinite(self.rate) and self.rate > 0):
            raise UsageError(f"a learning rate of {self.rate:g}", "--rate 0.001")
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise UsageError(f"a temperature of {self.temperature:g}", "--temperature 4")
        if not 0 <= self.soft_weight <= 1:
            raise UsageError(f"--soft-weight is {self.soft_weight:g}", "the soft labels' share, from 0 to 1")
        if self.student is not None and not self.student.is_file():
            raise UsageError(f"no such student: {self.student}", "--student names a .keras or .h5 file")

    def to_json(self) -> dict[str, Any]:
        """As the child is told it."""
        return {
            **{
                name: getattr(self, name) for name in ("epochs", "seed", "rate", "temperature", "soft_weight")
            },
            "student": str(self.student.resolve()) if self.student else "",
        }


@dataclass(frozen=True)
class Course:
    """A model file, the lesson, and how it is taught; what is trained goes to folders below `folder`."""

    model: Path
    stem: str
    lesson: LessonData
    taught: Taught
    folder: Path

    def place(self, row: Combination) -> Path:
        """The folder of a row: another one for whatever would make another model of it."""
        told = self.taught.to_json()
        if any(name == "distill" for name, _ in row.parts):
            told["student"] = data_request.digest(self.taught.student) if self.taught.student else ""
        else:
            told = {name: told[name] for name in ("epochs", "seed", "rate")}
        said = json.dumps([_FORMAT, __version__, *self._content, told, sorted(row.parts, key=str)])
        return self.folder / f"{row.name}-{hashlib.sha256(said.encode()).hexdigest()[:12]}"

    @functools.cached_property
    def _content(self) -> tuple[Any, ...]:
        return data_request.digest(self.model), sample_files.digest(self.lesson.arrays), self.lesson.loss

    def trained(self, row: Combination) -> bool:
        """Whether the row is trained already."""
        return (self.place(row) / FACTS).is_file()


@dataclass
class Outcome:
    """Why rows have no model: recipes that do not apply, and those that failed."""

    refused: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def train(course: Course, rows: Sequence[Combination], lenient: bool, progress: Progress) -> Outcome:
    """Trains every row that is not trained yet, one after the other.

    Where a recipe does not apply, nothing is trained and ModelError says why, unless it is `lenient`. A row
    whose training fails stops no other. An interrupt leaves what was trained, to go on from.
    """
    outcome, waiting = Outcome(), [row for row in rows if not course.trained(row)]
    with tempfile.TemporaryDirectory(prefix="tinydeploy-") as scratch:
        data = Path(scratch) / "lesson.npz"
        course.lesson.write(data)
        while waiting:
            running = ""
            try:
                for told in _follow(course, waiting, data, lenient):
                    running = _heard(told, running, outcome, course, progress)
            except ToolError as error:
                if not running:
                    raise
                outcome.failed[running] = error.message
            if outcome.refused and not lenient:
                row, why = next(iter(outcome.refused.items()))
                raise ModelError(*_parted(f"{row}: {why}"))
            ended = {*outcome.refused, *outcome.failed}
            left = [row for row in waiting if row.name not in ended and not course.trained(row)]
            if left == waiting:
                raise ToolError(f"{_PURPOSE} ended without a model of {left[0].name}")
            waiting = left
    return outcome


def _parted(told: str) -> tuple[str, str]:
    message, _, hint = told.partition("\n")
    return message, hint


def _follow(
    course: Course, rows: Sequence[Combination], data: Path, lenient: bool
) -> Iterator[dict[str, Any]]:
    listed = [
        {"name": row.name, "parts": row.parts, "folder": str(course.place(row).resolve())} for row in rows
    ]
    job = {
        "model": str(course.model.resolve()),
        "stem": course.stem,
        "data": str(data),
        "loss": course.lesson.loss,
        "lenient": lenient,
        "rows": listed,
        **course.taught.to_json(),
    }
    with contextlib.closing(training_child.follow(job, _PURPOSE, _SILENCE)) as found:
        yield from found


def _heard(told: dict[str, Any], running: str, outcome: Outcome, course: Course, progress: Progress) -> str:
    """Takes in one line of the child; returns the row that it is at."""
    row = str(told.get("row", ""))
    match told["at"]:
        case "looking":
            progress(f"looking at {row}", 0, 0)
        case "begun":
            progress(f"training {row}", 0, course.taught.epochs)
            return row
        case "epoch":
            progress(f"training {row}", int(told["epoch"]), course.taught.epochs)
        case "refused":
            outcome.refused[row] = f"{told['message']}\n{told['hint']}"
        case "failed":
            outcome.failed[row] = str(told["message"])
            return ""
        case "done":
            return ""
        case "error":
            raise ToolError(f"{_PURPOSE} failed: {str(told['message'])[:200]}")
    return running
