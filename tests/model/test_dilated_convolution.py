"""Dilated convolutions that a file writes as SPACE_TO_BATCH_ND, a convolution, and BATCH_TO_SPACE_ND."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import native
import numpy as np
import numpy.typing as npt
import pytest
from model_builder import ModelBuilder

from tinydeploy.evaluate import second_opinion
from tinydeploy.evaluate.second_opinion import ask
from tinydeploy.model.canonicalize import dilated_convolution
from tinydeploy.model.graph import Graph
from tinydeploy.model.readers import tflite_model

SCALES = {"int8": 0.1, "int16": 0.003}


@dataclass(frozen=True)
class Case:
    """A dilated convolution over `extents`, one or two; `edges` are its paddings, before and after each.

    `crops` are so much that SPACE_TO_BATCH_ND pads more. `lift` is where a dimension is added to a 1-D one,
    by a RESHAPE or an EXPAND_DIMS; `inside` is an op before BATCH_TO_SPACE_ND; `twins` is how many
    convolutions read the same blocks.
    """

    extents: tuple[int, ...] = (9, 7)
    kernel: tuple[int, ...] = (3, 3)
    dilations: tuple[int, ...] = (2, 2)
    edges: tuple[tuple[int, int], ...] = ((0, 0), (0, 0))
    crops: tuple[int, ...] = (0, 0)
    kind: str = "CONV_2D"
    dtype: str = "int8"
    batch: int = 1
    channels: tuple[int, int] = (3, 4)
    lift: int = 1
    lifts_by: str = "EXPAND_DIMS"
    activation: str = "NONE"
    inside: str = ""
    twins: int = 1
    is_open: bool = True
    seed: int = 0

    @property
    def folded(self) -> list[tuple[int, int, int]]:
        """What SPACE_TO_BATCH_ND pads before and after, and what is cropped after, in each dimension."""
        made = []
        for n, (before, after), block, crop in zip(
            self.extents, self.edges, self.dilations, self.crops, strict=True
        ):
            before, extra = before + crop, -(n + before + crop + after) % block
            made.append((before, after + extra, extra))
        return made

    @property
    def results(self) -> tuple[int, ...]:
        reach = [(k - 1) * d for k, d in zip(self.kernel, self.dilations, strict=True)]
        return tuple(n + sum(pair) - r for n, pair, r in zip(self.extents, self.edges, reach, strict=True))


@dataclass
class Network(ModelBuilder):
    """Makes a case in either form."""

    case: Case
    random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        super().__init__()
        self.random = np.random.default_rng(self.case.seed)

    def space(self, values: Sequence[int], rest: int = 1) -> tuple[int, ...]:
        """A value for height and width."""
        if len(values) == 2:
            return tuple(values)
        return (rest, *values) if self.case.lift == 1 else (*values, rest)

    def made(
        self,
        kind: str,
        inputs: Sequence[int],
        shape: Sequence[int],
        zero: int,
        scale: float = 1,
        **options: Any,
    ) -> int:
        dtype = self.case.dtype
        signature = (-1, *shape[1:]) if self.case.is_open else None
        output = self.tensor(
            shape,
            dtype,
            scale=SCALES[dtype] * scale,
            zero_point=zero if dtype == "int8" else 0,
            shape_signature=signature,
        )
        if kind:
            self.op(kind, inputs, [output], **options)
        return output

    def ints(self, values: npt.ArrayLike) -> int:
        array = np.array(values, np.int32)
        return self.tensor(array.shape, "int32", data=array)

    def convolution(self, x: int, shape: tuple[int, ...], **options: Any) -> int:
        case, (taken, given) = self.case, self.case.channels
        depthwise = case.kind == "DEPTHWISE_CONV_2D"
        given = 2 * taken if depthwise else given
        kernel = self.space(case.kernel)
        weights = (1, *kernel, given) if depthwise else (given, *kernel, taken)
        w = self.tensor(
            weights,
            scale=(0.02 * self.random.uniform(0.5, 1, given)).tolist(),
            data=self.random.integers(-127, 128, weights),
            axis=3 if depthwise else 0,
        )
        bias = "int32" if case.dtype == "int8" else "int64"
        b = self.tensor((given,), bias, data=self.random.integers(-900, 900, given))
        depth = {"depth_multiplier": 2} if depthwise else {}
        options |= {"padding": "VALID", "stride_h": 1, "stride_w": 1, **depth}
        options["fused_activation_function"] = case.activation
        return self.made(case.kind, [x, w, b], (*shape, given), 5, 4, **options)

    def elementwise(self, x: int, shape: tuple[int, ...]) -> int:
        """The op that may stand before BATCH_TO_SPACE_ND, or behind it."""
        given = 2 * self.case.channels[0] if self.case.kind.startswith("DEPTH") else self.case.channels[1]
        if not self.case.inside:
            return x
        values = self.random.integers(-100, 100, given)
        others = [self.tensor((given,), scale=0.1, data=values)] if self.case.inside in ("ADD", "MUL") else []
        return self.made(self.case.inside, [x, *others], (*shape, given), 5, 4)

    def blocks(self) -> bytes:
        """As a converter writes it that does not know the batch."""
        case, folded = self.case, self.case.folded
        blocks = int(np.prod(case.dilations)) * case.batch
        x = self.made("", [], (case.batch, *case.extents, case.channels[0]), -3)
        padded = [n + before + after for n, (before, after, _) in zip(case.extents, folded, strict=True)]
        sides = [n // block for n, block in zip(padded, case.dilations, strict=True)]
        sizes = self.ints(case.dilations)
        edges = self.ints([pair[:2] for pair in folded])
        s = self.made("SPACE_TO_BATCH_ND", [x, sizes, edges], (blocks, *sides, case.channels[0]), -3)
        if len(case.extents) == 1:
            shape = (blocks, *self.space(sides), case.channels[0])
            other = self.ints(case.lift if case.lifts_by == "EXPAND_DIMS" else shape)
            s = self.made(case.lifts_by, [s, other], shape, -3)
        return self.build([x], [self.unblocked(s, sides, sizes, blocks) for _ in range(case.twins)])

    def unblocked(self, s: int, sides: Sequence[int], sizes: int, blocks: int) -> int:
        case = self.case
        made = [n - k + 1 for n, k in zip(sides, case.kernel, strict=True)]
        y = self.elementwise(self.convolution(s, (blocks, *self.space(made))), (blocks, *self.space(made)))
        given = 2 * case.channels[0] if case.kind.startswith("DEPTH") else case.channels[1]
        if len(case.extents) == 1:
            y = self.made("RESHAPE", [y, self.ints((-1, *made, given))], (blocks, *made, given), 5, 4)
        crops = [(crop, after) for crop, (_, _, after) in zip(case.crops, case.folded, strict=True)]
        inputs = [y, sizes, self.ints(crops)]
        return self.made("BATCH_TO_SPACE_ND", inputs, (case.batch, *case.results, given), 5, 4)

    def whole(self) -> bytes:
        """As one PAD and the dilated convolution."""
        case = self.case
        x = self.made("", [], (case.batch, *self.space(case.extents), case.channels[0]), -3)
        edges = case.edges
        if len(edges) == 1:
            edges = ((0, 0), *edges) if case.lift == 1 else (*edges, (0, 0))
        padded = tuple(n + sum(pair) for n, pair in zip(self.space(case.extents), edges, strict=True))
        amounts = self.ints([(0, 0), *edges, (0, 0)])
        p = self.made("PAD", [x, amounts], (case.batch, *padded, case.channels[0]), -3)
        height, width = self.space(case.dilations)
        factors = {"dilation_h_factor": height, "dilation_w_factor": width}
        shape = (case.batch, *self.space(case.results))
        outputs = [self.elementwise(self.convolution(p, shape, **factors), shape) for _ in range(case.twins)]
        return self.build([x], outputs)


def same(case: Case) -> Case:
    """With the padding SAME."""
    totals = [(k - 1) * d for k, d in zip(case.kernel, case.dilations, strict=True)]
    return replace(case, edges=tuple((total // 2, total - total // 2) for total in totals))


def random_case(seed: int) -> Case:
    draw = random.Random(seed)
    dimensions = draw.choice((1, 2, 2))
    kernel = tuple(draw.choice((1, 2, 3, 3, 4)) for _ in range(dimensions))
    dilations = tuple(draw.choice((1, 2, 2, 3, 4)) for _ in range(dimensions))
    dtype = draw.choice(("int8", "int8", "int16"))
    case = Case(
        extents=tuple((k - 1) * d + draw.randint(1, 8) for k, d in zip(kernel, dilations, strict=True)),
        kernel=kernel,
        dilations=dilations,
        edges=tuple((draw.randint(0, 4), draw.randint(0, 4)) for _ in kernel),
        crops=tuple(draw.choice((0, 0, 1, 2)) for _ in kernel),
        kind=draw.choice(("CONV_2D", "DEPTHWISE_CONV_2D")),
        dtype=dtype,
        batch=draw.choice((1, 1, 1, 2)),
        channels=(draw.randint(1, 9), draw.randint(1, 9)),
        lift=draw.choice((1, 2)),
        lifts_by=draw.choice(("EXPAND_DIMS", "RESHAPE")),
        activation=draw.choice(("NONE", "RELU", "RELU6")),
        inside=draw.choice(("", "", "RELU", "ADD", "MUL", "LEAKY_RELU") if dtype == "int8" else ("", "RELU")),
        twins=draw.choice((1, 1, 2)),
        is_open=draw.choice((True, True, False)),
        seed=seed,
    )
    if draw.random() < 0.3:
        return same(case)
    return replace(case, edges=((0, 0),) * dimensions) if draw.random() < 0.3 else case


def read(case: Case) -> Graph:
    return tflite_model.parse(Network(case).blocks(), "blocks.tflite")


def kinds(case: Case) -> list[str]:
    return [op.kind for op in read(case).running]


def convolution(case: Case) -> dict[str, Any]:
    (op,) = (op for op in read(case).running if op.kind == case.kind)
    return dict(op.options)


def test_random_ones_are_what_the_dilated_convolution_is() -> None:
    cases = [random_case(seed) for seed in range(48 * native.FACTOR)]
    for case in cases:
        assert not {"SPACE_TO_BATCH_ND", "BATCH_TO_SPACE_ND"} & set(kinds(case)), case
        blob, plain = Network(case).blocks(), Network(case).whole()
        samples = native.random_samples(read(case), 3)
        for ours, theirs in zip(native.tflm(blob, samples), native.tflm(plain, samples), strict=True):
            for mine, other in zip(ours, theirs, strict=True):
                assert np.array_equal(mine.ravel(), other.ravel()), case
    compiled = cases[:: len(cases) // 16]
    native.assert_parity([Network(case).blocks() for case in compiled], samples=3, kernels=[native.DSP])


@pytest.mark.skipif(not second_opinion.available(), reason="not run: ai-edge-litert is not installed")
def test_litert_makes_the_same_of_the_file_as_it_was() -> None:
    with closing(second_opinion.Child(second_opinion.__name__)) as child:
        for case in (random_case(seed) for seed in range(16)):
            blob = Network(case).blocks()
            inputs = [np.stack([sample[0] for sample in native.random_samples(read(case), 3)])]
            outputs = [
                np.stack(output) for output in zip(*native.tflm(blob, [[x] for x in inputs[0]]), strict=True)
            ]
            opinion = ask(blob, inputs, outputs, child)
            assert opinion.parity is not None and opinion.parity.worse == 0, case


@pytest.mark.parametrize(("kernel", "dilations"), [*product(((3, 3), (2, 4), (1, 3)), ((2, 2), (3, 1)))])
def test_the_padding_same_is_an_option_of_the_convolution(kernel: Any, dilations: Any) -> None:
    case = same(Case(kernel=kernel, dilations=dilations))
    assert kinds(case) == ["CONV_2D"]
    options = convolution(case)
    assert options["padding"] == ("SAME" if any(map(any, case.edges)) else "VALID")
    assert (options["dilation_h_factor"], options["dilation_w_factor"]) == dilations


def test_without_padding_it_is_valid() -> None:
    case = Case(extents=(9, 8), dilations=(3, 2))
    assert case.folded == [(0, 0, 0), (0, 0, 0)] and kinds(case) == ["CONV_2D"]
    assert convolution(case)["padding"] == "VALID"
    cropped = Case(extents=(10, 9), dilations=(3, 2))  # the blocks take more than the input has
    assert cropped.folded != [(0, 0, 0), (0, 0, 0)] and kinds(cropped) == ["CONV_2D"]
    assert convolution(cropped)["padding"] == "VALID"


def test_any_other_padding_is_an_op() -> None:
    case = Case(extents=(20,), kernel=(3,), dilations=(4,), edges=((8, 0),), crops=(0,))  # causal
    assert kinds(case) == ["PAD", "RESHAPE", "CONV_2D", "RESHAPE"]
    assert kinds(Case(edges=((1, 1), (2, 2)))) == ["PAD", "CONV_2D"]
    assert kinds(replace(case, twins=2)).count("PAD") == 1


def test_what_was_changed_is_told_and_what_is_gone_is_listed() -> None:
    graph = read(Case())
    assert graph.edits == (dilated_convolution.EDIT,)
    assert [op.index for op in graph.ops] == list(range(len(graph.ops)))
    assert [graph.ops[index].kind for index in sorted(graph.folded)] == [
        "SPACE_TO_BATCH_ND",
        "BATCH_TO_SPACE_ND",
    ]
    assert graph.outputs == graph.running[-1].outputs
    again = tflite_model.parse(graph.content, "again.tflite")
    assert again.content == graph.content and not again.edits
    assert again.macs == graph.macs


@pytest.mark.parametrize(
    "change", ("stride", "same", "scale", "output", "reader", "block", "crops", "paddings", "runtime")
)
def test_what_is_no_dilated_convolution_stays(change: str) -> None:
    model = Network(Case(is_open=False))
    x = model.made("", [], (1, 8, 8, 3), -3)
    block, zeros = model.ints((2, 2)), model.ints(((0, 0), (0, 0)))
    edges = model.tensor((2, 2), "int32") if change == "runtime" else zeros
    s = model.made("SPACE_TO_BATCH_ND", [x, block, edges], (4, 4, 4, 3), -3, 2 if change == "scale" else 1)
    side = {"stride": 1, "same": 4}.get(change, 2)
    w = model.tensor((4, 3, 3, 3), scale=0.02, data=np.ones((4, 3, 3, 3)))
    step = 2 if change == "stride" else 1
    padding = "SAME" if change == "same" else "VALID"
    c = model.made("CONV_2D", [s, w], (4, side, side, 4), 5, padding=padding, stride_h=step, stride_w=step)
    outputs = []
    if change == "output":
        outputs.append(c)
    if change == "reader":
        outputs.append(model.made("RELU", [c], (4, side, side, 4), 5))
    if change == "block":
        y = model.made("BATCH_TO_SPACE_ND", [c, model.ints((4, 1)), zeros], (1, 4 * side, side, 4), 5)
    elif change == "crops":  # more than was padded: no padding at all
        y = model.made("BATCH_TO_SPACE_ND", [c, block, model.ints(((1, 0), (0, 0)))], (1, 3, 4, 4), 5)
    else:
        shape = (1, 4, 5, 4) if change == "paddings" else (1, 2 * side, 2 * side, 4)
        y = model.made("BATCH_TO_SPACE_ND", [c, block, zeros], shape, 5)
    inputs = [x, edges] if change == "runtime" else [x]
    graph = tflite_model.parse(model.build(inputs, [y, *outputs]), "other.tflite")
    assert graph.running == graph.ops and not graph.edits
