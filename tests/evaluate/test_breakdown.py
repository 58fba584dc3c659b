"""A closer look at answers: groups, calibration error, flips beside a float model; and pages of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import float_nets
import numpy as np
import pytest

from tinydeploy import verbs
from tinydeploy.errors import DataError, ModelError, UsageError
from tinydeploy.evaluate import breakdown
from tinydeploy.evaluate.breakdown import FloatAnswers
from tinydeploy.model import samples as sample_files
from tinydeploy.model.readers import tflite_model
from tinydeploy.model.samples import Samples
from tinydeploy.report import closer
from tinydeploy.results.closer_look import Flip


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
    assert {(flip.width, flip.channels, len(flip.pixels)) for flip in found.flips} == {(12, 1, 144)}
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


def test_pictures_are_runs_of_one_colour() -> None:
    drawn = str(closer.picture(Flip(3, "a", "b", "c", width=3, pixels=(0, 0, 255, 7, 7, 7))))
    root = ElementTree.fromstring(drawn)
    shapes = [(one.get("x"), one.get("y"), one.get("width"), one.get("fill")) for one in root]
    assert shapes == [("0", "0", "2", "#000000"), ("2", "0", "1", "#ffffff"), ("0", "1", "3", "#070707")]
    assert str(closer.picture(Flip(3, "a", "b", "c"))) == ""


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
