"""What an output is, how labels are read, which metric follows, and its value."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from model_builder import ModelBuilder

from tinydeploy.errors import DataError, TinydeployError, UsageError
from tinydeploy.evaluate.accuracy import accuracy
from tinydeploy.model import logits, outputs
from tinydeploy.model.graph import Graph
from tinydeploy.model.metric_choice import NO_WISHES, Judge, Wishes, choose
from tinydeploy.model.outputs import Kind
from tinydeploy.model.readers import tflite_model
from tinydeploy.results.measured import Accuracy

Shape = tuple[int, ...]
SCALE = 1 / 64
OUTPUT_SCALE = {"SOFTMAX": (1 / 256, -128), "LOGISTIC": (1 / 256, -128)}


def model(*heads: tuple[Any, ...]) -> Graph:
    """A graph with an input for each head: an op, its input's shape, and what comes behind."""
    builder = ModelBuilder()
    ins, outs = [], []
    for kind, shape, *behind in heads:
        source = builder.tensor(shape, scale=SCALE)
        scale, zero = OUTPUT_SCALE.get(kind, (SCALE, 0))
        if kind == "ARG_MAX":
            made = builder.tensor(shape[:-1], "int32")
            builder.op(kind, [source, builder.tensor((1,), "int32", data=[len(shape) - 1])], [made])
        else:
            made = builder.tensor(shape, scale=scale, zero_point=zero, name=f"made by {kind}")
            builder.op(kind, [source], [made], **({"beta": 1.0} if kind == "SOFTMAX" else {}))
        ins.append(source)
        outs.append(behind[0](builder, made) if behind else made)
    return tflite_model.parse(builder.build(ins, outs), "m.tflite")


def reshaped(*shape: int) -> Callable[[ModelBuilder, int], int]:
    def add(builder: ModelBuilder, source: int) -> int:
        made = builder.tensor(shape, scale=1 / 256, zero_point=-128)
        builder.op("RESHAPE", [source, builder.tensor((len(shape),), "int32", data=shape)], [made])
        return made

    return add


def transposed(order: Shape, *shape: int) -> Callable[[ModelBuilder, int], int]:
    def add(builder: ModelBuilder, source: int) -> int:
        made = builder.tensor(shape, scale=1 / 256, zero_point=-128)
        builder.op("TRANSPOSE", [source, builder.tensor((len(order),), "int32", data=order)], [made])
        return made

    return add


def dequantized(*shape: int) -> Callable[[ModelBuilder, int], int]:
    def add(builder: ModelBuilder, source: int) -> int:
        made = builder.tensor(shape, "float32")
        builder.op("DEQUANTIZE", [source], [made])
        return made

    return add


@pytest.mark.parametrize(
    ("graph", "kind", "labels", "places", "grid"),
    [
        (model(("SOFTMAX", (1, 10))), Kind.SOFTMAX, 10, 1, ()),
        (model(("SOFTMAX", (1, 10), reshaped(1, 1, 10, 1))), Kind.SOFTMAX, 10, 1, ()),
        (model(("SOFTMAX", (1, 10), reshaped(10))), Kind.SOFTMAX, 10, 1, ()),
        (model(("SOFTMAX", (1, 10), dequantized(1, 10))), Kind.SOFTMAX, 10, 1, ()),
        (model(("SOFTMAX", (1, 6, 4, 3))), Kind.SOFTMAX, 3, 24, (6, 4)),
        (model(("SOFTMAX", (1, 6, 4, 3), reshaped(1, 24, 3))), Kind.SOFTMAX, 3, 24, (24,)),
        (model(("SOFTMAX", (1, 6, 4, 3), transposed((0, 3, 1, 2), 1, 3, 6, 4))), Kind.SOFTMAX, 3, 24, (6, 4)),
        (model(("SOFTMAX", (1, 6, 4, 3), reshaped(1, 72))), Kind.RAW, 72, 1, ()),
        (model(("ARG_MAX", (1, 10))), Kind.INDEX, 1, 1, ()),
        (model(("ARG_MAX", (1, 6, 4, 3))), Kind.INDEX, 1, 24, (6, 4)),
        (model(("LOGISTIC", (1, 1))), Kind.LOGISTIC, 1, 1, ()),
        (model(("LOGISTIC", (1, 4))), Kind.LOGISTIC, 4, 1, ()),
        (model(("LOGISTIC", (1, 1, 1, 4))), Kind.LOGISTIC, 4, 1, ()),
        (model(("LOGISTIC", (1, 6, 4, 1))), Kind.LOGISTIC, 1, 24, (6, 4)),
        (model(("RELU", (1, 5))), Kind.RAW, 5, 1, ()),
        (model(("ABS", (1, 1))), Kind.RAW, 1, 1, ()),
        (model(("ABS", (1, 1, 1, 7))), Kind.RAW, 7, 1, ()),
    ],
)
def test_what_an_output_is(graph: Graph, kind: Kind, labels: int, places: int, grid: Shape) -> None:
    (output,) = outputs.outputs(graph)
    assert (output.kind, output.labels, output.places, output.grid) == (kind, labels, places, grid)


