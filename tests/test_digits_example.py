"""The digits example: from nothing to a table of all recipes on three boards that holds its budget."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from nightly import NIGHTLY

from tinydeploy.evaluate import config
from tinydeploy.prepare import training_child

REPO = Path(__file__).resolve().parents[1]
EXAMPLE = REPO / "examples" / "digits"


def test_its_budget_is_understood_and_its_command_stands_in_its_readme() -> None:
    found = config.load(EXAMPLE / "digits.keras")
    assert found.min_accuracy and found.max_class_drop and found.min_identical == 1
    assert "make -C examples/digits\n" in (EXAMPLE / "README.md").read_text(encoding="utf-8")


@pytest.mark.train
@pytest.mark.skipif(not NIGHTLY, reason="the example goes its whole way with TINYDEPLOY_NIGHTLY=1 only")
def test_one_command_goes_from_nothing_to_a_table_that_holds(tmp_path: Path) -> None:
    folder = tmp_path / "digits"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("recipes", "*.npz", "*.keras"))
    python = training_child.python("the example")
    given = [f"TINYDEPLOY={sys.executable} -m tinydeploy", f"TRAIN_PYTHON={python}"]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    done = subprocess.run(["make", "-C", folder, *given], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    told = json.loads((folder / "recipes" / "compress.json").read_text())
    assert len(told["rows"]) == 11 and len(told["runs"]) == 30 and len(told["chosen"]) == 3
    assert all(run["failure"] == "" and run["identical"] == 1 for run in told["runs"])
    assert all(any(run["held"] for run in told["runs"] if run["board"] == board) for board in told["chosen"])
