"""The worked examples: their files agree, and with TINYDEPLOY_NIGHTLY=1 each goes its whole way."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from nightly import NIGHTLY

import tinydeploy
from tinydeploy.errors import ToolError
from tinydeploy.evaluate import data_request
from tinydeploy.evaluate.request import Beside, with_usual
from tinydeploy.lab import deploy_list
from tinydeploy.lab.deploy_list import Deploy
from tinydeploy.model import card as cards
from tinydeploy.model import samples
from tinydeploy.model.readers import tflite_model
from tinydeploy.prepare import training_child

REPO = Path(__file__).resolve().parents[1]
EXAMPLES = REPO / "examples"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/Makefile"))
TORCH = "pytorch"  # trains in a notebook, in an environment of its own
MODELS = sorted(path for path in EXAMPLES.glob("*/**/*.tflite") if "recipes" not in path.parts)
ENTRIES = [entry for name in NAMES for entry in deploy_list.read(EXAMPLES / name / "tinydeploy.toml")]

nightly = pytest.mark.skipif(not NIGHTLY, reason="examples go their whole way with TINYDEPLOY_NIGHTLY=1 only")


def training_python() -> Path | None:
    try:
        return training_child.python("training the examples")
    except ToolError:
        return None


def torch_python() -> Path | None:
    found = Path(os.environ.get("TINYDEPLOY_TORCH_PYTHON", REPO / ".venv-torch" / "bin" / "python"))
    return found if found.is_file() else None


needs_tensorflow = pytest.mark.skipif(
    training_python() is None, reason="TensorFlow, which trains them, is not here: scripts/setup train"
)


def within(path: Path) -> str:
    return str(path.relative_to(EXAMPLES))


@pytest.mark.parametrize("model", MODELS, ids=within)
def test_a_card_is_of_the_model_beside_it(model: Path) -> None:
    card = cards.load(model)
    assert card is not None and card.file == model.name
    assert card.sha256 and cards.doubts(card, model.read_bytes()) == ""
    assert card.licence and card.made and card.training.sha256 and card.figure is not None
    if card.made.startswith("python "):
        assert (REPO / card.made.split()[1]).is_file()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_what_is_deployed_is_there_and_has_limits(entry: Deploy) -> None:
    graph = tflite_model.load(entry.model)
    settled = with_usual(entry.model, entry.options, "run")
    assert "min_identical" in settled and {"min_accuracy", "min_auc", "max_mae"} & {*settled}
    read = data_request.read(settled["data"], graph, Beside.of(entry.model).preparation)
    found = samples.load(read, graph)
    assert found.judge is not None and found.count >= 40


@pytest.mark.parametrize("name", NAMES)
def test_its_plans_fit_within_its_limits(name: str) -> None:
    cases = tinydeploy.check([EXAMPLES / name], plan=True)
    assert cases and all(case.passed for case in cases), cases


@pytest.mark.parametrize("name", NAMES)
def test_its_readme_has_its_command_and_stands_in_the_list(name: str) -> None:
    readme = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    assert f"make -C examples/{name}\n" in readme and "@" not in readme
    assert f"]({name}/README.md)" in (EXAMPLES / "README.md").read_text(encoding="utf-8")
    targets = (EXAMPLES / name / "Makefile").read_text() + (EXAMPLES / "common.mk").read_text()
    for folder, target in re.findall(r"make -C examples/(\w+)(?: ([a-z]+))?", readme):
        assert folder in NAMES and re.search(rf"^{target or 'all'}:", targets, re.MULTILINE)


def made(name: str, folder: Path, target: str) -> str:
    """What `make` prints of a copy of the example; it must go well."""
    for part in ("examples", "models"):
        shutil.copytree(REPO / part, folder / part, ignore=shutil.ignore_patterns("tinydeploy-out"))
    (folder / "tinydeploy").symlink_to(REPO / "tinydeploy")
    given = [f"TINYDEPLOY={sys.executable} -m tinydeploy", f"TRAIN_PYTHON={training_python()}"]
    given.append(f"TORCH_PYTHON={torch_python()}")
    done = subprocess.run(
        ["make", "-C", str(folder / "examples" / name), *target.split(), *given],
        env={**os.environ, "PYTHONPATH": str(REPO)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@nightly
@pytest.mark.parametrize("name", NAMES)
def test_one_command_goes_the_whole_way(name: str, tmp_path: Path) -> None:
    if name == TORCH and torch_python() is None:
        pytest.skip("PyTorch, which the notebook wants, is not here: scripts/setup torch")
    said = made(name, tmp_path, "all")
    assert re.search(r"\b(\d+) of \1 within all limits", said), said
    for model in EXAMPLES.glob(f"{name}/*.tflite"):  # what is kept is what the command makes
        if name == TORCH:  # it has trained
            break
        assert (tmp_path / "examples" / name / model.name).read_bytes() == model.read_bytes()


@nightly
@needs_tensorflow
@pytest.mark.train
@pytest.mark.parametrize("name", [name for name in NAMES if name != TORCH])
def test_from_nothing_it_holds_its_limits_too(name: str, tmp_path: Path) -> None:
    said = made(name, tmp_path, "train all")
    assert re.search(r"\b(\d+) of \1 within all limits", said), said
