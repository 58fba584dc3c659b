"""Shapes that do not fit each other are refused, and what has many elements costs the host no more."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial

import bundle
import pytest
from model_builder import ModelBuilder

from tinydeploy.boards.lookup import board
from tinydeploy.engines.aot.memory import allocator
from tinydeploy.engines.aot.pipeline import GOALS, AotEngine
from tinydeploy.engines.tflm.tflm_engine import TflmEngine
from tinydeploy.errors import ModelError
from tinydeploy.model.readers import tflite_model

Shape = tuple[int, ...]
STRIDES = {"stride_h": 1, "stride_w": 1, "padding": "SAME"}


def one(
    kind: str, shapes: list[Shape], output: Shape, *more: list[int], scale: float = 0.1, **options: object
) -> bytes:
    """A model of one op, of int8 inputs of these shapes and int32 constants of these values."""
    model = ModelBuilder()
    inputs = [model.tensor(shape, scale=0.1) for shape in shapes]
    given = [model.tensor((len(values),), "int32", data=values) for values in more]
    zero_point = -128 if kind == "SOFTMAX" else 0
    y = model.tensor(output, scale=scale, zero_point=zero_point)
    model.op(kind, [*inputs, *given], [y], **options)
    return model.build(inputs, [y])


def refusal(model: bytes) -> str:
    refusals = AotEngine().refusals(tflite_model.parse(model, "model"))
    return refusals[0].reason if refusals else ""


@pytest.mark.parametrize("kind", ["ADD", "SUB", "MUL", "MINIMUM", "MAXIMUM", "SQUARED_DIFFERENCE"])
@pytest.mark.parametrize(
    ("shapes", "output", "fits"),
    [
        ([(1,), (1,)], (64,), False),
        ([(2, 1, 3), (2, 1, 3)], (2, 5, 3), False),
        ([(1, 3), (2, 1)], (2, 3), True),
        ([(3,), (3,)], (1, 1, 3), True),
        ([(2, 1), (1, 1)], (2, 3), False),
        ([(4,), (1,)], (1,), False),
    ],
)
def test_the_output_is_what_the_inputs_broadcast_to(
    kind: str, shapes: list[Shape], output: Shape, fits: bool
) -> None:
    reason = refusal(one(kind, shapes, output))
    assert (reason == "") == fits
    assert fits or "broadcast" in reason


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (one("SOFTMAX", [(2, 3)], (6,), scale=1 / 256, beta=1.0), "its output has the shape [6]"),
        (one("EXPAND_DIMS", [(2, 3)], (2, 3, 1), [0]), "its output has the shape [2, 3, 1]"),
        (one("EXPAND_DIMS", [(2, 3)], (2, 3), [0]), "its output has the shape [2, 3]"),
        (one("PACK", [(2,), (2,)], (2, 2), values_count=3), "its values_count is 3"),
        (one("UNPACK", [(1, 4)], (4,), num=2), "its num is 2"),
        (one("CONCATENATION", [(2,), (2, 1)], (2, 2), axis=1), "does not fit"),
    ],
)
def test_shapes_and_options_that_do_not_fit_are_refused(model: bytes, reason: str) -> None:
    assert reason in refusal(model)


def test_a_mirror_pad_says_how_it_mirrors() -> None:
    model = ModelBuilder()
    x, y = model.tensor((3, 4), scale=0.1), model.tensor((5, 6), scale=0.1)
    model.op("MIRROR_PAD", [x, model.tensor((2, 2), "int32", data=[[1, 1], [1, 1]])], [y])
    operator = model._graph.operators[0]
    operator.builtinOptions, operator.builtinOptionsType = None, 0
    with pytest.raises(ModelError, match=r"MIRROR_PAD.* no options"):
        tflite_model.parse(model.build([x], [y]), "model")


def large_comparison() -> bytes:
    model = ModelBuilder()
    a, b = (model.tensor((4, n, 262_144, 8), scale=0.1) for n in (3, 1))
    y = model.tensor((4, 3, 262_144, 8), "bool")
    model.op("NOT_EQUAL", [a, b], [y])
    return model.build([a, b], [y])


def large_layers() -> bytes:
    model = ModelBuilder()
    shape = (1, 16_384, 16_384, 1)
    x, y, z = model.tensor(shape, scale=0.1), model.tensor(shape, scale=0.1), model.tensor(shape, scale=0.1)
    weights = model.tensor((1, 3, 3, 1), scale=0.1, data=[[[[1]] * 3] * 3])
    model.op("CONV_2D", [x, weights], [y], **STRIDES)
    model.op("AVERAGE_POOL_2D", [y], [z], filter_height=3, filter_width=3, **STRIDES)
    return model.build([x], [z])


@pytest.mark.parametrize("blob", [large_comparison(), large_layers()], ids=["comparison", "layers"])
@pytest.mark.parametrize("goal", GOALS)
def test_what_is_large_takes_little_memory_on_the_host(blob: bytes, goal: str) -> None:
    graph = tflite_model.parse(blob, "model")
    tracemalloc.start()
    try:
        sources = AotEngine(goal).generate(graph, board("mps2-an386"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sources.arena is not None
    assert peak < min(64 << 20, sources.arena.bytes)


@pytest.mark.parametrize("goal", GOALS)
def test_boards_of_equal_limits_get_the_same_sources(goal: str) -> None:
    graph = tflite_model.parse(one("ADD", [(1, 9, 9, 2), (1, 9, 9, 2)], (1, 9, 9, 2)), "model")
    engine = AotEngine(goal)
    by_limits: dict[object, set[str]] = {}
    for name in ("mps2-an386", "nucleo_f446re", "mps2-an385", "nucleo_g071rb", "mps3-an547"):
        text = bundle.code(engine.generate(graph, board(name)))
        by_limits.setdefault(engine.limits(board(name)), set()).add(text)
    assert all(len(texts) == 1 for texts in by_limits.values())
    assert len(by_limits) >= 4


def chain(ops: int, unused: int = 0) -> bytes:
    """So many ADDs one after the other, and tensors that nothing uses."""
    model = ModelBuilder()
    x = first = model.tensor((1, 8), scale=0.1)
    for _ in range(ops):
        y = model.tensor((1, 8), scale=0.1)
        model.op("ADD", [x, x], [y])
        x = y
    for _ in range(unused):
        model.tensor((1, 8), scale=0.1)
    return model.build([first], [x])


def reshaped(numbers: int) -> bytes:
    model = ModelBuilder()
    x, y = model.tensor((1, 8), scale=0.1), model.tensor((1, 8), scale=0.1)
    model.op("RESHAPE", [x], [y], new_shape=[1] * numbers)
    return model.build([x], [y])


def many_inputs(count: int) -> bytes:
    model = ModelBuilder()
    inputs = [model.tensor((1, 8), scale=0.1) for _ in range(count)]
    y = model.tensor((1, 8), scale=0.1)
    model.op("ADD", inputs[:2], [y])
    return model.build(inputs, [y])


def joined(count: int) -> bytes:
    model = ModelBuilder()
    x, y = model.tensor((1, 8), scale=0.1), model.tensor((1, 8 * count), scale=0.1)
    model.op("CONCATENATION", [x] * count, [y], axis=1)
    return model.build([x], [y])


def signed(count: int) -> bytes:
    model = ModelBuilder()
    x, y = model.tensor((1, 8), scale=0.1), model.tensor((1, 8), scale=0.1)
    model.op("ADD", [x, x], [y])
    for number in range(count):
        model.signature(f"s{number}", [x], [y])
    return model.build([x], [y])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (partial(chain, 2049), "it has 2,049 ops, more than 2,048"),
        (partial(chain, 1, unused=65_536), "it has 65,538 tensors, more than 65,536"),
        (partial(reshaped, 1025), "1,025 numbers in its new_shape"),
        (partial(many_inputs, 1025), "it has 1,025 inputs and outputs, more than 1,024"),
        (partial(joined, 65_536), "it has 65,537 inputs and outputs of ops, more than 65,536"),
        (partial(signed, 4097), "it has 4,097 signatures, more than 4,096"),
    ],
    ids=["ops", "tensors", "option", "edges", "operands", "signatures"],
)
def test_how_many_of_a_kind_a_file_may_have(make: Callable[[], bytes], words: str) -> None:
    with pytest.raises(ModelError, match=words) as caught:
        tflite_model.parse(make(), "model")
    assert "no microcontroller's model has as many" in caught.value.hint


def test_the_conflicts_of_a_long_chain_are_as_many_as_its_buffers() -> None:
    buffers = [allocator.Buffer(16, time, time + 1) for time in range(5000)]
    assert allocator._Placer(buffers, {}).work == 2 * 4999
    assert allocator.needed(buffers, {}) == {0: 16, **dict.fromkeys(range(1, 5000), 32)}


def test_inputs_that_no_board_holds_are_not_filled_on_the_host() -> None:
    graph = tflite_model.parse(one("REDUCE_MAX", [((1 << 31) - 1,)], (), [0], keep_dims=False), "model")
    tracemalloc.start()
    (refused,) = TflmEngine().refusals(graph)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "its inputs take 2,147,483,647 bytes" in refused.reason and peak < 1 << 20
