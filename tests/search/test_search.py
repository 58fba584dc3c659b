"""The verb with Keras itself: from a space to a front on the emulator; killed, begun again; bad spaces."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tinydeploy.errors import ToolError, UsageError
from tinydeploy.prepare import training_child
from tinydeploy.search import searching

REPO = Path(__file__).parents[2]
DATA = REPO / "models" / "digits" / "test.npz"
SPACE = REPO / "docs" / "search_space.py"


pytestmark = pytest.mark.train


def begun(out: Path, trials: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tinydeploy", "search", str(SPACE), "--data", str(DATA)]
    command += ["-o", str(out), "--trials", str(trials), "--epochs", "2"]
    return subprocess.Popen(command, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_search_that_was_killed_goes_on_to_a_front_on_the_target(tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = begun(out, 3)
    while process.poll() is None and not (out / "candidates" / "0000" / "candidate.json").is_file():
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = (out / "candidates" / "0000" / "model.tflite").read_bytes()
    assert not (out / "search.json").exists()

    process = begun(out, 3)
    told, said = process.communicate()
    assert process.returncode == 0, said.decode()
    shown = told.decode().partition("\nCandidates: ")[0]  # behind it come paths, whole
    assert "Instructions" in shown and max(map(len, shown.splitlines())) <= 80
    assert (out / "candidates" / "0000" / "model.tflite").read_bytes() == before
    found = json.loads((out / "search.json").read_text())
    assert len(found["candidates"]) == 3
    front = [row for row in found["candidates"] if row["front"]]
    assert front
    for row in front:
        folder = out / "front" / f"{row['number']:04}"
        assert {path.name for path in folder.iterdir()} == {
            "model.keras",
            "model.tflite",
            "model.toml",
            "run",
        }
        assert (folder / "run" / "result.json").is_file()
        measured = row["measured"]
        assert measured["arena"] == row["price"]["arena"]
        assert measured["instructions"] == pytest.approx(row["price"]["instructions"], rel=0.05)
        assert "model.tflite" in row["command"]
    with (out / "search.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import no_such_module\n", "no_such_module.*line 1"),
        ("def build(trial)\n", "SyntaxError"),
        ("x = 1\n", "no function build"),
        ("def build(trial):\n    return 3\n", "gives int, not a Keras model"),
        ("def build(trial):\n    raise ValueError('too deep')\n", "too deep.*line 2"),
        ("def build(trial):\n    trial.suggest_int('n', 5, 2)\n", "builds no candidate"),
        (
            "import keras\ndef build(trial):\n    x = keras.Input((4,))\n"
            "    return keras.Model(x, keras.layers.Dense(2)(x))\n",
            "no data",
        ),
        (
            "import keras\ndef load():\n    return 1\ndef build(trial):\n    x = keras.Input((4,))\n"
            "    return keras.Model(x, keras.layers.Dense(2)(x))\n",
            r"load\(\) must give",
        ),
    ],
    ids=["import", "syntax", "no build", "no model", "raises", "range", "no data", "load"],
)
def test_a_space_that_cannot_be_used_says_why(text: str, says: str, tmp_path: Path) -> None:
    space = tmp_path / "space.py"
    space.write_text(text)
    with pytest.raises(UsageError, match=says):
        searching.search(space, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_users_own_load_and_training_are_used_and_its_weights_may_be_no_numbers(tmp_path: Path) -> None:
    space = tmp_path / "space.py"
    space.write_text(
        "import keras, numpy as np\n"
        "def load():\n"
        "    random = np.random.default_rng(0)\n"
        "    x = random.normal(size=(120, 4)).astype('float32')\n"
        "    return x, (x[:, 0] > 0).astype('int64')\n"
        "def build(trial):\n"
        "    print('chatter on stdout')\n"
        "    x = keras.Input((4,))\n"
        "    y = keras.layers.Dense(trial.suggest_categorical('units', [3, 5]), 'relu')(x)\n"
        "    return keras.Model(x, keras.layers.Dense(2, 'softmax')(y))\n"
        "def train(model, data, epochs):\n"
        "    if model.layers[1].units == 5:\n"
        "        model.set_weights([w * np.nan for w in model.get_weights()])\n"
        "        return\n"
        "    w = model.get_weights()\n"
        "    model.set_weights([np.ones_like(v) for v in w])\n"
    )
    found = searching.search(space, out=tmp_path / "out", trials=4, epochs=1)
    rows = [row for row in found.told["candidates"] if row["same_as"] is None]
    states = {row["params"]["units"]: row["state"] for row in rows}
    assert states[3] == "trained"
    if 5 in states:
        assert states[5] == "failed"
    assert found.failures == []


def test_a_python_without_tensorflow_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {os.path.realpath(sys.executable)} -S -I "$@"\n')
    bare.chmod(0o755)
    monkeypatch.setenv(training_child.VARIABLE, str(bare))
    with pytest.raises(ToolError, match="has no TensorFlow"):
        searching.search(SPACE, DATA, out=tmp_path / "out")
