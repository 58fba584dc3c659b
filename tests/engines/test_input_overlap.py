"""Outputs that run into dying inputs: the distances against a simulation of every byte, and the kernels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import native
import numpy as np
import pytest
import random_graphs
from hypothesis import given, settings
from hypothesis import strategies as st
from model_builder import ModelBuilder
from nightly import NIGHTLY

from tinydeploy.engines.aot.geometry import Axis, Geometry
from tinydeploy.engines.aot.memory import allocator, input_overlap
from tinydeploy.engines.aot.pipeline import AotEngine
from tinydeploy.engines.engine import ArenaPlan
from tinydeploy.model.graph import Graph
from tinydeploy.model.readers import tflite_model

Bytes = range  # of the input, or of the output
Trace = list[tuple[list[Bytes], list[Bytes]]]  # what each step reads, and then writes


def is_safe(trace: Trace, distance: int) -> bool:
    """Whether no step writes a byte that a later one reads, the input lying `distance` above the output."""
    written: set[int] = set()
    for reads, writes in trace:
        if not written.isdisjoint(byte + distance for run in reads for byte in run):
            return False
        written.update(byte for run in writes for byte in run)
    return True


def arrays(trace: Trace) -> tuple[list[int], list[int]]:
    return (
        [min((run.start for run in reads), default=1 << 30) for reads, _ in trace],
        [max(run.stop for run in writes) for _, writes in trace],
    )


@st.composite
def layers(draw: st.DrawFn) -> Geometry:
    """Windows of any stride, dilation and TensorFlow's padding."""
    ways = []
    for _ in range(2):
        size, kernel, stride, dilation = (draw(st.integers(1, limit)) for limit in (6, 3, 3, 2))
        reach = (kernel - 1) * dilation + 1
        same = draw(st.booleans())
        size = size if same else max(size, reach)
        steps = -(-(size if same else size - reach + 1) // stride)
        before = max((steps - 1) * stride + reach - size, 0) // 2
        ways.append(Axis(size, steps, kernel, stride, dilation, before))
    return Geometry.of(draw(st.integers(1, 2)), *ways)


def pixels(g: Geometry) -> Iterator[list[int]]:
    """The input pixels in the window of each output pixel."""
    height, width = g.input_height, g.input_width
    for batch, y, x in product(range(g.batches), range(g.output_height), range(g.output_width)):
        top, left = y * g.stride_height - g.pad_top, x * g.stride_width - g.pad_left
        rows = [top + k * g.dilation_height for k in range(g.kernel_height)]
        columns = [left + k * g.dilation_width for k in range(g.kernel_width)]
        yield [
            (batch * height + row) * width + column
            for row, column in product(rows, columns)
            if 0 <= row < height and 0 <= column < width
        ]


@given(layers(), st.integers(1, 5), st.integers(1, 9), st.sampled_from([1, 2, 4]), st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_convolutions_in_blocks_of_pixels_and_channels(
    geometry: Geometry, depth: int, output_depth: int, channels: int, together: int
) -> None:
    windows = list(pixels(geometry))
    trace: Trace = []
    whole = len(windows) // together * together
    groups = [range(start, start + together) for start in range(0, whole, together)]
    for group in groups + [range(pixel, pixel + 1) for pixel in range(whole, len(windows))]:
        blocked = output_depth // channels * channels
        blocks = [range(c, c + channels) for c in range(0, blocked, channels)]
        blocks += [range(c, c + 1) for c in range(blocked, output_depth)]
        for block in blocks:
            reads = [range(i * depth, (i + 1) * depth) for pixel in group for i in windows[pixel]]
            writes = [range(p * output_depth + block.start, p * output_depth + block.stop) for p in group]
            trace.append((reads, writes))
    distance = input_overlap.by_channels(
        input_overlap.windows(geometry, depth), output_depth, channels, together
    )
    assert is_safe(trace, distance)
    assert distance <= len(windows) * output_depth


@given(layers(), st.integers(1, 4), st.integers(1, 3))
@settings(max_examples=150, deadline=None)
def test_depthwise_convolutions_and_pooling(geometry: Geometry, depth: int, multiplier: int) -> None:
    output_depth = depth * multiplier
    trace: Trace = []
    for number, window in enumerate(pixels(geometry)):
        for channel in range(output_depth):
            source = channel // multiplier
            reads = [range(i * depth + source, i * depth + source + 1) for i in window]
            end = number * output_depth + channel + 1
            trace.append((reads, [range(end - 1, end)]))
    distance = input_overlap.channel_by_channel(
        input_overlap.windows(geometry, depth), output_depth, multiplier
    )
    assert is_safe(trace, distance)
    dilated = geometry.dilation_height + geometry.dilation_width > 2
    if distance > 0 and not dilated:
        assert not is_safe(trace, distance - 1)


@given(layers(), st.integers(1, 4))
@settings(max_examples=150, deadline=None)
def test_rows_that_are_read_once(geometry: Geometry, depth: int) -> None:
    g = replace(geometry, dilation_height=1)
    row, output_row = g.input_width * depth, g.output_width * depth
    trace: Trace = []
    known: set[int] = set()
    for image, y in product(range(g.batches), range(g.output_height)):
        top = y * g.stride_height - g.pad_top
        inside = range(max(top, 0), min(top + g.kernel_height, g.input_height))
        needed = {image * g.input_height + line for line in inside} - known
        known |= needed
        written = len(trace) * output_row
        reads = [range(line * row, (line + 1) * row) for line in sorted(needed)]
        trace.append((reads, [range(written, written + output_row)]))
    assert is_safe(trace, input_overlap.row_by_row(g, depth, depth))


LOOPS = st.lists(st.tuples(st.integers(1, 4), st.integers(-9, 9), st.integers(-9, 9)), max_size=4)


def walk(shape: list[int], start: int, strides: list[int]) -> list[int]:
    """Where a loop nest gets to, one step after the other."""
    turns = product(*map(range, shape))
    return [start + sum(i * stride for i, stride in zip(turn, strides, strict=True)) for turn in turns]


@given(LOOPS, st.integers(0, 20), st.integers(1, 20), st.booleans())
@settings(max_examples=400, deadline=None)
def test_loop_nests_of_any_size_as_step_by_step(
    loops: list[tuple[int, int, int]], read: int, written: int, copies: bool
) -> None:
    shape, reads, writes = ([loop[i] for loop in loops] for i in range(3))
    step_by_step = input_overlap.of_copies if copies else input_overlap.distance
    expected = step_by_step(walk(shape, read, reads), walk(shape, written, writes))
    assert input_overlap.of_nest(shape, (read, reads), (written, writes), copies) == expected


def test_what_has_too_many_steps_stays_apart() -> None:
    large = 1 << 28
    g = Geometry.of(1, Axis(large, large), Axis(large, large))
    assert input_overlap.by_channels(input_overlap.windows(g, 4), 4) == input_overlap.APART
    assert input_overlap.channel_by_channel(input_overlap.rows(large, 4), 4) == input_overlap.APART
    assert input_overlap.row_by_row(g, 1, 4) == input_overlap.channel_rows(g, 4) == input_overlap.APART
    assert input_overlap.of_nest((large, large), (0, (large, 1)), (1, (large, 1))) == 0


STEPS = st.tuples(st.integers(0, 40), st.integers(1, 9), st.integers(0, 40), st.integers(1, 9))


@given(st.lists(STEPS, min_size=1))
def test_the_distance_is_safe(steps: list[tuple[int, int, int, int]]) -> None:
    trace: Trace = [([range(r, r + n)], [range(w, w + m)]) for r, n, w, m in steps]
    first, end = arrays(trace)
    distance = input_overlap.distance(first, end)
    assert is_safe(trace, distance)
    copies: Trace = [step for reads, writes in trace for step in ((reads, writes), (reads, writes))]
    assert is_safe(copies, input_overlap.of_copies(first, end))


def test_distances_of_plain_cases() -> None:
    pointwise = np.arange(48 * 48) * 8
    assert input_overlap.by_channels(pointwise, 16, channels=16) == 18_432 - 8
    assert input_overlap.by_channels(pointwise, 4, channels=4) == 0
    assert input_overlap.by_channels(np.arange(1) * 640, 128, channels=4) == 124
    assert input_overlap.distance(np.arange(9), np.arange(9) + 1) == 0
    assert input_overlap.distance([0], [100]) == 0


# The kernels, with their buffers as close as they may be


def graph_of(model: bytes) -> Graph:
    return tflite_model.parse(model, "model")


def plan_of(model: bytes) -> ArenaPlan:
    plan = AotEngine().generate(graph_of(model), native.PORTABLE).arena
    assert plan is not None
    return plan


def overlapping(plan: ArenaPlan) -> set[tuple[int, int]]:
    """The pairs of tensors (dying, born) that share bytes in the op where both are alive."""
    return {
        (a.tensors[0], b.tensors[0])
        for a, b in product(plan.placements, repeat=2)
        if a is not b and a.last == b.first and a.tensors and b.tensors
        if a.offset < b.offset + b.bytes and b.offset < a.offset + a.bytes
    }


def widest(model: bytes) -> int:
    """The size of the arena's largest elements."""
    return max(tensor.dtype.bytes for tensor in graph_of(model).tensors if tensor.data is None)


MOVING_NOTHING = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
KINDS = [kind for kind in random_graphs.KINDS if kind not in MOVING_NOTHING]


def assert_parity_without_slack(models: list[bytes], monkeypatch: pytest.MonkeyPatch, **how: Any) -> None:
    """Offsets only as aligned as the types need: rounding them up further could hide a mistake."""
    for alignment in (1, 2, 4, 8):
        monkeypatch.setattr(allocator, "ALIGNMENT", alignment)
        native.assert_parity([model for model in models if widest(model) == alignment], **how)


@pytest.mark.parametrize("kind", KINDS)
def test_kernels_at_the_least_distance(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = range(40_000, 40_000 + native.FACTOR)
    assert_parity_without_slack([random_graphs.make(seed, kind) for seed in seeds], monkeypatch)


class Chain(random_graphs.Maker):
    """A random graph whose ops mostly take what the op before made."""

    def pick(self, rank: int | None = None, **which: Any) -> random_graphs.Value:
        kept = self.values
        self.values = kept[-1:]
        try:
            return super().pick(rank, **which)
        finally:
            self.values = kept + self.values[1:]


CHAINED = [
    *("CONV_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"),
    *(
        "CONV_2D, ADD",
        "ADD",
        "MUL",
        "RELU",
        "SOFTMAX",
        "QUANTIZE",
        "MEAN",
        "CONCATENATION",
        "SPLIT",
        "PAD",
        "RESHAPE",
    ),
    *("STRIDED_SLICE", "TRANSPOSE", "RESIZE_NEAREST_NEIGHBOR", "UNIDIRECTIONAL_SEQUENCE_LSTM"),
]


def chain(seed: int) -> bytes:
    """Seven ops in a row, of any stride, dilation, padding, multiplier and number of batches."""
    return random_graphs.chained(Chain, seed, CHAINED, 7)


def test_chains_of_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    models = [chain(seed) for seed in range(12 * native.FACTOR)]
    assert sum(len(overlapping(plan_of(model))) for model in models) > 2 * len(models)
    assert_parity_without_slack(models, monkeypatch)


def test_sanitizers_find_nothing() -> None:
    native.assert_parity([chain(seed) for seed in range(1000, 1008 if NIGHTLY else 1002)], sanitize=True)


# Which pairs may


def tensors(model: ModelBuilder, count: int, shape: tuple[int, ...] = (1, 4, 4, 16)) -> list[int]:
    return [model.tensor(shape, scale=0.1) for _ in range(count)]


def test_an_elementwise_op_works_in_place() -> None:
    model = ModelBuilder()
    x, y = tensors(model, 2)
    model.op("ADD", [x, x], [y])
    plan = plan_of(model.build([x], [y]))
    assert (plan.bytes, plan.lower_bound, overlapping(plan)) == (256, 256, {(x, y)})


def test_an_input_that_is_needed_later_stays() -> None:
    model = ModelBuilder()
    x, y, z = tensors(model, 3)
    model.op("RELU", [x], [y])
    model.op("ADD", [x, y], [z])
    assert overlapping(plan_of(model.build([x], [z]))) <= {(x, z), (y, z)}
    assert overlapping(plan_of(model.build([x], [y, z]))) <= {(x, z)}


def test_an_input_stays_while_it_has_another_name() -> None:
    model = ModelBuilder()
    x, y, z = tensors(model, 3)
    flat = model.tensor((256,), scale=0.1)
    model.op("RESHAPE", [x], [flat], new_shape=[256])
    model.op("RELU", [x], [y])
    model.op("ADD", [y, y], [z])
    assert overlapping(plan_of(model.build([x], [z]))) == {(x, y), (y, z)}
    assert overlapping(plan_of(model.build([x], [z, flat]))) == {(y, z)}


def test_a_constant_that_is_an_output_stays() -> None:
    model = ModelBuilder()
    x, y = tensors(model, 2)
    constant = model.tensor((1, 4, 4, 16), scale=0.1, data=np.arange(256) - 128)
    model.op("ADD", [x, constant], [y])
    same = model.tensor((256,), scale=0.1)
    model.op("RESHAPE", [constant], [same], new_shape=[256])
    assert overlapping(plan_of(model.build([x], [y, same]))) == {(x, y)}


def test_an_op_of_several_steps_overwrites_what_its_last_reading_step_reads() -> None:
    model = ModelBuilder()
    a, b = tensors(model, 2, (8, 16))
    y = model.tensor((8, 32), scale=0.1)
    model.op("CONCATENATION", [a, b], [y], axis=1)
    assert overlapping(plan_of(model.build([a, b], [y]))) == {(a, y)}
    native.assert_parity([model.build([a, b], [y])])

    model = ModelBuilder()
    x = model.tensor((8, 32), scale=0.1)
    left, right = tensors(model, 2, (8, 16))
    axis = model.tensor((1,), "int32", data=[1])
    model.op("SPLIT", [axis, x], [left, right], num_splits=2)
    assert overlapping(plan_of(model.build([x], [left, right]))) == {(x, right)}
    native.assert_parity([model.build([x], [left, right])])

    model = ModelBuilder()
    x = model.tensor((8, 16), scale=0.1)
    y = model.tensor((8, 32), scale=0.1)
    model.op("CONCATENATION", [x, x], [y], axis=1)
    assert overlapping(plan_of(model.build([x], [y]))) == set()


def test_types_that_the_compiler_keeps_apart_do_not_overlap() -> None:
    model = ModelBuilder()
    x = model.tensor((64,), "int16", scale=0.1)
    y = model.tensor((64,), "int32", scale=0.01)
    model.op("QUANTIZE", [x], [y])
    assert overlapping(plan_of(model.build([x], [y]))) == set()
    z = model.tensor((64,), scale=0.1)
    model.op("QUANTIZE", [x], [z])
    assert overlapping(plan_of(model.build([x], [z]))) == {(x, z)}


@pytest.mark.parametrize("kind", ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "AVERAGE_POOL_2D"])
def test_one_byte_closer_is_wrong(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests would see a distance that is too small."""
    monkeypatch.setattr(allocator, "ALIGNMENT", 1)
    plan = allocator.plan

    def closer(buffers: Sequence[allocator.Buffer], overlaps: allocator.Overlaps) -> tuple[int, ...]:
        return plan(buffers, {pair: max(0, enough - 1) for pair, enough in overlaps.items()})

    monkeypatch.setattr(allocator, "plan", closer)
    with pytest.raises(AssertionError, match="instead of"):
        for seed in range(50_000, 50_020):
            native.assert_parity([random_graphs.make(seed, kind)])
