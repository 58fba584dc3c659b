import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinydeploy import measure
from tinydeploy.graph import DType, Quantization, Tensor

SCORES = Tensor(0, "scores", (1, 3), DType.INT8, Quantization((0.5,), (-4,)))


@given(st.lists(st.integers(0, 1 << 40), min_size=1, max_size=200))
def test_spread_holds_counts_that_were_seen(counts: list[int]) -> None:
    spread = measure.spread(counts)
    assert {spread.median, spread.p95, spread.p99} <= set(counts)
    assert spread.min == min(counts) <= spread.median <= spread.p95 <= spread.p99 <= spread.max == max(counts)
    assert spread.runs == len(counts)


def test_top1_confusion_and_reference() -> None:
    outputs = np.array([[[9, 1, 1]], [[0, 5, 5]], [[1, 2, 3]], [[7, 0, 0]]], np.int8)
    reference = np.array([[[9, 1, 1]], [[0, 5, 6]], [[1, 2, 3]], [[0, 0, 7]]], np.int8)
    labels = np.array([0, 1, 2, 2])
    found = measure.accuracy(outputs, labels, SCORES, ["a", "b", "c"], reference, classes=3)
    assert (found.metric, found.value, found.reference, found.samples) == ("top1", 0.75, 0.75, 4)
    assert found.confusion == ((1, 0, 0), (0, 1, 0), (1, 0, 1))
    assert [(row.label, row.samples, row.correct) for row in found.per_class] == [
        ("a", 1, 1),
        ("b", 1, 1),
        ("c", 2, 1),
    ]


def test_an_output_of_one_element_is_the_class() -> None:
    outputs, reference = np.array([[2], [0], [1]], np.int32), np.array([[2], [0], [0]], np.int32)
    number = Tensor(0, "class", (1,), DType.INT32)
    found = measure.accuracy(outputs, np.array([2, 0, 0]), number, [], reference, classes=3)
    assert (found.value, found.reference) == (pytest.approx(2 / 3), 1.0)
    assert found.confusion == ((1, 1, 0), (0, 0, 0), (0, 0, 1))
    agreement = measure.parity("reference", [outputs], [reference], classifier=True).top1_agreement
    assert agreement == pytest.approx(2 / 3)


def test_labels_of_the_wrong_number_give_way_to_indices() -> None:
    outputs = np.zeros((1, 1, 3), np.int8)
    found = measure.accuracy(outputs, np.array([0]), SCORES, ["only one"], None, classes=3)
    assert [row.label for row in found.per_class] == ["0", "1", "2"]
    assert found.reference is None


def test_regression_is_in_real_units() -> None:
    outputs = np.array([[[-4, -2, 0]]], np.int8)  # 0, 1, 2
    labels = np.array([[0.0, 2.0, 0.0]], np.float32)
    found = measure.accuracy(outputs, labels, SCORES, [], outputs, classes=3)
    assert found.metric == "mae"
    assert found.value == pytest.approx(1.0)
    assert found.reference == pytest.approx(1.0)
    assert found.also["mse"] == pytest.approx(5 / 3)


@given(
    hnp.arrays(np.int8, (5, 1, 4)).flatmap(
        lambda array: st.tuples(st.just(array), hnp.arrays(np.int8, array.shape))
    )
)
def test_parity_counts_every_output_once(pair: tuple[np.ndarray, np.ndarray]) -> None:
    ours, theirs = pair
    found = measure.parity("reference", [ours], [theirs], classifier=True)
    assert found.identical + found.off_by_one + found.worse == found.outputs == 20
    assert found.identical == int((ours == theirs).sum())
    assert found.top1_agreement is not None


def test_float_outputs_are_compared_in_steps_of_float32() -> None:
    ours = np.array([[0.0, 1.0, 1.0, -1.0]], np.float32)
    theirs = np.array([[-0.0, np.nextafter(np.float32(1), np.float32(2)), 2.0, -1.0]], np.float32)
    found = measure.parity("reference", [ours], [theirs], classifier=False)
    assert (found.identical, found.off_by_one, found.worse) == (2, 1, 1)
    assert found.top1_agreement is None