def test_class_numbers_know_how_many_there_are() -> None:
    assert outputs.outputs(model(("ARG_MAX", (1, 6, 4, 3))))[0].classes == 3


def test_elements_are_put_by_place() -> None:
    graph = model(("SOFTMAX", (1, 6, 4, 3), transposed((0, 3, 1, 2), 1, 3, 6, 4)))
    channels_last = np.arange(2 * 72).reshape(2, 1, 6, 4, 3)
    by_place = outputs.outputs(graph)[0].by_place(channels_last.transpose(0, 1, 4, 2, 3))
    np.testing.assert_array_equal(by_place, channels_last.reshape(2, 24, 3))


def test_an_output_of_an_inputs_shape_may_be_a_reconstruction() -> None:
    assert outputs.outputs(model(("RELU", (1, 5))))[0].copies == 0
    assert outputs.outputs(model(("LOGISTIC", (1, 5))))[0].copies == 0
    assert outputs.outputs(model(("SOFTMAX", (1, 5))))[0].copies is None
    assert outputs.outputs(model(("ABS", (1, 1))))[0].copies is None
    assert outputs.outputs(model(("ABS", (1, 5)), ("ABS", (1, 5))))[0].copies is None  # of which of the two?


def behind_an_op() -> Graph:
    builder = ModelBuilder()
    x, between = builder.tensor((1, 10), scale=SCALE), builder.tensor((1, 10), scale=SCALE)
    y = builder.tensor((1, 10), scale=1 / 256, zero_point=-128)
    builder.op("ABS", [x], [between])
    builder.op("SOFTMAX", [between], [y], beta=1.0)
    return tflite_model.parse(builder.build([x], [y]), "m.tflite")


def test_a_cut_softmax_leaves_logits() -> None:
    graph = logits.without_softmax(behind_an_op())
    assert outputs.outputs(graph)[0].kind is Kind.LOGITS
    judge = choose(graph, np.array([3, 9]), Wishes())
    assert isinstance(judge, Judge) and judge.metric == "top1"


# Which metric follows

