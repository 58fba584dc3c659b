"""`compress`: rows of recipes, each trained, quantised, and run on every board, then all in one table.

OUT/float has the model as it was given, OUT/ptq the same quantised, OUT/RECIPE each other row: model, card,
and a folder with the result on each board. OUT/training has what is trained, by content. What is done is not
done again, so a compress that was ended goes on where it was.
"""

from __future__ import annotations

import json
import os
import shlex
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from tinydeploy.boards import lookup
from tinydeploy.errors import ModelError, TinydeployError, UsageError
from tinydeploy.evaluate import config, data_request
from tinydeploy.evaluate.option_table import VERBS, from_file
from tinydeploy.host import memo, output_folder
from tinydeploy.lab import compress_data, sweep
from tinydeploy.lab.compress_data import Material
from tinydeploy.lab.sweep import Job
from tinydeploy.model import card as cards
from tinydeploy.model.card import Training
from tinydeploy.prepare import lesson_data, making, recipe_names, sources, training, training_child
from tinydeploy.prepare.float_model import FloatModel
from tinydeploy.prepare.recipe_names import Combination
from tinydeploy.prepare.training import Course, Taught
from tinydeploy.progress import Notice, Progress, unsaid
from tinydeploy.results.compressed import FLOAT, PTQ, Compressed, Row
from tinydeploy.results.limits import LIMITS
from tinydeploy.results.many import Swept
from tinydeploy.version import __version__
from tinydeploy.words import DEFAULT_BOARD

ROW = "row.json"
_TRAINABLE = ".keras or .h5"
_TAUGHT = tuple(item.name for item in fields(Taught))
_OF_RUNS = ("labels", "metric", "output", "threshold", "samples", "optimize", "target", "timeout")


@dataclass(frozen=True)
class Asked:
    """What `compress` was asked for, besides the data: rows, how they are taught, boards, options of runs."""

    rows: tuple[Combination, ...]
    lenient: bool
    taught: Taught
    boards: tuple[str, ...]
    options: Mapping[str, Any]
    settled: Mapping[str, Any]
    workers: int


def verb(
    model: Path,
    recipe: str | Sequence[str],
    out: Path,
    given: dict[str, Any],
    run: Callable[..., Any],
    progress: Progress,
    notice: Notice,
) -> tuple[Compressed, Path]:
    """`compress` as many_verbs has it: settles what is asked for, reads model and data, and goes to work."""
    rows, lenient = recipe_names.parse(recipe.split(",") if isinstance(recipe, str) else recipe)
    check_model(model)
    training_child.python("compress")
    settled = config.settled(config.load(model), given, from_file("compress"))
    taught = {name: settled[name] for name in _TAUGHT if name in settled}
    if "student" in taught:
        taught["student"] = Path(taught["student"])
    boards = tuple(settled.get("boards") or (DEFAULT_BOARD,))
    for board in boards:
        lookup.board(board)
    of_runs = {name: settled[name] for name in (*LIMITS, *_OF_RUNS) if name in settled}
    asked = Asked(
        rows,
        lenient,
        Taught(**taught),
        boards,
        of_runs,
        {**settled, "out": out},
        settled.get("workers") or os.cpu_count() or 1,
    )
    output_folder.resolved(out)
    path = out / FLOAT / f"{model.stem.removesuffix('-float')}-float.tflite"
    content = base(model, progress)
    material = compress_data.read(model, FloatModel.parse(content, str(path)), settled, out, notice)
    lesson = lesson_data.of(material.train)  # refuses what cannot be trained with before anything is written
    output_folder.write(path.parent, {path.name: content}, making.MANIFEST)
    course = Course(model, path.stem.removesuffix("-float"), lesson, asked.taught, out / "training")
    return compress(course, asked, material, out, run, progress, notice), out


def check_model(model: Path) -> None:
    """Raises ModelError for a file that nothing can be trained of."""
    try:
        head = model.read_bytes()[:8] if model.is_file() else b""
    except OSError as error:
        raise UsageError(f"cannot read {model}: {error.strerror or error}") from error
    if not model.exists():
        raise UsageError(f"no such file: {model}")
    if head[:2] != b"PK" and head != b"\x89HDF\r\n\x1a\n":
        torch = " PyTorch models are not trained here." if model.suffix in (".pt", ".pt2", ".pth") else ""
        raise ModelError(
            f"{model} cannot be trained on: compress takes a Keras model ({_TRAINABLE}).{torch}",
            "tinydeploy quantize takes other float models as they are",
        )


def base(model: Path, progress: Progress) -> bytes:
    """The model as a float .tflite, as TensorFlow converts it, or as it did before."""
    key = json.dumps(["float", __version__, data_request.digest(model), str(training_child.python())])
    if (kept := memo.read(key)) is not None:
        return kept
    try:
        floats = sources.load(model, progress).floats
    except ModelError as error:
        if "own classes" in error.hint:
            error.hint = "compress trains models of Keras' own layers alone"
        raise
    assert floats is not None, "a Keras model is float"
    memo.write(key, floats.content)
    return floats.content


