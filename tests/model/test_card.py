"""Cards of models: what is written is read, mistakes are named, and each belongs to its model."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from tinydeploy.errors import UsageError
from tinydeploy.model import card as cards
from tinydeploy.model.card import Card, FloatFigure, Training
from tinydeploy.model.preparation import Preparation

WHOLE = Card(
    file="digits.tflite",
    sha256="ab" * 32,
    made='tinydeploy quantize "a b".onnx',
    licence="BSD-3-Clause",
    labels=("null", "eins", "zwei ü"),
    preparation=Preparation(mean=(0.5,), scale=(2.0, 3.0), window=7, features=("a", "b"), colour="grey"),
    range=(-1.0, 1.0),
    average=0.0,
    deviation=0.25,
    training=Training("train.npz", "cd" * 32, 1437),
    calibration=Training("some.npz", "01" * 32, 200),
    figure=FloatFigure("top1", 0.975, 360, "ef" * 32),
)


@pytest.mark.parametrize(
    "card", [WHOLE, Card(), Card(labels=("a",)), Card(figure=FloatFigure("mae", 0.0, 1))]
)
def test_what_is_written_is_read(tmp_path: Path, card: Card) -> None:
    (tmp_path / "model.toml").write_text(card.to_toml(), encoding="utf-8")
    assert cards.load(tmp_path / "digits.tflite") == card


def test_a_card_belongs_to_its_model(tmp_path: Path) -> None:
    assert cards.load(tmp_path / "a.tflite") is None
    (tmp_path / "model.toml").write_text('file = "a.tflite"\n')
    assert cards.load(tmp_path / "a.tflite") is not None
    assert cards.load(tmp_path / "b.tflite") is None
    assert cards.path_for(tmp_path / "a.tflite") == tmp_path / "model.toml"
    other = cards.path_for(tmp_path / "b.tflite")
    assert other == tmp_path / "b.model.toml"
    other.write_text('licence = "MIT"\n')
    found = cards.load(tmp_path / "b.tflite")
    assert found is not None and found.licence == "MIT"
    assert cards.path_for(tmp_path / "b.tflite") == other
    assert "another file" in cards.doubts(WHOLE, b"content")
    own = Card(sha256=hashlib.sha256(b"content").hexdigest())
    assert cards.doubts(own, b"content") == cards.doubts(Card(), b"content") == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("labels = 3", "'labels' must be a list of strings"),
        ("label = ['a']", "unknown key 'label'"),
        ("[input]\nrange = [1]", "the lowest and the highest"),
        ("[input]\nmeans = 1", "unknown key 'means'"),
        ("[input]\naverage = inf", "'average' must be a number"),
        ("[float]\nvalue = 'good'", "'value' must be a number"),
        ("[float]\nvalue = true", "'value' must be a number"),
        ("[training]\nsamples = 1.5", "'samples' must be a whole number"),
        ("input = 3", "'input' must be a table"),
        ('made = "\\u001b[31m"', "cannot be printed"),
        ("a = ", "model.toml"),
        ("a = " + "[" * 5000, "model.toml"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "model.toml").write_text(text)
    with pytest.raises(UsageError) as error:
        cards.load(tmp_path / "a.tflite")
    assert words in error.value.message


def test_values_are_held_against_those_of_the_training() -> None:
    x = np.random.default_rng(1).normal(0, 0.25, (100, 4)).clip(-1, 1)
    card = Card(path="model.toml", average=0.0, deviation=0.25)
    assert card.check(x) == ""
    assert "training data were 0 ± 0.25" in card.check(x * 10)
    assert "was it prepared as in training?" in card.check(x + 1)
    ranged = Card(path="model.toml", **cards.statistics(x))
    assert ranged.check(x) == "" and "lies between" in ranged.check(x * 3)
    assert ranged.check((x * 100).astype(np.int8)) == ""  # codes
    assert cards.statistics(np.zeros(3, np.int8)) == {}