SOFTMAX, INDEX = model(("SOFTMAX", (1, 3))), model(("ARG_MAX", (1, 3)))
ONE, FOUR = model(("LOGISTIC", (1, 1))), model(("LOGISTIC", (1, 4)))
COPY, NUMBER = model(("ABS", (1, 6))), model(("ABS", (1, 1)))
PIXELS, MASK = model(("SOFTMAX", (1, 2, 2, 3))), model(("LOGISTIC", (1, 2, 2, 1)))
LOGITS = model(("ABS", (1, 3)), ("ABS", (1, 3)))
HEADS = model(("LOGISTIC", (1, 4)), ("SOFTMAX", (1, 3)))
EYE = np.eye(3)[[0, 1, 2, 1]]
GRID = np.arange(16).reshape(4, 2, 2)
SIXES = np.linspace(-1, 1, 24).reshape(4, 6)
CASES: list[tuple[Graph, Any, str, str]] = [
    (SOFTMAX, [0, 1, 2, 1], "top1", "y: class numbers"),
    (SOFTMAX, np.array([0, 1, 2, 1], np.uint8), "top1", "y: class numbers"),
    (SOFTMAX, [0.0, 1.0, 2.0, 1.0], "top1", "y: float64, read as class numbers"),
    (SOFTMAX, [[0], [1], [2], [1]], "top1", "y: class numbers"),
    (SOFTMAX, [False, True, True, True], "top1", "y: bool, read as class numbers"),
    (SOFTMAX, EYE, "top1", "y: one-hot of 3 classes, read as class numbers"),
    (SOFTMAX, EYE.astype(np.uint8), "top1", "y: one-hot of 3 classes, read as class numbers"),
    (SOFTMAX, EYE.astype(bool), "top1", "y: one-hot of 3 classes, read as class numbers"),
    (SOFTMAX, EYE[:, None], "top1", "y: one-hot of 3 classes, read as class numbers"),
    (SOFTMAX, EYE * 0.7 + 0.1, "top1", "y: probabilities of 3 classes, of which the largest is taken"),
    (SOFTMAX, ["b", "a", "c", "a"], "top1", "y: names, numbered by alphabet (a, b, c)"),
    (SOFTMAX, [b"b", b"a", b"c", b"a"], "top1", "y: names, numbered by alphabet (a, b, c)"),
    (SOFTMAX, np.full((4, 3), 1 / 3), "mae", "y: values that the output should have"),
    (INDEX, [0, 1, 2, 1], "top1", "y: class numbers"),
    (INDEX, EYE, "top1", "y: one-hot of 3 classes, read as class numbers"),
    (ONE, [0, 1, 1, 0], "accuracy", "y: 0 and 1, 1 is yes"),
    (ONE, [[0], [1], [1], [0]], "accuracy", "y: 0 and 1, 1 is yes"),
    (ONE, [False, True, True, False], "accuracy", "y: bool, True is yes"),
    (ONE, [0.0, 1.0, 1.0, 0.0], "accuracy", "y: float64, read as class numbers"),
    (ONE, [-1, 1, 1, -1], "accuracy", "y: -1 and 1, read as 0 and 1"),
    (ONE, np.eye(2)[[0, 1, 1, 0]], "accuracy", "y: one-hot of 2 classes, read as class numbers"),
    (ONE, ["no", "yes", "yes", "no"], "accuracy", "y: names, numbered by alphabet (no, yes)"),
    (ONE, [0.2, 0.4, 0.9, 0.1], "mae", "y: values that the output should have"),
    (FOUR, np.eye(4), "macro_f1", "y: 4 labels of 0 and 1"),
    (FOUR, np.eye(4, dtype=bool), "macro_f1", "y: 4 labels of 0 and 1"),
    (FOUR, np.eye(4) * 0.4, "mae", "y: values that the output should have"),
    (COPY, [0, 1, 1, 0], "auc", "y: 0 and 1, 1 is an anomaly"),
    (COPY, [False, True, True, False], "auc", "y: bool, True is an anomaly"),
    (COPY, SIXES, "mae", "y: values that the output should have"),
    (COPY, [5, 0, 2, 1], "top1", "y: class numbers"),  # logits, then
    (NUMBER, [0.5, 2.0, 1.0, 0.1], "mae", "y: values that the output should have"),
    (NUMBER, [3, 4, 5, 6], "mae", "y: values that the output should have"),
    (NUMBER, [0, 1, 1, 0], "auc", "y: 0 and 1, 1 is yes"),
    (NUMBER, [0, 0, 0, 0], "mae", "y: values that the output should have"),
    (LOGITS, [0, 1, 2, 1], "top1", "y: class numbers"),
    (LOGITS, EYE, "top1", "y: one-hot of 3 classes, read as class numbers"),
    (LOGITS, SIXES[:, :3], "mae", "y: values that the output should have"),
    (PIXELS, GRID % 3, "top1", "y: class numbers"),
    (
        PIXELS,
        np.eye(3)[GRID % 3],
        "top1",
        "y: one-hot of 3 classes, read as class numbers",
    ),
    (MASK, GRID % 2, "accuracy", "y: 0 and 1, 1 is yes"),
    (MASK, np.arange(16).reshape(4, 2, 2, 1) % 2, "accuracy", "y: 0 and 1, 1 is yes"),
    (HEADS, [0, 1, 2, 1], "top1", "y: class numbers"),
    (HEADS, np.eye(4), "macro_f1", "y: 4 labels of 0 and 1"),
]


