import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinydeploy.evaluate import execution
from tinydeploy.model.graph import DType, Tensor
from tinydeploy.model.outputs import Kind, Output

SCORES = Output(0, Tensor(0, "scores", (1, 4), DType.INT8), Kind.SOFTMAX, 1, 4, 4)


@given(st.lists(st.integers(0, 1 << 40), min_size=1, max_size=200))
def test_spread_holds_counts_that_were_seen(counts: list[int]) -> None:
    spread = execution.spread(counts)
    assert {spread.median, spread.p95, spread.p99} <= set(counts)
    assert spread.min == min(counts) <= spread.median <= spread.p95 <= spread.p99 <= spread.max == max(counts)
    assert spread.runs == len(counts)


def test_the_class_of_an_output_of_one_element_is_its_value() -> None:
    ours, theirs = np.array([[2], [0], [1]], np.int32), np.array([[2], [0], [0]], np.int32)
    number = Output(0, Tensor(0, "class", (1,), DType.INT32), Kind.INDEX, 0, 1, 3)
    assert execution.parity("reference", [ours], [theirs], number).top1_agreement == pytest.approx(2 / 3)


def test_agreement_is_that_of_the_classifying_output_at_each_place() -> None:
    other = np.zeros((1, 4), np.int8)
    ours = np.array([[[[3, 1]], [[0, 9]]]], np.int8)  # [1, 2, 1, 2]: two places, two classes
    theirs = np.array([[[[3, 1]], [[9, 0]]]], np.int8)
    pixels = Output(1, Tensor(0, "pixels", (2, 1, 2), DType.INT8), Kind.SOFTMAX, 2, 2, 2)
    found = execution.parity("reference", [other, ours], [other, theirs], pixels)
    assert found.top1_agreement == 0.5 and found.outputs == 8


@given(
    hnp.arrays(np.int8, (5, 1, 4)).flatmap(
        lambda array: st.tuples(st.just(array), hnp.arrays(np.int8, array.shape))
    )
)
def test_parity_counts_every_output_once(pair: tuple[np.ndarray, np.ndarray]) -> None:
    ours, theirs = pair
    found = execution.parity("reference", [ours], [theirs], SCORES)
    assert found.identical + found.off_by_one + found.worse == found.outputs == 20
    assert found.identical == int((ours == theirs).sum())
    assert found.top1_agreement is not None


def test_float_outputs_are_compared_in_steps_of_float32() -> None:
    ours = np.array([[0.0, 1.0, 1.0, -1.0]], np.float32)
    theirs = np.array([[-0.0, np.nextafter(np.float32(1), np.float32(2)), 2.0, -1.0]], np.float32)
    found = execution.parity("reference", [ours], [theirs])
    assert (found.identical, found.off_by_one, found.worse) == (2, 1, 1)
    assert found.top1_agreement is None
