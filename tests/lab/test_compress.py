"""`compress`: every recipe on both versions of Keras, the table, resuming, and what it refuses.

What trains is marked `train`, and needs the training environment.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import tinydeploy
from tinydeploy.errors import DataError, ModelError, TinydeployError, ToolError, UsageError
from tinydeploy.model import card as cards
from tinydeploy.prepare import recipe_names, training, training_child
from tinydeploy.prepare.lesson_data import LessonData
from tinydeploy.prepare.training import Course, Taught
from tinydeploy.progress import silent
from tinydeploy.report import compress_page
from tinydeploy.results.compressed import FLOAT, PTQ, Compressed, chosen

SUPPORT = Path(__file__).resolve().parents[1] / "support"
RECIPES = "tune,filters,low-rank,distill=0.5,prune,prune=0.6+qat"
train = pytest.mark.train


def images(count: int, seed: int) -> tuple[Any, Any, Any]:
    """Noise of 8×8, brighter in the quarter that is its class; every other sample is of one group."""
    random = np.random.default_rng(seed)
    y = np.arange(count) % 4
    x = random.random((count, 8, 8, 1)).astype(np.float32) * 0.5
    for image, quarter in zip(x, y, strict=True):
        row, column = 4 * (quarter // 2), 4 * (quarter % 2)
        image[row : row + 4, column : column + 4] += 0.3
    return x, y, np.array(["even", "odd"])[np.arange(count) // 4 % 2]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models of both versions of Keras, and data."""
    folder = tmp_path_factory.mktemp("models")
    python = training_child.python("the tests")
    subprocess.run([python, SUPPORT / "make_keras_models.py", folder], check=True, capture_output=True)
    for name, count, seed in (("train", 320, 1), ("test", 80, 2)):
        x, y, group = images(count, seed)
        np.savez(folder / f"{name}.npz", x=x, y=y, group=group)
    return folder


def compress(models: Path, model: str, recipe: str, out: Path, **options: Any) -> Compressed:
    given: dict[str, Any] = {
        "train": models / "train.npz",
        "data": models / "test.npz",
        "epochs": 2,
        "rate": 0.01,
    }
    found, folder = tinydeploy.compress(models / model, recipe, out=out, **given | options)
    assert folder == out
    return found


@pytest.fixture(scope="module")
def found(models: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Compressed, Path]:
    out = tmp_path_factory.mktemp("compressed")
    return compress(models, "cnn.keras", RECIPES, out, max_flash="1M", max_class_drop=1), out


def figure(found: Compressed, recipe: str, name: str) -> float:
    (run,) = [run for run in found.runs if run.asked["recipe"] == recipe]
    value = run.figures[name].values[0]
    assert value is not None
    return value


@train
def test_every_recipe_is_a_row_that_was_run(found: tuple[Compressed, Path]) -> None:
    made, out = found
    assert [row.name for row in made.rows] == [FLOAT, PTQ, *RECIPES.split(",")]
    assert made.failures() == [] and made.boards == ("mps2-an386",)
    assert all(
        run.result and run.result.parity and run.result.parity.identical == run.result.parity.outputs
        for run in made.runs
    )
    for name in ("filters", "distill=0.5"):
        for cost in ("instructions", "flash", "arena"):
            assert figure(made, name, cost) < 0.8 * figure(made, PTQ, cost)
    assert figure(made, "low-rank", "model_flash") < figure(made, PTQ, "model_flash")
    for name in ("prune", "tune"):
        assert figure(made, name, "arena") == figure(made, PTQ, "arena")
    row = made.row("prune=0.6+qat")
    assert 0.55 < row.zeros / row.weights < 0.62 and row.deflated < made.row(PTQ).deflated
    assert figure(made, row.name, "accuracy") > figure(made, PTQ, "accuracy")  # that was never trained
    card = cards.load(out / "filters" / "cnn.tflite")
    assert card is not None and card.training.samples == 320 and card.calibration.samples == 320
    assert "--recipe filters" in card.made and "--epochs 2" in card.made and card.figure is not None


@train
def test_the_table_and_the_page_say_it(found: tuple[Compressed, Path]) -> None:
    made, out = found
    heads, rows = compress_page.cells(made, "mps2-an386")
    assert heads[:3] == ["Recipe", "Accuracy (top-1)", "Largest drop"] and heads[-1] == "Limits"
    assert any(row[0].endswith("●") for row in rows) and {row[-1] for row in rows[1:]} == {"✓"}
    said = "\n".join(compress_page.sentences(made))
    assert "7 of 7 int8 rows hold the limits" in said and "50% of the weights are zero" in said
    page = (out / compress_page.PAGE).read_text(encoding="utf-8")
    ElementTree.fromstring(page.partition("\n")[2].partition("<script>")[0] + "</body></html>")
    assert page.count("<figure") == 3 and "float, " in page and "--recipe low-rank" in page
    told = json.loads((out / compress_page.TOLD).read_text())
    assert told["chosen"]["mps2-an386"] in RECIPES.split(",") and len(told["rows"]) == 8