@pytest.mark.parametrize(("graph", "y", "metric", "told"), CASES)
def test_the_metric_follows_from_the_output(graph: Graph, y: Any, metric: str, told: str) -> None:
    judge = choose(graph, np.asarray(y), Wishes())
    assert isinstance(judge, Judge), judge
    assert (judge.metric, judge.told) == (metric, told)
    assert judge.output.name in judge.chosen


@pytest.mark.parametrize("y", [[0, 1, 2, 1], [0.0, 1.0, 2.0, 1.0], EYE, EYE.astype(bool), list("abcb")])
def test_all_forms_of_the_same_labels_are_read_alike(y: Any) -> None:
    judge = choose(SOFTMAX, np.asarray(y), Wishes())
    assert isinstance(judge, Judge) and judge.truth.tolist() == [[0], [1], [2], [1]]
    assert judge.strata is not None and judge.strata.tolist() == [0, 1, 2, 1]


def test_names_are_numbered_as_labels_has_them() -> None:
    judge = choose(SOFTMAX, np.array(["dog", "cat", "dog"]), Wishes(names=("dog", "ox", "cat")))
    assert isinstance(judge, Judge)
    assert (judge.truth.reshape(-1).tolist(), judge.told) == (
        [0, 2, 0],
        "y: names, numbered as `labels` has them",
    )
    assert judge.names == ("dog", "ox", "cat")


def test_the_output_is_chosen_and_it_is_said_how() -> None:
    numbers = np.array([0, 1, 2])
    judge = choose(HEADS, numbers, Wishes())
    assert isinstance(judge, Judge) and judge.output.position == 1
    assert judge.chosen.endswith("a SOFTMAX of 3 classes; the only output that y fits")
    for wanted in ("1", "made by SOFTMAX"):
        judge = choose(HEADS, numbers, Wishes(output=wanted))
        assert isinstance(judge, Judge) and judge.output.position == 1
        assert judge.chosen.endswith("chosen by --output")
    told = choose(HEADS, numbers, Wishes(output="0"))
    assert isinstance(told, str) and "is 4 LOGISTICs, and y is no 4 labels of their own" in told
    assert 'y fits output 1 "made by SOFTMAX" [1, 3]: choose with --output' in told


def test_a_metric_is_first_looked_for_where_it_belongs() -> None:
    numbers = np.array([0, 1, 2])
    for metric in ("top1", "macro_f1"):
        judge = choose(HEADS, numbers, Wishes(metric=metric))
        assert isinstance(judge, Judge) and judge.output.position == 1
    judge = choose(HEADS, numbers, Wishes(metric="top1", output="0"))  # the largest of several LOGISTICs
    assert isinstance(judge, Judge) and judge.output.position == 0 and judge.task.words == "classes"
    assert judge.chosen.endswith("4 LOGISTICs; chosen by --output, --metric")


def test_labels_that_an_output_cannot_have_leave_no_figure() -> None:
    told = choose(FOUR, np.array([0, 1, 3]), Wishes())
    assert isinstance(told, str) and "y as [n, 4] of 0 and 1" in told
    told = choose(PIXELS, np.array([0, 1, 2]), Wishes())
    assert isinstance(told, str) and "at each of 2×2 places" in told and "shape [n, 2, 2]" in told


