"""A closer look at answers: groups, calibration error, flips beside a float model; and pages of it."""

from __future__ import annotations

import base64
import io
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import float_nets
import numpy as np
import pytest
from PIL import Image

from tinydeploy import verbs
from tinydeploy.errors import DataError, ModelError, UsageError
from tinydeploy.evaluate import breakdown, shown_samples
from tinydeploy.evaluate.breakdown import FloatAnswers
from tinydeploy.evaluate.drawing import drawing
from tinydeploy.model import samples as sample_files
from tinydeploy.model.graph import DType, Tensor
from tinydeploy.model.metric_choice import FLAGS, SCORE, VALUES, YES_OR_NO, Judge, Task
from tinydeploy.model.outputs import Kind, Output
from tinydeploy.model.readers import tflite_model
from tinydeploy.model.samples import Samples
from tinydeploy.report import closer


@pytest.fixture(scope="module")
def net() -> bytes:
    return float_nets.classifier()


def four(net: bytes) -> tuple[Samples, FloatAnswers]:
    """Four samples of the classes 0 to 3 in two groups, and a float model that is right on three."""
    graph = tflite_model.parse(net, "net", may_be_float=True)
    x, y = float_nets.images(4), np.arange(4)
    samples = sample_files.load((x, y, ["a", "a", "b", "b"]), graph)
    scores = np.full((4, 1, 4), 0.1, np.float32)
    scores[[0, 1, 2, 3], 0, [0, 1, 2, 0]] = 0.7
    assert samples.judge is not None
    return samples, FloatAnswers("net", "", "by hand", graph, samples.judge, [scores])


def test_flips_are_told_apart_by_who_is_right(net: bytes) -> None:
    samples, floats = four(net)
    device = np.full((4, 1, 4), 0.1, np.float32)
    device[[0, 1, 2, 3], 0, [0, 2, 1, 3]] = 0.7  # two are lost, and one is won
    found = breakdown.look(floats.graph, samples, [device], floats)
    assert found is not None and found.floats is not None
    assert (found.flip_count, found.right_before, found.right_after) == (3, 2, 1)
    assert [(flip.sample, flip.truth, flip.float_class, flip.device_class) for flip in found.flips] == [
        (1, "1", "1", "2"),
        (2, "2", "2", "1"),
        (3, "3", "0", "3"),
    ]
    for flip in found.flips:
        assert flip.drawing is not None
        assert (flip.drawing.kind, flip.drawing.width, flip.drawing.channels) == ("picture", 12, 1)
    assert [(one.group, one.value, one.float_value) for one in found.groups] == [
        ("a", 0.5, 1.0),
        ("b", 0.5, 0.5),
    ]
    assert found.floats.recalls == (1.0, 1.0, 1.0, 0.0)
    assert breakdown.look(floats.graph, replace(samples, judge=None), [device], None) is None


def test_the_calibration_error_is_the_gap_to_the_confidence(net: bytes) -> None:
    samples, floats = four(net)
    assert samples.judge is not None
    found = breakdown.calibration(samples.judge, floats.outputs)
    assert found is not None  # 3 of 4 are right where the model says 0.7
    assert found.error == pytest.approx(0.05, abs=1e-6)
    assert [one.samples for one in found.curve] == [0, 0, 0, 0, 0, 0, 0, 4, 0, 0] or found.curve[
        6
    ].samples == 4