@train
def test_what_is_done_is_not_done_again(found: tuple[Compressed, Path], models: Path) -> None:
    made, out = found
    files = [*out.glob("training/*/facts.json"), *out.rglob("result.json"), *out.glob("*/row.json")]
    before = {file: file.stat().st_mtime_ns for file in files}
    again = compress(models, "cnn.keras", "filters,prune", out, max_flash="1M", max_class_drop=1)
    assert {file: file.stat().st_mtime_ns for file in files} == before
    assert figure(again, "filters", "instructions") == figure(made, "filters", "instructions")


@train
def test_models_of_tf_keras_learn_too_and_limits_choose(models: Path, tmp_path: Path) -> None:
    limits = {"max_instructions": 1}
    found = compress(models, "legacy.h5", "filters+distill+qat", tmp_path, student=None, epochs=1, **limits)
    assert figure(found, "filters+distill+qat", "flash") < figure(found, PTQ, "flash")
    assert chosen(found.runs) is None
    (failure,) = found.failures()
    assert failure.startswith("mps2-an386: no recipe holds the limits; ") and "max_instructions" in failure


@train
def test_a_saved_model_is_quantised_too(models: Path, tmp_path: Path) -> None:
    made = tinydeploy.quantize(models / "saved", models / "train.npz", out=tmp_path, data=models / "test.npz")
    assert made.path == tmp_path / "saved.tflite" and made.quantized is not None
    assert len(made.quantized.layers) == 5
    with pytest.raises(ModelError, match="saved cannot be trained on"):
        compress(models, "saved", "qat", tmp_path / "out")


# What does not apply, and what goes on


def course(models: Path, model: str, folder: Path, **taught: Any) -> Course:
    x, y, _ = images(80, 1)
    if "lstm" in model:
        x = x[..., 0]
    rows = np.arange(80)
    loss = {"kind": "classes", "position": 0, "probabilities": True}
    lesson = LessonData({"x0": x, "labels": y[:, None], "rows": rows[8:], "held": rows[:8]}, loss)
    return Course(models / model, "net", lesson, Taught(**{"epochs": 4} | taught), folder)


@train
def test_recipes_that_do_not_apply_are_refused_before_anything_is_trained(
    models: Path, tmp_path: Path
) -> None:
    rows, _ = recipe_names.parse(["tune", "qat", "filters", "low-rank", "distill"])
    with pytest.raises(ModelError, match="qat: qat does not know how to quantise LSTM"):
        training.train(course(models, "lstm.keras", tmp_path), rows, False, silent)
    assert not tmp_path.exists() or not list(tmp_path.iterdir())
    (outcome, other) = (
        training.train(course(models, "lstm.keras", tmp_path, epochs=1), rows, True, silent),
        course(models, "cnn.keras", tmp_path, student=models / "other.keras"),
    )
    assert {*outcome.refused} == {"qat", "filters", "low-rank", "distill"} and not outcome.failed
    assert "none can be made" not in outcome.refused["low-rank"] and "--student" in outcome.refused["distill"]
    with pytest.raises(
        ModelError, match=r"the student takes \[\[12, 12, 1\]\], and the model \[\[8, 8, 1\]\]"
    ):
        training.train(other, rows[-1:], False, silent)