@pytest.mark.parametrize(
    ("graph", "y", "message"),
    [
        (SOFTMAX, [1, 2, 3], r"labels 1 to 3 for 3 classes .* y - 1: classes are numbered from 0"),
        (SOFTMAX, [0, 1, 7], "labels 0 to 7 for 3 classes"),
        (SOFTMAX, [0.5, 1, 2], "fractions"),
        (SOFTMAX, [0, np.nan, 2], "NaN"),
        (SOFTMAX, [0, np.inf, 2], "NaN or infinite"),
        (SOFTMAX, list("abcd"), "4 different names for 3 classes"),
        (SOFTMAX, np.eye(4), r"y of shape \[4, 4\]"),
        (SOFTMAX, np.ones((3, 3)) * 5, "neither one-hot nor probabilities"),
        (ONE, [0, 1, 2], "labels 0 to 2 for 2 classes"),
        (COPY, ["ok", "bad", "ok"], 'labels = \\["normal", "anomaly"\\]'),
    ],
)
def test_labels_that_fit_no_output_are_refused(graph: Graph, y: Any, message: str) -> None:
    with pytest.raises(DataError) as caught:
        choose(graph, np.asarray(y), Wishes())
    assert_says(caught.value, message)


def assert_says(error: TinydeployError, message: str) -> None:
    assert re.search(message, f"{error.message} {error.hint}"), f"{error.message} {error.hint}"


@pytest.mark.parametrize(
    ("graph", "y", "wishes", "message"),
    [
        (SOFTMAX, [0, 1], Wishes(metric="best"), "unknown metric 'best' known: top1"),
        (SOFTMAX, [0, 1], Wishes(metric="rmsle"), "unknown metric"),
        (SOFTMAX, [0, 1], Wishes(metric="f1"), "a SOFTMAX of 3 classes, which has no f1 it can have top1"),
        (SOFTMAX, [0, 1], Wishes(metric="top3"), "no top3"),
        (SOFTMAX, [0, 1], Wishes(metric="auc"), "no auc"),
        (SOFTMAX, [0, 1], Wishes(metric="mae"), "shape .2.. holds no values for an output of shape"),
        (SOFTMAX, [0, 1], Wishes(threshold=0.5), "no threshold"),
        (SOFTMAX, [0, 1], Wishes(output="9"), "no output '9' it has 0 "),
        (SOFTMAX, [0, 1], Wishes(names=("a", "b")), "`labels` has 2 names, and .* tells 3 apart"),
        (SOFTMAX, [0, 1], Wishes(names=("a", "b", "a")), "has 'a' twice"),
        (SOFTMAX, ["a", "x"], Wishes(names=("a", "b", "c")), "the label 'x', which `labels` does not name"),
        (ONE, [0, 1], Wishes(threshold=2), "between 0 and 1"),
        (COPY, [0, 1], Wishes(metric="f1"), "needs a threshold"),
        (HEADS, [0, 1], Wishes(metric="hamming_accuracy"), "no 4 labels of their own"),
    ],
)
def test_wishes_that_cannot_be(graph: Graph, y: Any, wishes: Wishes, message: str) -> None:
    with pytest.raises((DataError, UsageError)) as caught:
        choose(graph, np.asarray(y), wishes)
    assert_says(caught.value, message)


# The figures


def judged(
    graph: Graph, y: Any, answers: Any, wishes: Wishes = NO_WISHES, inputs: Any = None
) -> Accuracy | str:
    """The accuracy of real `answers` [n, …] of the judged output, given in codes of its scale."""
    judge = choose(graph, np.asarray(y), wishes)
    assert isinstance(judge, Judge), judge
    tensor = judge.output.tensor
    codes = np.asarray(answers, np.float64)
    if tensor.quantization is not None:
        codes = np.clip(
            np.round(codes / tensor.quantization.scale + tensor.quantization.zero_point), -128, 127
        )
    codes = codes.astype(tensor.dtype.numpy).reshape(len(codes), *tensor.shape)
    sides = [
        codes if i == judge.output.position else np.zeros((len(codes), 1)) for i in range(len(graph.outputs))
    ]
    given = np.zeros_like(codes) if inputs is None else (np.asarray(inputs) / SCALE).astype(np.int8)
    return accuracy(judge, graph, [given.reshape(codes.shape)] * len(graph.inputs), sides, sides)


