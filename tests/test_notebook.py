"""The Python side: what a notebook needs of verbs and results, and that docs/notebook.md tells it right."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_results import made_up

import tinydeploy
from tinydeploy import verbs
from tinydeploy.errors import DataError, ToolError
from tinydeploy.evaluate.result_folder import folder
from tinydeploy.model.graph import Graph
from tinydeploy.model.readers import array_samples, tflite_model

REPO = Path(__file__).resolve().parent.parent
MODEL = REPO / "models" / "digits" / "digits.tflite"
TEST = MODEL.parent / "test.npz"


@pytest.fixture
def graph() -> Graph:
    return tflite_model.load(MODEL)


def test_the_page_for_notebooks_runs(tmp_path: Path) -> None:
    """All its Python, in one go, from the repository's root, but for what it writes."""
    blocks = re.findall(r"```python\n(.*?)```", (REPO / "docs" / "notebook.md").read_text(), re.DOTALL)
    program = "".join(blocks).replace('out="', f'out="{tmp_path}/')
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "<Result digits.tflite on stm32vldiscovery, aot: " in done.stdout


def test_the_package_is_loaded_without_what_is_slow() -> None:
    slow = "'numpy', 'rich', 'matplotlib', 'jsonschema', 'elftools', 'tflite'"
    program = (
        f"import sys, tinydeploy, tinydeploy.cli; sys.exit(str([m for m in [{slow}] if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPO, capture_output=True, text=True)
    assert done.stderr == "[]\n"


def test_verbs_are_at_the_top_even_if_they_are_modules() -> None:
    assert tinydeploy.run is verbs.run
    assert len(tinydeploy.boards()) == len(verbs.boards())
    assert tinydeploy.fit(MODEL, ["pico"]) == verbs.fit(MODEL, ["pico"])
    assert {"run", "fit", "Result"} <= set(dir(tinydeploy))
    with pytest.raises(AttributeError, match="no attribute 'fly'"):
        tinydeploy.fly  # noqa: B018


@pytest.mark.parametrize(
    ("verb", "keyword", "nearest"),
    [
        ("run", "borad", "board"),
        ("run", "sample", "samples"),
        ("build", "optimise", "optimize"),
        ("arena", "time_out", "timeout"),
        ("inspect", "Board", "board"),
        ("fit", "everygoal", "every_goal"),
        ("generate", "renode", "renode_test"),
        ("flash", "ports", "port"),
    ],
)
def test_an_unknown_keyword_is_refused(verb: str, keyword: str, nearest: str) -> None:
    with pytest.raises(TypeError, match=rf"{verb}\(\) has no keyword '{keyword}'; did you mean '{nearest}'"):
        getattr(verbs, verb)(MODEL, **{keyword: "x"})


def test_a_function_heeds_the_file_beside_the_model(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(MODEL.read_bytes())
    (tmp_path / "tinydeploy.toml").write_text('board = "mps2-an500"\noptimize = "size"\nport = "/dev/none"\n')
    found = verbs.inspect(tmp_path / "m.tflite")
    assert found.optimize == "size"
    assert verbs.inspect(tmp_path, optimize="ram").optimize == "ram"
    assert verbs.inspect(MODEL.read_bytes()).path.startswith("model-3284af99")


X, Y = np.zeros((2, 8, 8, 1), np.int8), np.zeros(2, np.int64)


@pytest.mark.parametrize("data", [{"x": X, "y": Y}, (X, Y), {"x": X.tolist(), "y": [0, 0]}])
def test_arrays_are_as_good_as_a_file(data: Any) -> None:
    found = array_samples.arrays(data, ["x"])
    assert found["x"].shape == X.shape and found["y"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("data", "inputs", "problem"),
    [
        ({"X": X}, ["x"], "unknown array 'X'"),
        ({"y": Y}, ["x"], "no array 'x'"),
        (X, ["x"], "the data are ndarray"),
        ((X, Y, Y, Y), ["x"], "the data are tuple"),
        ((X, Y), ["x0", "x1"], "2 inputs"),
        ({"x": [[1, 2], [3]]}, ["x"], "'x' is no array"),
        ({"x": np.array([None, "a"])}, ["x"], "object array"),
        ({"x": 3}, ["x"], "a int where"),
    ],
)
def test_what_is_no_data_is_refused(data: Any, inputs: list[str], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        array_samples.arrays(data, inputs)


def test_several_inputs_by_place() -> None:
    assert [*array_samples.arrays(([X, X], Y), ["x0", "x1"])] == ["x0", "x1", "y"]


@pytest.mark.parametrize(
    ("settled", "name"),
    [
        ({"data": TEST}, "digits-mps2-an386"),
        ({}, "digits-mps2-an386-random"),
        ({"data": "mine.npz"}, "digits-mps2-an386-mine"),
        ({"data": "/elsewhere/test.npz"}, "digits-mps2-an386-elsewhere_test"),
        ({"data": {"x": X}, "samples": 5}, "digits-mps2-an386-arrays_ARRAYS-5_samples"),
        ({"data": (X,), "samples": 5}, "digits-mps2-an386-arrays_ARRAYS-5_samples"),
        ({"data": TEST, "optimize": "ram"}, "digits-mps2-an386-ram"),
        ({"data": TEST, "optimize": "balanced", "link": "pipe"}, "digits-mps2-an386"),
        ({"data": TEST, "engine": "aot,tflm"}, "digits-mps2-an386-aot+tflm"),
        (
            {"data": TEST, "logits": True, "link": "uart"},
            "digits-mps2-an386-logits-uart",
        ),
        ({"data": TEST, "signature": "a b/c"}, "digits-mps2-an386-a_b_c"),
        (
            {"data": TEST, "board": "hifive1", "target": "renode", "metric": "f1"},
            "digits-hifive1-renode-f1",
        ),
    ],
)
def test_another_result_goes_to_another_folder(graph: Graph, settled: dict[str, Any], name: str) -> None:
    name = name.replace("ARRAYS", array_samples.digest({"x": X})[:8])
    assert folder(Path("out"), graph, settled, lambda _: "")[0] == Path("out", name)


def test_other_arrays_are_another_result(graph: Graph) -> None:
    places = {folder(Path(), graph, {"data": (values,)}, lambda _: "")[0] for values in (X, X + 1)}
    assert len(places) == 2


def test_what_has_a_name_in_common_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models, data and libraries of one name in different folders; words that are too long, or odd."""
    monkeypatch.chdir(tmp_path)
    content = MODEL.read_bytes()
    of = {place: tflite_model.parse(content, f"{place}/digits.tflite") for place in ("a", "b")}
    long = "x" * 60
    ways: list[tuple[Graph, dict[str, Any]]] = [
        (of["a"], {}),
        (of["b"], {}),
        (of["a"], {"data": "a/some.npz"}),
        (of["a"], {"data": "b/some.npz"}),
        (of["a"], {"engine": "tflm", "tflm_library": "a/tree"}),
        (of["a"], {"engine": "tflm", "tflm_library": "b/tree"}),
        (of["a"], {"signature": f"{long}1"}),
        (of["a"], {"signature": f"{long}2"}),
        (of["a"], {"signature": "a b"}),
        (of["a"], {"signature": "a/b"}),
    ]
    marks: dict[Path, str] = {}
    for _ in range(2):  # the second time each goes where it was
        for graph, settled in ways:
            place, mark = folder(Path("out"), graph, settled, lambda path: marks.get(path, ""))
            assert marks.setdefault(place, mark) == mark
    assert len(marks) == len(ways)
    assert sum(place.name == "digits-mps2-an386-random" for place in marks) == 1


def test_a_name_is_one_that_a_file_system_takes(tmp_path: Path, graph: Graph) -> None:
    named = tflite_model.parse(MODEL.read_bytes(), f"/m/{'ü' * 100}\n{'x' * 50}.tflite")
    settled = {"data": "é" * 80, "signature": "ö" * 80, "engine": "aot,tflm", "output": "ñ" * 80}
    place, _ = folder(tmp_path, named, settled, lambda path: "another's")
    place.mkdir()
    assert place.name.isprintable()


def test_a_result_shows_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    result = made_up()
    assert repr(result).startswith("<Result ") and len(repr(result).splitlines()) == 1
    shown = result._repr_html_()
    assert "<style" not in shown and "<script" not in shown
    assert f"{result.build.flash_bytes / 1024:,.1f} KiB" in shown
    assert "predictions" not in result.to_json()
    json.dumps(result.to_json())
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ToolError, match="needs pandas"):
        result.to_frame()


def test_the_ops_as_a_frame() -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    result = made_up()
    frame = result.to_frame()
    assert len(frame) == len(result.per_op)
    assert list(frame["op"]) == [cost.op for cost in result.per_op]