@train
def test_a_model_of_its_own_classes_is_named(models: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot convert .*own.keras") as error:
        compress(models, "own.keras", "qat", tmp_path / "out")
    assert error.value.hint == "compress trains models of Keras' own layers alone"
    assert not (tmp_path / "out").exists()


@train
def test_a_training_that_was_ended_goes_on_as_if_it_had_not_been(models: Path, tmp_path: Path) -> None:
    rows, _ = recipe_names.parse(["prune+qat"])
    whole = course(models, "cnn.keras", tmp_path / "whole", student=models / "student.keras")
    training.train(whole, rows, False, silent)
    told: list[int] = []

    def interrupted(phase: str, done: int, total: int) -> None:
        if phase.startswith("training") and done:
            told.append(done)
            if told == [1, 2]:
                raise KeyboardInterrupt

    parted = course(models, "cnn.keras", tmp_path / "parted")
    with pytest.raises(KeyboardInterrupt):
        training.train(parted, rows, False, interrupted)
    assert [path.name for path in parted.place(rows[0]).iterdir()] == ["checkpoint.npz"]
    training.train(parted, rows, False, interrupted)
    assert told in ([1, 2, 3, 4], [1, 2, 4])  # the child may have ended an epoch more than it could tell
    name = "net-float.tflite"
    assert (parted.place(rows[0]) / name).read_bytes() == (whole.place(rows[0]) / name).read_bytes()
    assert not (parted.place(rows[0]) / "checkpoint.npz").exists()


@train
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x, y: (x[:, :4], y), "shape"),
        (lambda x, y: (np.where(x > 0.7, np.nan, x), y), "NaN"),
        (lambda x, y: (x, y + 7), "y has labels 7 to 10"),
        (lambda x, y: (x[:8], y[:8]), "too few"),
        (lambda x, y: (x, None), "no labels"),
    ],
)
def test_data_that_cannot_be_trained_with_are_refused(
    models: Path, tmp_path: Path, change: Any, words: str
) -> None:
    x, y, _ = images(80, 3)
    x, y = change(x, y)
    np.savez(tmp_path / "bad.npz", **({"x": x} if y is None else {"x": x, "y": y}))
    with pytest.raises(DataError) as error:
        compress(models, "cnn.keras", "qat", tmp_path / "out", train=tmp_path / "bad.npz")
    assert words in error.value.message and not (tmp_path / "out").exists()


# What needs no training environment


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("qta", "did you mean qat"),
        ("Filter", "did you mean filters"),
        ("xxxxx", "recipes: tune, qat"),
        ("qat=0.5", "takes no number"),
        ("prune=2", "between 0 and 1"),
        ("filters=nan", "between 0 and 1"),
        ("filters=", "between 0 and 1"),
        ("prune+prune=0.3", "has a recipe twice"),
        ("prune+qat,qat+prune", "is there twice"),
        ("", "no recipe"),
    ],
)
def test_recipes_are_read_by_name(written: str, words: str) -> None:
    with pytest.raises(UsageError) as error:
        recipe_names.parse([name for name in written.split(",") if name])
    assert words in f"{error.value.message} ({error.value.hint})"


def test_all_is_one_of_each_and_what_is_named_besides() -> None:
    rows, lenient = recipe_names.parse(["all", "prune + qat", "qat"])
    assert lenient and [row.name for row in rows] == [*recipe_names.KINDS, "prune+qat"]
    assert recipe_names.parse(["filters=0.25+qat"])[0][0].parts == (("filters", 0.25), ("qat", None))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rate": 0.0}, "learning rate"),
        ({"temperature": -1.0}, "temperature"),
        ({"soft_weight": 1.5}, "soft-weight"),
        ({"student": Path("nowhere.keras")}, "no such student"),
    ],
)
def test_numbers_that_mean_nothing(options: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Taught(**options)


def test_what_cannot_be_trained_is_said_before_tensorflow_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(training_child.VARIABLE, str(tmp_path / "python"))
    (tmp_path / "net.tflite").write_bytes(b"\x1c\0\0\0TFL3")
    (tmp_path / "net.pt2").write_bytes(b"PyTorch?")
    (tmp_path / "net.keras").write_bytes(b"PK\3\4")

    def refused(name: str, recipe: str = "qat") -> TinydeployError:
        with pytest.raises(TinydeployError) as error:
            tinydeploy.compress(tmp_path / name, recipe, out=tmp_path / "out")
        return error.value

    assert "cannot be trained on" in refused("net.tflite").message
    assert "PyTorch models are not trained here" in refused("net.pt2").message
    assert refused("none.keras").message.startswith("no such file")
    missing = refused("net.keras")
    assert isinstance(missing, ToolError) and missing.message.startswith(
        "TINYDEPLOY_TRAIN_PYTHON names no file"
    )
    monkeypatch.delenv(training_child.VARIABLE)
    monkeypatch.setattr(training_child, "__file__", str(tmp_path / "a" / "b" / "c.py"))
    monkeypatch.chdir(tmp_path)
    if training_child.importlib.util.find_spec("tensorflow") is None:
        assert "scripts/setup train" in refused("net.keras").hint
    assert not (tmp_path / "out").exists() and os.environ.get(training_child.VARIABLE) is None


def test_both_sides_know_the_same_recipes() -> None:
    source = (Path(training_child.__file__).parents[1] / "train" / "worker.py").read_text()
    table = source.partition("KINDS: Mapping")[2].partition("}")[0]
    assert all(f'"{name}":' in table for name in recipe_names.KINDS)
    assert table.count('":') == len(recipe_names.KINDS)