def figures(found: Accuracy | str) -> dict[str, Any]:
    assert isinstance(found, Accuracy), found
    return {found.metric: found.value, **found.also}


def test_a_classifier() -> None:
    scores = [[0.8, 0.1, 0.1], [0.3, 0.5, 0.2], [0.2, 0.6, 0.2], [0.1, 0.5, 0.4]]
    found = judged(SOFTMAX, EYE, scores, Wishes(names=("a", "b", "c")))
    assert isinstance(found, Accuracy)
    assert figures(found) == {
        "top1": 0.75,
        "top2": 0.75,  # the third takes the first of two equal scores
        "balanced_accuracy": pytest.approx(2 / 3),
        "macro_f1": pytest.approx((1 + 0.8 + 0) / 3),
    }
    assert found.reference == 0.75 and found.chance == 0.5 and found.doubts == ()
    assert found.confusion == ((1, 0, 0), (0, 2, 0), (0, 1, 0))
    assert [(row.label, row.precision, row.recall) for row in found.per_class] == [
        ("a", 1, 1),
        ("b", pytest.approx(2 / 3), 1),
        ("c", None, 0),
    ]
    assert found.output is not None and (found.output.index, found.output.kind) == (0, "SOFTMAX")


def test_any_top_k() -> None:
    graph = model(("SOFTMAX", (1, 10)))
    scores = np.eye(10)[[0, 1, 2]] * 0.5 + np.eye(10)[[5, 5, 2]] * 0.3
    assert figures(judged(graph, [5, 5, 9], scores))["top5"] == pytest.approx(2 / 3)
    found = judged(graph, [5, 5, 9], scores, Wishes(metric="top2"))
    assert isinstance(found, Accuracy) and (found.metric, found.value) == ("top2", pytest.approx(2 / 3))


