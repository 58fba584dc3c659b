"""The metrics by examples worked out by hand, and by slower definitions of the same."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinydeploy.evaluate import metrics
from tinydeploy.results import metric_table

TRUTH = np.array([0, 0, 0, 1, 1, 2])
TAKEN = np.array([0, 0, 1, 1, 2, 1])


def test_counts_by_hand() -> None:
    """Class 0: 2 of 3 right, 2 taken. Class 1: 1 of 2, 3 taken. Class 2: 0 of 1, 1 taken."""
    tally = metrics.tally(TRUTH, TAKEN, 4)
    assert tally.samples.tolist() == [3, 2, 1, 0]
    assert tally.precision == (1.0, pytest.approx(1 / 3), 0.0, None)
    assert tally.recall == (pytest.approx(2 / 3), 0.5, 0.0, None)
    assert tally.f1 == (pytest.approx(0.8), pytest.approx(0.4), 0.0, None)
    assert tally.iou == (pytest.approx(2 / 3), 0.25, 0.0, None)
    assert metrics.mean(tally.recall) == pytest.approx((2 / 3 + 1 / 2) / 3)  # balanced accuracy
    assert metrics.mean(tally.f1) == pytest.approx(0.4)
    assert metrics.confusion(TRUTH, TAKEN, 4).tolist() == [[2, 1, 0, 0], [0, 1, 1, 0], [0, 1, 0, 0], [0] * 4]
    assert metrics.mean([None, None]) is None


def test_so_many_classes_have_no_matrix() -> None:
    many = np.array([0, metrics.CONFUSION_CLASSES])
    assert metrics.confusion(many, many, metrics.CONFUSION_CLASSES + 1).size == 0
    assert metrics.tally(many, many, metrics.CONFUSION_CLASSES + 1).correct.sum() == 2


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1))
def test_a_matrix_and_a_tally_count_the_same(pairs: list[tuple[int, int]]) -> None:
    truth, taken = np.array(pairs).T
    matrix, tally = metrics.confusion(truth, taken, 5), metrics.tally(truth, taken, 5)
    assert (matrix.sum(axis=1) == tally.samples).all() and (matrix.sum(axis=0) == tally.taken).all()
    assert (matrix.diagonal() == tally.correct).all() and matrix.sum() == len(pairs)
    for precision, recall, f1 in zip(tally.precision, tally.recall, tally.f1, strict=True):
        if precision and recall:
            assert f1 == pytest.approx(2 * precision * recall / (precision + recall))


@given(
    hnp.arrays(np.int8, (7, 5), elements=st.integers(0, 3)),
    hnp.arrays(np.int64, 7, elements=st.integers(0, 4)),
)
def test_the_place_of_the_true_class(scores: np.ndarray, truth: np.ndarray) -> None:
    ranked = np.argsort(-scores.astype(int), axis=1, kind="stable")
    expected = [ranked[row].tolist().index(truth[row]) for row in range(7)]
    assert metrics.place(scores, truth).tolist() == expected
    assert ((metrics.place(scores, truth) == 0) == (scores.argmax(axis=1) == truth)).all()


@pytest.mark.parametrize(
    ("truth", "scores", "area"),
    [
        ([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], 0.75),
        ([0, 1], [1, 1], 0.5),
        ([0, 1, 1], [5, 5, 9], 0.75),
        ([1, 0], [0, 1], 0.0),
        ([1, 1], [0, 1], None),
        ([0], [0], None),
    ],
)
def test_auc_by_hand(truth: list[int], scores: list[float], area: float | None) -> None:
    assert metrics.auc(np.array(truth, bool), np.array(scores)) == area


@given(st.lists(st.tuples(st.booleans(), st.integers(-5, 5)), min_size=1, max_size=60))
def test_auc_is_the_chance_that_a_positive_scores_above_a_negative(pairs: list[tuple[bool, int]]) -> None:
    truth, scores = np.array([t for t, _ in pairs]), np.array([s for _, s in pairs])
    won = [(p > n) + (p == n) / 2 for p in scores[truth] for n in scores[~truth]]
    area = metrics.auc(truth, scores)
    assert area == (sum(won) / len(won) if won else None)
    flipped = metrics.auc(truth, -scores)
    assert area is None or flipped == pytest.approx(1 - area)


def test_labels_of_their_own_by_hand() -> None:
    truth = np.array([[1, 0, 1], [0, 0, 0]], bool)
    taken = np.array([[1, 1, 1], [0, 0, 0]], bool)
    assert metrics.subset_accuracy(truth, taken) == 0.5
    assert metrics.hamming_accuracy(truth, taken) == pytest.approx(5 / 6)


def test_errors_by_hand() -> None:
    wanted = np.array([[3], [-0.5], [2], [7]])
    values = wanted - np.array([[0.5], [-0.5], [0], [-1]])
    assert metrics.mae(values, wanted) == 0.5
    assert metrics.rmse(values, wanted) == pytest.approx(math.sqrt(0.375))
    assert metrics.r2(values, wanted) == pytest.approx(0.9486081370449679)
    assert metrics.squared_error(values, wanted).tolist() == [0.25, 0.25, 0, 1]


def test_r2_leaves_out_what_does_not_vary() -> None:
    wanted = np.array([[0.1, 1], [0.1, 2], [0.1, 3]])
    assert metrics.r2(wanted + np.array([[1, 0]]), wanted) == 1.0
    assert metrics.r2(np.full((3, 2), 2.0), wanted) == 0.0
    assert metrics.r2(wanted[:, :1], wanted[:, :1]) is None
    assert metrics.r2(wanted[:1], wanted[:1]) is None


def test_names() -> None:
    assert metric_table.words("top1") == "Accuracy (top-1)" and metric_table.words("top3") == "Top-3 accuracy"
    assert (metric_table.top_k("top12"), metric_table.top_k("top0"), metric_table.top_k("auc")) == (
        12,
        None,
        None,
    )
    assert metric_table.metric("top0") is metric_table.metric("best") is None