def _told(folder: Path) -> dict[str, Any]:
    """What the file in a row's folder says; nothing without one."""
    try:
        return dict(json.loads((folder / ROW).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def compress(
    course: Course,
    asked: Asked,
    material: Material,
    out: Path,
    run: Callable[..., Any],
    progress: Progress,
    notice: Notice,
) -> Compressed:
    """All rows, trained, quantised and run. Raises what ends all of it; what ends a row is in the row."""
    outcome = training.train(course, asked.rows, asked.lenient, progress)
    for name, why in outcome.refused.items():
        notice(f"left out: {name}, as {why.splitlines()[0]}")
    rows = [row for row in asked.rows if row.name not in outcome.refused]
    made = _Rows(course.model, asked, material, out, progress, notice)
    found = [made.of_float(), made.quantised(PTQ, material.floats, {})]
    for row in rows:
        if row.name in outcome.failed:
            found.append(made.failed(row.name, outcome.failed[row.name]))
        else:
            place = course.place(row)
            facts = json.loads((place / training.FACTS).read_text(encoding="utf-8"))
            found.append(made.quantised(row.name, place / f"{course.stem}-float.tflite", facts))
    runs = _run(found, asked, material, out, run, progress)
    return Compressed(str(course.model), material.metric, tuple(found), runs, tuple(_notes(found)))


class _Rows:
    """Makes the rows, each in its folder."""

    def __init__(
        self, model: Path, asked: Asked, material: Material, out: Path, progress: Progress, notice: Notice
    ) -> None:
        self.model, self.asked, self.material, self.out = model, asked, material, out
        self.progress, self.notice = progress, notice

    def of_float(self) -> Row:
        """The row of the model as it was given: its file, and what LiteRT makes of the test set."""
        content = self.material.floats.read_bytes()
        size, deflated = len(content), len(zlib.compress(content, 9))
        return Row(FLOAT, str(self.material.floats.parent), "", size, deflated, value=self.material.value)

    def failed(self, name: str, why: str) -> Row:
        """The row of a recipe that has no model."""
        return Row(name, str(self.out / name), self.command(name), error=why)

    def command(self, name: str) -> str:
        """What makes the row alone."""
        words = ["tinydeploy", "compress", str(self.model)]
        for option in VERBS["compress"].options:
            value = self.asked.settled.get(option.name)
            if option.name == "recipe":
                words += [option.long, name] if name != PTQ else []
            elif value is not None and value is not False and option.on_command_line:
                shown = ",".join(value) if isinstance(value, tuple | list) else str(value)
                words += [option.long] if option.kind is bool else [option.long, shown]
        return shlex.join(words)

    def quantised(self, name: str, floats: Path, facts: Mapping[str, Any]) -> Row:
        """The row of a float model, quantised into OUT/NAME unless it is there already."""
        folder, content = self.out / name, floats.read_bytes()
        key = self.material.key(content)
        told = _told(folder)
        path = folder / f"{floats.stem.removesuffix('-float')}.tflite"
        if told.get("key") != key or not path.is_file():
            self.progress(f"quantising {name}", 0, 0)
            try:
                told = self._made(name, floats, path, facts) | {"key": key}
            except TinydeployError as error:
                return self.failed(name, error.message)
            files = {ROW: (json.dumps(told, indent=1) + "\n").encode()}
            keras = floats.with_name(f"{path.stem}.keras")
            if keras.is_file():
                files[keras.name] = keras.read_bytes()
            output_folder.write(folder, files, making.MANIFEST)
        fields = ("bytes", "deflated", "weights", "zeros", "value")
        return Row(name, str(folder), self.command(name), **{one: told[one] for one in fields})

    def _made(self, name: str, floats: Path, path: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
        self._write_card(floats, name)
        quantize = replace(self.material.quantizing, made=_printable(self.command(name)))
        made = making.make(floats, self.material.calibration, path, quantize, self.progress, unsaid)
        assert made.quantized is not None, "it was float"
        for warning in made.quantized.warnings if name == PTQ else ():  # the same of every row
            self.notice(warning)
        content, figure = made.quantized.content, made.quantized.float_side.accuracy
        return {
            "bytes": len(content),
            "deflated": len(zlib.compress(content, 9)),
            "weights": facts.get("weights", 0),
            "zeros": facts.get("zeros", 0),
            "value": figure.value if figure else None,
        }

    def _write_card(self, floats: Path, name: str) -> None:
        """The card that `quantize` finds beside the float model: the given one's, and what it learnt of."""
        given = replace(self.material.card, file="", sha256="", path="")
        if name != PTQ:
            given = replace(given, training=Training(*self.material.trained_with))
        files = {cards.FILE_NAME: given.to_toml().encode()}
        output_folder.write(floats.parent, files, making.MANIFEST)


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _run(
    rows: Sequence[Row],
    asked: Asked,
    material: Material,
    out: Path,
    run: Callable[..., Any],
    progress: Progress,
) -> tuple[Swept, ...]:
    """Every int8 model on every board, with the float model beside."""
    options = {**asked.options, "data": material.test_path, "float_model": material.floats.resolve()}
    jobs: list[Job] = []
    for row in rows:
        if row.error or row.name == FLOAT:
            continue
        path = Path(row.folder) / f"{material.floats.stem.removesuffix('-float')}.tflite"
        for job in sweep.jobs([path], {"board": asked.boards}, options, out):
            board = job.asked["board"]
            key = job.folder.name.rpartition("-")[2]
            jobs.append(
                replace(
                    job,
                    asked={"recipe": row.name, "board": board},
                    folder=out.resolve() / row.name / f"{board.replace(':', '-')}-{key}",
                )
            )
    return sweep.sweep(jobs, run, "local", asked.workers, progress)


def _notes(rows: Sequence[Row]) -> list[str]:
    """What pruning by magnitude has bought, in bytes that were counted."""
    plain = next((row for row in rows if row.name == PTQ and not row.error), None)
    found = []
    for row in rows:
        if row.zeros and row.weights and plain and 4 * row.zeros > row.weights and not row.error:
            found.append(
                f"{row.name}: {row.zeros / row.weights:.0%} of the weights are zero. The firmware holds and "
                f"computes with every zero; only zipped, as for an update, is the file smaller: "
                f"{row.deflated:,} bytes, ptq's {plain.deflated:,}"
            )
    return found