def test_two_classes_have_an_area() -> None:
    graph = model(("SOFTMAX", (1, 2)))
    found = judged(graph, [0, 1, 1], [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    assert figures(found)["auc"] == 1.0 and figures(found)["top1"] == pytest.approx(2 / 3)


def test_yes_or_no() -> None:
    answers = [[0.2], [0.5], [0.9], [0.7]]  # 0.5 is a yes
    found = judged(ONE, [0, 1, 1, 0], answers, Wishes(names=("cat", "dog")))
    assert figures(found) == {
        "accuracy": 0.75,
        "auc": 0.75,
        "precision": pytest.approx(2 / 3),
        "recall": 1.0,
        "f1": pytest.approx(0.8),
        "balanced_accuracy": 0.75,
    }
    assert isinstance(found, Accuracy) and found.threshold == 0.5 and found.confusion == ((1, 1), (0, 2))
    higher = judged(ONE, [0, 1, 1, 0], answers, Wishes(threshold=0.8))
    assert figures(higher)["precision"] == 1.0 and figures(higher)["recall"] == 0.5
    assert figures(judged(ONE, [0, 1, 1, 0], answers, Wishes(metric="auc")))["auc"] == 0.75


def test_labels_of_their_own() -> None:
    truth = np.array([[1, 0, 1, 0], [0, 1, 1, 0]])
    answers = [[0.9, 0.1, 0.6, 0.1], [0.2, 0.4, 0.7, 0.1]]
    found = judged(FOUR, truth, answers)
    assert figures(found) == {
        "macro_f1": pytest.approx((1 + 0 + 1) / 3),  # the last label is neither set nor found
        "subset_accuracy": 0.5,
        "hamming_accuracy": pytest.approx(7 / 8),
        "auc": 1.0,
    }
    assert isinstance(found, Accuracy) and found.doubts == ("1 of 4 labels are never set in y: 3",)
    assert figures(judged(FOUR, [0, 2], answers, Wishes(metric="top1")))["top1"] == 1.0


def test_anomalies_by_the_error_of_each_sample() -> None:
    x = np.zeros((4, 6))
    answers = np.array([0.1, 0.5, 0.6, 0.2])[:, None] * np.ones((4, 6))
    assert figures(judged(COPY, [0, 1, 1, 0], answers, inputs=x)) == {"auc": 1.0}
    found = judged(COPY, [0, 1, 1, 0], answers, Wishes(threshold=0.3), inputs=x)
    assert figures(found)["recall"] == 0.5 and figures(found)["accuracy"] == 0.75
    moved = judged(COPY, [0, 1, 1, 0], answers + 0.5, inputs=x + 0.5)
    assert figures(moved) == {"auc": 1.0}


def test_values_in_real_units() -> None:
    found = judged(NUMBER, [1.0, 0.5, -0.5], [[1.0], [1.0], [-1.0]])
    assert figures(found)["mae"] == pytest.approx(1 / 3)
    assert figures(found)["rmse"] == pytest.approx(np.sqrt(0.5 / 3))
    assert figures(found)["r2"] == pytest.approx(1 - 0.5 / (7 / 6))


def test_each_place_of_a_segmentation() -> None:
    truth = np.array([[[0, 1], [2, 2]]])
    answers = np.eye(3)[[[[0, 1], [2, 0]]]] * 0.9
    found = judged(PIXELS, truth, answers)
    assert figures(found)["top1"] == 0.75
    assert figures(found)["mean_iou"] == pytest.approx((1 / 2 + 1 + 1 / 2) / 3)
    assert isinstance(found, Accuracy) and (found.samples, found.places) == (1, 4)


@pytest.mark.parametrize(
    ("graph", "y", "answers", "doubt"),
    [
        (SOFTMAX, [0, 1, 1], [[0.9, 0, 0], [0, 0.9, 0], [0, 0.9, 0]], "1 of 3 classes have no samples: 2"),
        (SOFTMAX, [1, 1, 1], [[0, 0.9, 0]] * 3, "every sample is of the class '1'"),
        (SOFTMAX, [0, 1, 2], [[0.9, 0, 0]] * 3, "33.3%, no better than the 33.3% of a model that always"),
        (SOFTMAX, [0, 1, 2], [[0, 0, 0.9], [0.9, 0, 0], [0, 0.9, 0]], "0.0%, no better than the 33.3%"),
        (ONE, [0, 1, 1], [[0.9], [0.9], [0.1]], "33.3%, no better than the 66.7%"),
        (COPY, [0, 1, 1], np.ones((3, 6)), "ROC AUC is 0.5, no better than the 0.5"),
        (NUMBER, [1.0, 0.5, 0.0], [[0.0], [0.0], [1.0]], "R² is -"),
        (FOUR, [[1, 0, 1, 1], [1, 1, 0, 1]], [[0.1] * 4] * 2, "Hamming accuracy is 25.0%, no better"),
    ],
)
def test_figures_that_say_little(graph: Graph, y: Any, answers: Any, doubt: str) -> None:
    found = judged(graph, y, answers)
    assert isinstance(found, Accuracy) and any(doubt in told for told in found.doubts), found


def test_figures_that_are_undefined() -> None:
    told = judged(COPY, [True, True], np.ones((2, 6)))
    assert (
        isinstance(told, str) and "ROC AUC of output 0" in told and "every sample is of the class '1'" in told
    )
    told = judged(ONE, [1, 0], [[0.1], [0.1]], Wishes(metric="precision"))
    assert isinstance(told, str) and "no sample is taken for '1'" in told
    told = judged(NUMBER, [2.0, 2.0], [[1.0], [1.0]], Wishes(metric="r2"))
    assert isinstance(told, str) and "the wanted values of each output are all the same" in told


def test_answers_that_are_no_numbers() -> None:
    graph = model(("SOFTMAX", (1, 3), dequantized(1, 3)))
    told = judged(graph, [0], [[np.nan, 0, 0]])
    assert isinstance(told, str) and "not all finite" in told