@pytest.mark.parametrize(
    ("shape", "kind", "width", "channels"),
    [
        ((8, 6, 3), "picture", 6, 3),
        ((1, 8, 6, 1), "picture", 6, 1),
        ((8, 6), "series", 8, 6),
        ((28, 28), "picture", 28, 1),
        ((100, 6), "series", 100, 6),
        ((1, 100, 6), "series", 100, 6),
        ((300, 1), "series", 128, 1),
        ((96, 40), "picture", 20, 1),
        ((130, 65, 1), "picture", 22, 1),
        ((4,), "features", 4, 1),
        ((640,), "series", 128, 1),
    ],
)
def test_what_a_sample_looks_like(shape: tuple[int, ...], kind: str, width: int, channels: int) -> None:
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape) - 3
    found = drawing(values)
    assert found is not None
    assert (found.kind, found.width, found.channels) == (kind, width, channels)
    assert found.low == -3
    levels = np.frombuffer(base64.b64decode(found.levels), np.uint8)
    assert levels.min() == 0 and levels.max() == 255 and levels.size % (width * channels) == 0
    root = ElementTree.fromstring(str(closer.picture(7, found)))
    if kind != "picture":
        assert len(root) == (channels if kind == "series" else width)
        return
    made = Image.open(io.BytesIO(base64.b64decode(root.attrib["src"].partition(",")[2])))
    assert made.size == (width, levels.size // width // channels)
    assert np.array_equal(np.asarray(made).reshape(-1), levels)


def test_what_cannot_be_drawn_and_what_is_all_the_same() -> None:
    assert drawing(np.zeros((2, 3, 4, 5))) is None
    assert drawing(np.zeros((1,))) is None
    assert str(closer.picture(3, None)) == ""
    for values in (np.full((4,), 2.0), np.full((8, 8), np.nan)):
        found = drawing(values)
        assert found is not None and found.low == found.high
        ElementTree.fromstring(str(closer.picture(3, found)))


def test_the_worst_and_the_least_sure(net: bytes) -> None:
    samples, floats = four(net)
    device = np.full((4, 1, 4), 0.1, np.float32)
    device[[0, 1, 2, 3], 0, [0, 2, 1, 3]] = 0.7
    device[1, 0, 2] = 0.9  # more of it than of sample 2, which is wrong as well
    device[3, 0, 0] = 0.69
    found = breakdown.look(floats.graph, samples, [device], None)
    assert found is not None
    assert [(one.sample, one.truth, one.said) for one in found.worst or ()] == [
        (1, "1", "2 (90 %)"),
        (2, "2", "1 (70 %)"),
    ]
    assert [(one.sample, one.said) for one in found.unsure or ()] == [(3, "3 (70 %)"), (0, "0 (70 %)")]


def judge(kind: Kind, task: Task, truth: list[list[float]], labels: int = 1, **more: Any) -> Judge:
    shape = (1, labels)
    output = Output(0, Tensor(0, "y", shape, DType.FLOAT32), kind, 1, labels, max(labels, 2))
    exact = np.array(truth, np.float64 if task is VALUES else np.int64)
    return Judge(output, task, task.metrics[0], exact, ("no", "yes", "maybe"), "", "", **more)


@pytest.mark.parametrize(
    ("judging", "answers", "worst", "unsure"),
    [
        (
            judge(Kind.LOGISTIC, YES_OR_NO, [[1], [0], [1]]),
            [[0.1], [0.6], [0.9]],
            [(0, "yes", "no (0.1)"), (1, "no", "yes (0.6)")],
            [2],
        ),
        (
            judge(Kind.RAW, SCORE, [[1], [0], [0]]),
            [[-3.0], [5.0], [1.0]],
            [(0, "yes", "-3"), (1, "no", "5")],
            [],
        ),
        (
            judge(Kind.RAW, VALUES, [[1.0, 2.0], [3.0, 4.0]], 2),
            [[1.0, 2.0], [3.0, 4.5]],
            [(1, "3, 4", "3, 4.5")],
            [],
        ),
        (
            judge(Kind.LOGISTIC, FLAGS, [[1, 0, 0], [0, 0, 1]], 3),
            [[0.9, 0.1, 0.1], [0.8, 0.7, 0.4]],
            [(1, "maybe", "no, yes")],
            [0],
        ),
    ],
)
def test_the_worst_of_every_task(
    judging: Judge,
    answers: list[list[float]],
    worst: list[tuple[int, str, str]],
    unsure: list[int],
    net: bytes,
) -> None:
    graph = tflite_model.parse(net, "net", may_be_float=True)
    inputs = (float_nets.images(len(answers)),)
    samples = Samples(inputs, judging, "", given=inputs)
    found = shown_samples.shown(judging, graph, samples, [np.array(answers, np.float32)[:, None]])
    assert [(one.sample, one.truth, one.said) for one in found[0]] == worst
    assert [one.sample for one in found[1]] == unsure
    nothing = np.full((len(answers), 1, len(answers[0])), np.nan, np.float32)
    assert shown_samples.shown(judging, graph, samples, [nothing]) == ((), ())


def test_a_run_beside_the_float_model(tmp_path: Path) -> None:
    floats = float_nets.classifier(unequal=True)  # which loses by quantisation
    (tmp_path / "net-float.tflite").write_bytes(floats)
    x, y = float_nets.labelled(floats, 120)
    made = verbs.quantize(tmp_path / "net-float.tflite", (x, y), out=tmp_path / "net")
    data = (x[:40], y[:40], np.array(["left", "right"])[np.arange(40) % 2])
    beside = {"float_model": tmp_path / "net-float.tflite", "out": tmp_path / "result"}
    result, folder = verbs.run(made.path, data=data, **beside)  # type: ignore[arg-type]
    assert result.closer is not None and result.closer.floats is not None and result.accuracy is not None
    assert result.closer.floats.value == result.accuracy.float_value == 1.0
    lost = result.closer.right_before
    assert lost > 0 and result.accuracy.value == pytest.approx(1 - lost / 40)
    page = (folder / "report.html").read_text()
    ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>"))
    assert page.count("float says") == min(lost, 12) and "Reliability" in page and "left" in page
    for wrong, words in {
        "data": "needs labels|none are given",
        "codes": "the float model cannot take these data",
        "model": "is quantised already",
    }.items():
        given = {"data": None if wrong == "data" else data}
        if wrong == "codes":
            given = {"data": ((x * 127).astype(np.int8), y)}
        named = made.path if wrong == "model" else tmp_path / "net-float.tflite"
        with pytest.raises((UsageError, DataError, ModelError), match=words):
            verbs.run(made.path, **given, **{**beside, "float_model": named})  # type: ignore[arg-type]
