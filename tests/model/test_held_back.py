"""What is held back from training: nobody is in two parts, and every class has its share."""

from __future__ import annotations

import numpy as np
import pytest
from model_builder import ModelBuilder

from tinydeploy.model import samples as sample_files
from tinydeploy.model.held_back import held_back
from tinydeploy.model.readers import tflite_model
from tinydeploy.model.samples import Samples
from tinydeploy.prepare import lesson_data


def samples(groups: int) -> Samples:
    """100 samples of four classes, ten in a row of one group."""
    builder = ModelBuilder()
    x, y = builder.tensor((1, 4), "float32", name="x"), builder.tensor((1, 4), "float32", name="y")
    builder.op("SOFTMAX", [x], [y], beta=1.0)
    graph = tflite_model.parse(builder.build([x], [y]), "model", may_be_float=True)
    given = {"x": np.random.default_rng(0).random((100, 4), np.float32), "y": np.arange(100) % 4}
    if groups:
        given["group"] = np.array([f"person {i // 10 % groups}" for i in range(100)])
    return sample_files.load(given, graph)


@pytest.mark.parametrize("share", [0.1, 0.2])
def test_whole_groups(share: float) -> None:
    found = samples(10)
    rows = held_back(found, np.arange(100), share, seed=3)
    assert found.groups is not None and len(rows) == 100 * share
    rest = np.setdiff1d(np.arange(100), rows)
    assert not set(found.groups[rows]) & set(found.groups[rest])


@pytest.mark.parametrize("groups", [0, 2])
def test_else_every_class_has_its_share(groups: int) -> None:
    rows = held_back(samples(groups), np.arange(100), 0.2)
    assert np.bincount(rows % 4).tolist() == [5, 5, 5, 5] and (np.diff(rows) > 0).all()


def test_the_best_epoch_is_chosen_by_others_than_are_trained_with() -> None:
    found = samples(10)
    arrays = lesson_data.of(found).arrays
    assert found.groups is not None and len(arrays["rows"]) + len(arrays["held"]) == 100
    assert not set(found.groups[arrays["rows"]]) & set(found.groups[arrays["held"]])
