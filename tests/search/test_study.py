"""What becomes of candidates: priced, left out, trained, repeated; and of a study that ends and goes on.

Keras is stood in for by nets that are written here; tests/search/test_search.py has the real one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_builder import ModelBuilder

from tinydeploy.boards import lookup
from tinydeploy.errors import DataError, ToolError, UsageError
from tinydeploy.host.interpreter import Child
from tinydeploy.model.graph import Graph
from tinydeploy.model.metric_choice import NO_WISHES, Wishes
from tinydeploy.model.readers import tflite_model
from tinydeploy.progress import silent, unsaid
from tinydeploy.report import search_page
from tinydeploy.search import candidates, searching, study, study_data
from tinydeploy.search.candidates import FLOAT, MODEL, Bench, Goal
from tinydeploy.search.keras_space import CandidateError
from tinydeploy.search.study import StudyFolder
from tinydeploy.search.study_data import StudyData

INPUTS, CLASSES = 6, 3


def net(units: int, kind: str = "RELU") -> bytes:
    """A dense net of int8 with random weights."""
    random = np.random.default_rng(units)
    builder = ModelBuilder()
    x = last = builder.tensor((1, INPUTS), scale=1 / 64)
    for width in (units, CLASSES):
        depth = INPUTS if last == x else units
        weights = builder.tensor((width, depth), scale=0.01, data=random.integers(-90, 90, (width, depth)))
        y = builder.tensor((1, width), scale=0.05)
        builder.op("FULLY_CONNECTED", [last, weights, -1], [y], fused_activation_function=kind)
        last = y
    return builder.build([x], [last])


class MadeSpace:
    """In place of a KerasSpace: candidates of so many units; some cannot be built, or run."""

    path = Path("made.py")
    has = ("build",)

    def __init__(self, end_at: int | None = None) -> None:
        self.trained: list[int] = []
        self._end_at = end_at
        self._units = 0

    def build(self, choices: Any, number: int, seed: int, data: Path | None, to: Path) -> dict[str, Any]:
        self._units = choices.suggest_int("units", 2, 40, step=2, log=False)
        kind = choices.suggest_categorical("kind", ["good", "good", "broken", "refused"])
        if kind == "broken":
            raise CandidateError("ValueError: no such layer (space.py, line 3)")
        if kind == "refused":
            builder = ModelBuilder()
            x, y = builder.tensor((1, 4), "float32"), builder.tensor((1, 4), "float32")
            builder.op("EXP", [x], [y])
            to.write_bytes(builder.build([x], [y]))
        else:
            to.write_bytes(net(self._units))
        return {"parameters": self._units * (INPUTS + CLASSES)}

    def train(self, epochs: int, seed: int, data: Path, to: Path) -> dict[str, Any]:
        if len(self.trained) == self._end_at:
            (to / MODEL).write_bytes(b"half")
            raise KeyboardInterrupt
        self.trained.append(self._units)
        (to / MODEL).write_bytes(net(self._units))
        (to / FLOAT).write_bytes(b"keras")
        return {"epochs": epochs}


@pytest.fixture(scope="module")
def reference() -> Iterator[Child]:
    child = Child("tinydeploy.host.reference")
    yield child
    child.close()


@pytest.fixture(scope="module")
def data() -> StudyData:
    return study_data.split(graph(), made_data(), None, NO_WISHES, 0)


def graph() -> Graph:
    return tflite_model.parse(net(4), "net")


def made_data(count: int = 60) -> dict[str, Any]:
    random = np.random.default_rng(0)
    return {"x": random.normal(0, 0.5, (count, INPUTS)).astype(np.float32), "y": np.arange(count) % CLASSES}


def goal(**budget: float) -> Goal:
    return Goal(lookup.board("mps2-an386"), None, ("instructions", "arena"), budget, NO_WISHES, 3, 7)


Runner = Callable[..., StudyFolder]


@pytest.fixture
def run(tmp_path: Path, data: StudyData, reference: Child) -> Runner:
    def go(space: MadeSpace, count: int, aim: Goal | None = None, name: str = "study") -> StudyFolder:
        aim = aim or goal()
        folder = StudyFolder(tmp_path / name, {"space": "a", "options": str(aim.budget)}, 2, True)
        bench = Bench(space, data, tmp_path / "training.npz", aim, reference)  # type: ignore[arg-type]
        folder.run(bench, count, silent, unsaid)
        return folder

    return go


def test_each_candidate_has_one_end(run: Runner) -> None:
    space = MadeSpace()
    folder = run(space, 14)
    ended = folder.candidates()
    states = {one.tried.state for one in ended}
    assert len(ended) == 14 and states == {"trained", "failed", "refused"}
    for one in ended:
        tried, place = one.tried, folder.place(one.number)
        assert place.is_dir() == (tried.state == "trained" and tried.same_as is None)
        if tried.state == "trained" and tried.same_as is None:
            assert {path.name for path in place.iterdir()} == {MODEL, FLOAT, "candidate.json"}
            assert (
                tried.price and tried.price["arena"] > 0 and tried.metric == "accuracy"
            ) or tried.metric == "top1"
        elif tried.state == "refused":
            assert "EXP" in tried.why
        elif tried.state == "failed":
            assert "space.py, line 3" in tried.why
    once = [
        one.params["units"] for one in ended if one.tried.state == "trained" and one.tried.same_as is None
    ]
    assert sorted(once) == sorted(space.trained)  # choices that come again are not trained again


def test_what_is_over_a_limit_is_not_trained(run: Runner) -> None:
    space = MadeSpace()
    folder = run(space, 12, goal(max_instructions=600.0))
    over = [one for one in folder.candidates() if one.tried.state == "over"]
    assert over and all("max_instructions" in one.tried.why for one in over)
    assert max(space.trained, default=0) < min(one.params["units"] for one in over)


def test_nothing_fits_a_limit_of_nothing(run: Runner) -> None:
    space = MadeSpace()
    folder = run(space, 8, goal(max_arena=1.0))
    assert space.trained == [] and folder.front() == []


def test_no_other_beats_the_front(run: Runner) -> None:
    folder = run(MadeSpace(), 10)
    trained = [one.tried for one in folder.candidates() if one.tried.state == "trained"]
    for best in folder.front():
        for other in trained:
            assert (
                best.tried.price
                and other.price
                and best.tried.figure is not None
                and other.figure is not None
            )
            better = (
                other.figure > best.tried.figure
                and other.price["instructions"] < best.tried.price["instructions"]
                and other.price["arena"] < best.tried.price["arena"]
            )
            assert not better


def test_an_interrupted_study_goes_on_and_does_nothing_twice(run: Runner) -> None:
    whole = run(MadeSpace(), 8, name="whole").candidates()
    first, second = MadeSpace(end_at=2), MadeSpace()
    with pytest.raises(KeyboardInterrupt):
        run(first, 8)
    folder = run(second, 8)
    ended = folder.candidates()
    assert [one.params for one in ended] == [one.params for one in whole]  # as if nothing had been
    assert [one.tried.figure for one in ended] == [one.tried.figure for one in whole]
    assert not {*first.trained} & {*second.trained}
    assert not list((folder.folder / "candidates").glob(".*"))
    third = MadeSpace()
    assert len(run(third, 8).candidates()) == 8 and third.trained == []
    assert len(run(third, 10).candidates()) == 10  # more may be asked for


def test_a_candidate_that_was_trained_but_not_told_of_is_not_trained_again(
    run: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(*_: object) -> None:
        raise KeyboardInterrupt

    first = MadeSpace()
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(StudyFolder, "_tell", ended)
        while not first.trained:
            run(first, 20)
    second = MadeSpace()
    run(second, 3)
    assert first.trained[0] not in second.trained


def test_a_space_without_other_candidates_ends(run: Runner, tmp_path: Path) -> None:
    class Single(MadeSpace):
        def build(self, choices: Any, *rest: Any) -> dict[str, Any]:
            self._units = choices.suggest_int("units", 4, 4, step=1, log=False)
            rest[-1].write_bytes(net(4))
            return {"parameters": 1}

    space = Single()
    folder = run(space, 100)
    assert space.trained == [4] and len(folder.candidates()) == 21
    assert [one.number for one in folder.front()] == [0]


def test_a_figure_that_is_no_number_fails(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def undefined(*_: object) -> str:
        return "the metric is undefined"

    monkeypatch.setattr(candidates.accuracy, "accuracy", undefined)
    ended = run(MadeSpace(), 6).candidates()
    assert "the metric is undefined" in {one.tried.why for one in ended}
    assert not any(one.tried.state == "trained" for one in ended)


def test_another_study_in_the_folder_is_refused(run: Runner, tmp_path: Path) -> None:
    run(MadeSpace(), 2)
    with pytest.raises(UsageError, match="a study of another options"):
        run(MadeSpace(), 2, goal(max_arena=9000.0))
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / study.DATABASE).write_bytes(b"this is no database, but rather long" * 100)
    with pytest.raises(UsageError, match="is no study"):
        run(MadeSpace(), 2, name="junk")
    (tmp_path / "file").write_text("a file")
    with pytest.raises(UsageError, match="cannot write"):
        run(MadeSpace(), 2, name="file")


def test_the_page_and_the_table_name_every_candidate(run: Runner) -> None:
    folder = run(MadeSpace(), 8)
    measured = {
        one.number: {"command": "tinydeploy run", "measured": {"instructions": 5}} for one in folder.front()
    }
    told = searching._told(Path(__file__), goal(), "top1", folder.candidates(), folder.front(), measured)
    files = search_page.files(told)
    assert len(files[search_page.CSV].splitlines()) == 9
    assert json.loads(files[search_page.JSON])["counts"]
    page = files[search_page.PAGE]
    assert '<figure class="wide"' not in page, "a phone hides what is for wide pages alone"
    assert (
        page.count("<svg") >= 2 and "tinydeploy run" in page and "http" not in page.split("</style>")[1][:200]
    )


def test_three_parts_share_no_sample_and_no_group() -> None:
    given = made_data(100)
    given["x"][:, 0] = np.arange(100)
    parts = study_data.split(graph(), given, None, NO_WISHES, 0)
    seen = [set(part[0][:, 0]) for part in (parts.train, parts.validation, parts.test)]
    assert [len(part) for part in seen] == [64, 16, 20]
    assert not seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2]
    given["group"] = np.array([f"person {i // 10}" for i in range(100)])
    parts = study_data.split(graph(), given, None, NO_WISHES, 0)
    groups = [{int(x) // 10 for x in part[0][:, 0]} for part in (parts.train, parts.validation, parts.test)]
    assert all(groups) and not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"y": None}, "no labels"),
        ({"x": np.full((60, INPUTS), np.nan, np.float32)}, "NaN"),
        ({"x": np.zeros((60, 5), np.float32)}, "shape"),
        ({"y": np.arange(60)}, "classes|class"),
    ],
)
def test_data_that_cannot_be_used_are_refused(change: dict[str, Any], says: str) -> None:
    given = {name: values for name, values in (made_data() | change).items() if values is not None}
    with pytest.raises(DataError, match=says):
        study_data.split(graph(), given, None, NO_WISHES, 0)


def test_few_samples_are_too_few() -> None:
    with pytest.raises(DataError, match="too few"):
        study_data.split(graph(), made_data(9), None, NO_WISHES, 0)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"minimize": "beauty"}, "cannot be minimised"),
        ({"minimize": "arena,arena"}, "named twice"),
        ({"trials": 0}, "above zero"),
        ({"minimize": "ms", "board": "mps2-an386"}, "no estimate of time"),
        ({"max_arena": "much"}, "max_arena"),
        ({"board": "toaster"}, "toaster"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(options: dict[str, Any], says: str, tmp_path: Path) -> None:
    space = tmp_path / "space.py"
    space.write_text("def build(trial): ...\n")
    with pytest.raises(UsageError, match=says):
        searching.search(space, made_data(), out=tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_what_is_missing_is_named_with_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = tmp_path / "space.py"
    space.write_text("def build(trial): ...\n")
    (tmp_path / "space.txt").write_text("def build(trial): ...\n")
    monkeypatch.setenv("TINYDEPLOY_TRAIN_PYTHON", "/no/such/python")
    with pytest.raises(ToolError, match="names no file"):
        searching.search(space, made_data(), out=tmp_path / "out")
    with pytest.raises(UsageError, match="no such file"):
        searching.search(tmp_path / "none.py", made_data(), out=tmp_path / "out")
    with pytest.raises(UsageError, match="no Python file"):
        searching.search(tmp_path / "space.txt", made_data(), out=tmp_path / "out")
    monkeypatch.setattr(study.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match="optuna") as error:
        searching.search(space, made_data(), out=tmp_path / "out")
    assert error.value.hint == "pip install 'tinydeploy[search]'"


def test_a_metric_that_goes_down_is_minimised(tmp_path: Path) -> None:
    assert study.is_higher_better("top1") and not study.is_higher_better("mae")
    folder = StudyFolder(tmp_path / "study", {"space": "a"}, 1, False)
    assert [direction.name for direction in folder.study.directions] == ["MINIMIZE", "MINIMIZE"]
    assert Wishes("mae").metric == "mae"
