"""Shapes that the file leaves open, and what is computed from constants: settled when the model is read."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import native
import numpy as np
import pytest
from model_builder import ModelBuilder

from tinydeploy.errors import ModelError
from tinydeploy.host.reference import Reference
from tinydeploy.model.canonicalize.constant_ops import Call
from tinydeploy.model.canonicalize.shape_inference import RULES
from tinydeploy.model.graph import Graph
from tinydeploy.model.readers import tflite_model

Q = {"scale": 0.1, "zero_point": -3}


class Shapes(ModelBuilder):
    """Also makes the ops by which a converter computes shapes; each method returns its output's index."""

    def ints(self, *values: int) -> int:
        return self.tensor((len(values),), "int32", data=values)

    def grid(self, *shape: int) -> int:
        return self.tensor(shape, "int32", data=np.arange(np.prod(shape)))

    def scalar(self, value: int) -> int:
        return self.tensor((), "int32", data=value)

    def made(self, kind: str, inputs: Sequence[int], shape: Sequence[int], **options: Any) -> int:
        """An op whose output is int32 of this shape."""
        output = self.tensor(shape, "int32")
        self.op(kind, inputs, [output], **options)
        return output

    def batch(self, of: int, rank: int) -> int:
        """The batch of a tensor, as Keras takes it."""
        shape = self.made("SHAPE", [of], (rank,), out_type="INT32")
        picked = [self.ints(value) for value in (0, 1, 1)]
        return self.made("STRIDED_SLICE", [shape, *picked], (), shrink_axis_mask=1)

    def open(self, shape: Sequence[int], signature: Sequence[int]) -> int:
        return self.tensor(shape, shape_signature=signature, **Q)


def flatten() -> bytes:
    """Keras's Flatten and Dense behind a convolution, with an open batch."""
    random = np.random.default_rng(1)
    model = Shapes()
    x = model.open((1, 5, 5, 2), (-1, 5, 5, 2))
    y = model.open((1, 3, 3, 4), (-1, 3, 3, 4))
    w = model.tensor((4, 3, 3, 2), scale=0.02, data=random.integers(-127, 128, (4, 3, 3, 2)))
    model.op("CONV_2D", [x, w], [y], padding="VALID", stride_h=1, stride_w=1)
    shape = model.made("PACK", [model.batch(y, 4), model.scalar(36)], (2,), values_count=2)
    flat = model.open((1, 36), (-1, 36))
    model.op("RESHAPE", [y, shape], [flat])
    z = model.open((1, 3), (-1, 3))
    w = model.tensor((3, 36), scale=0.02, data=random.integers(-127, 128, (3, 36)))
    model.op("FULLY_CONNECTED", [flat, w], [z])
    return model.build([x], [z])


def tensordot() -> bytes:
    """Keras's Dense on [batch, 5, 6]: the rows of its matrix are a product of extents, 1 in the file."""
    random = np.random.default_rng(2)
    model = Shapes()
    x = model.open((1, 5, 6), (-1, 5, 6))
    shape = model.made("SHAPE", [x], (3,), out_type="INT32")
    parts = []
    for axes in ((0, 1), (2,)):
        picked = model.made("GATHER", [shape, model.ints(*axes)], (len(axes),))
        parts.append(model.made("REDUCE_PROD", [picked, model.ints(0)], ()))
    rows = model.open((1, 1), (-1, -1))
    model.op("RESHAPE", [x, model.made("PACK", parts, (2,), values_count=2)], [rows])
    y = model.open((1, 4), (-1, 4))
    w = model.tensor((4, 6), scale=0.02, data=random.integers(-127, 128, (4, 6)))
    model.op("FULLY_CONNECTED", [rows, w], [y])
    kept = model.made("GATHER", [shape, model.ints(0, 1)], (2,))
    whole = model.made("CONCATENATION", [kept, model.ints(4)], (3,))
    z = model.open((1, 5, 4), (-1, 5, 4))
    model.op("RESHAPE", [y, whole], [z])
    return model.build([x], [z])


def state() -> bytes:
    """The state that an unrolled recurrent layer begins with, and a dilated convolution's blocks."""
    random = np.random.default_rng(3)
    model = Shapes()
    x = model.open((1, 8, 3), (-1, 8, 3))
    blocks = model.open((1, 4, 3), (-1, 4, 3))
    zeros = model.tensor((1, 2), "int32", data=[0, 0])
    model.op("SPACE_TO_BATCH_ND", [x, model.ints(2), zeros], [blocks])
    clamped = model.open((1, 4, 3), (-1, 4, 3))
    model.op("RELU", [blocks], [clamped])
    back = model.open((1, 8, 3), (-1, 8, 3))
    model.op("BATCH_TO_SPACE_ND", [clamped, model.ints(2), zeros], [back])
    summed = model.open((1, 3), (-1, 3))
    model.op("MEAN", [back, model.ints(1)], [summed])
    shape = model.made("PACK", [model.batch(x, 3), model.scalar(3)], (2,), values_count=2)
    start = model.open((1, 3), (-1, 3))
    model.op("FILL", [shape, model.tensor((), data=7, **Q)], [start])
    fed = model.open((1, 3), (-1, 3))
    w = model.tensor((3, 3), scale=0.02, data=random.integers(-127, 128, (3, 3)))
    model.op("FULLY_CONNECTED", [start, w], [fed])
    y = model.open((1, 3), (-1, 3))
    model.op("ADD", [fed, summed], [y])
    return model.build([x], [y])


def parse(model: bytes) -> Graph:
    return tflite_model.parse(model, "m.tflite")


def test_models_with_an_open_batch_run_as_tflite_micro_runs_them() -> None:
    native.assert_parity([flatten(), tensordot(), state()], kernels=[native.PORTABLE])


def test_ops_that_only_compute_shapes_are_folded() -> None:
    graph = parse(flatten())
    assert graph.folded == {1, 2, 3}
    assert [op.kind for op in graph.running] == ["CONV_2D", "RESHAPE", "FULLY_CONNECTED"]
    assert [graph.ops[op.index] for op in graph.running] == list(graph.running)
    shape = graph.tensors[graph.ops[4].inputs[1]]
    assert shape.data is not None and shape.data.tolist() == [1, 36] and not shape.data.flags.writeable
    assert graph.constant_bytes == 72 + 108 + 8
    again = parse(graph.content)
    assert [op.kind for op in again.ops] == ["CONV_2D", "RESHAPE", "FULLY_CONNECTED"] and not again.folded
    assert again.content is again.file
    assert graph.sha256 != again.sha256 and graph.file_bytes == len(flatten())


def test_a_stand_in_becomes_the_shape_that_runs() -> None:
    graph = parse(tensordot())
    assert [graph.tensors[op.outputs[0]].shape for op in graph.running] == [(5, 6), (5, 4), (1, 5, 4)]
    graph = parse(state())
    assert graph.tensors[graph.ops[0].outputs[0]].shape == (2, 4, 3)
    assert "FILL" in [op.kind for op in graph.running]


def test_a_file_without_open_shapes_is_left_alone() -> None:
    model = ModelBuilder()
    x, y = model.tensor((1, 4), **Q), model.tensor((1, 4), **Q)
    model.op("RELU", [x], [y])
    blob = model.build([x], [y])
    assert parse(blob).content is parse(blob).file == blob or parse(blob).content == blob


def assert_rules_hold(graph: Graph) -> None:
    """What the folded ops make has the shapes that their rules say."""
    for op in graph.ops:
        if op.index in graph.folded and op.kind in RULES:
            inputs, outputs = (tuple(graph.tensors[i] for i in each) for each in (op.inputs, op.outputs))
            assert list(RULES[op.kind](Call(op, inputs, outputs))) == [t.shape for t in outputs], op.kind


# Each op on constants, against TFLite Micro, which computes it at run time


def _drawn(random: np.random.Generator, shape: Sequence[int], low: int = -50, high: int = 50) -> Any:
    return random.integers(low, high, tuple(shape))


def constants(seed: int) -> bytes:
    """A model whose outputs but the first are computed from constants, by ops that TFLite Micro has."""
    random = np.random.default_rng(seed)
    model = Shapes()
    outputs: list[int] = []
    rows, columns = (int(n) for n in random.integers(1, 5, 2))

    def constant(shape: Sequence[int], dtype: str = "int32", data: Any = None) -> int:
        values = _drawn(random, shape) if data is None else data
        return model.tensor(shape, dtype, data=values)

    def add(
        kind: str, inputs: Sequence[int], *shapes: Sequence[int], dtype: str = "int32", **options: Any
    ) -> None:
        made = [model.tensor(shape, dtype) for shape in shapes]
        model.op(kind, inputs, made, **options)
        outputs.extend(made)

    whole = (rows, columns)
    a, b = constant(whole), constant((columns,))
    for kind in ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM"):
        add(kind, [a, b], whole)
    above = constant(whole, data=_drawn(random, whole, 1, 9))
    for kind in ("EQUAL", "NOT_EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"):
        add(kind, [a, above], whole, dtype="bool")
    flags = [constant(whole, "bool", _drawn(random, whole, 0, 2)) for _ in range(2)]
    add("LOGICAL_AND", flags, whole, dtype="bool")
    add("LOGICAL_OR", flags, whole, dtype="bool")
    add("LOGICAL_NOT", flags[:1], whole, dtype="bool")
    add("CAST", [a], whole, dtype="int8", in_data_type="INT32", out_data_type="INT8")
    add(
        "GATHER",
        [constant(whole, "int8"), model.ints(*_drawn(random, (3,), 0, rows))],
        (3, columns),
        dtype="int8",
        axis=0,
    )
    add("CONCATENATION", [a, a], (rows, 2 * columns), axis=1)
    add("PACK", [a, above], (rows, 2, columns), axis=1, values_count=2)
    add("UNPACK", [a], *[(columns,)] * rows, axis=0, num=rows)
    add("SPLIT", [model.scalar(0), constant((4, 3))], (2, 3), (2, 3), num_splits=2)
    add("SPLIT_V", [constant((4, 3)), model.ints(1, -1), model.scalar(0)], (1, 3), (3, 3), num_splits=2)
    add("RESHAPE", [a, model.ints(-1)], (rows * columns,))
    add("EXPAND_DIMS", [constant((2, 3), "int8"), model.ints(1)], (2, 1, 3), dtype="int8")
    add("SQUEEZE", [constant((2, 1, 3))], (2, 3), squeeze_dims=[1])
    add("TRANSPOSE", [constant((2, 3, 4), "int8"), model.ints(2, 0, 1)], (4, 2, 3), dtype="int8")
    add("BROADCAST_TO", [b, model.ints(3, *whole)], (3, *whole))
    add("BROADCAST_ARGS", [model.ints(4, 1, 3), model.ints(5, 3)], (3,))
    add("FILL", [model.ints(2, 3), model.scalar(int(random.integers(99)))], (2, 3))
    add("ZEROS_LIKE", [a], whole)
    add("SHAPE", [constant((2, 3, 4))], (3,), out_type="INT32")
    add("SELECT_V2", [flags[0], constant(whole, "int8"), constant(whole, "int8")], whole, dtype="int8")
    _slices(model, random, add, constant)
    x, y = model.tensor((1,), **Q), model.tensor((1,), **Q)
    model.op("RELU", [x], [y])
    return model.build([x], [y, *outputs])


def _slices(
    model: Shapes, random: np.random.Generator, add: Callable[..., None], constant: Callable[..., int]
) -> None:
    extents = (4, 5, 3)
    source = constant(extents)
    begins = [int(random.integers(0, n)) for n in extents]
    sizes = [int(random.integers(1, n - b + 1)) for n, b in zip(extents, begins, strict=True)]
    add("SLICE", [source, model.ints(*begins), model.ints(*sizes)], sizes)
    for _ in range(4):
        begins = [int(random.integers(-n - 1, n + 1)) for n in extents]
        ends = [int(random.integers(-n - 1, n + 2)) for n in extents]
        steps = [int(random.choice((-2, -1, 1, 2))) for _ in extents]
        masks = [int(random.integers(0, 8)) for _ in range(2)]
        shrunk = int(random.integers(0, 8))
        chosen: list[Any] = []
        for i, n in enumerate(extents):
            if shrunk >> i & 1:
                steps[i], begins[i] = 1, int(random.integers(-n, n))
                chosen.append(0 if masks[0] >> i & 1 else begins[i])
            else:
                first = None if masks[0] >> i & 1 else begins[i]
                last = None if masks[1] >> i & 1 else ends[i]
                chosen.append(slice(first, last, steps[i]))
        shape = np.zeros(extents)[tuple(chosen)].shape
        if 0 not in shape:
            bounds = [model.ints(*values) for values in (begins, ends, steps)]
            options = {"begin_mask": masks[0], "end_mask": masks[1], "shrink_axis_mask": shrunk}
            add("STRIDED_SLICE", [source, *bounds], shape, **options)


@pytest.mark.parametrize("seed", range(2 * native.FACTOR))
def test_constants_are_what_tflite_micro_computes(seed: int) -> None:
    blob = constants(seed)
    graph = parse(blob)
    assert len(graph.folded) == len(graph.ops) - 1, [
        graph.ops[i].kind for i in range(len(graph.ops)) if i not in graph.folded
    ]
    assert_rules_hold(graph)
    with Reference(blob) as reference:
        expected = reference.run([np.zeros((1, 1), np.int8)])[1:]
    with Reference(graph.content) as reference:
        rewritten = reference.run([np.zeros((1, 1), np.int8)])[1:]
    for index, theirs, again in zip(graph.outputs[1:], expected, rewritten, strict=True):
        tensor = graph.tensors[index]
        assert tensor.data is not None
        maker = next(op.kind for op in graph.ops if index in op.outputs)
        np.testing.assert_array_equal(tensor.data, theirs[0].reshape(tensor.shape), maker)
        np.testing.assert_array_equal(tensor.data, again[0].reshape(tensor.shape), maker)


def only(kind: str, inputs: Callable[[Shapes], Sequence[int]], shape: Sequence[int], **options: Any) -> bytes:
    """A model with an op on constants, whose output is int32 of `shape`."""
    model = Shapes()
    made = model.made(kind, inputs(model), shape, **options)
    x, y = model.tensor((1, 4), **Q), model.tensor((1, 4), **Q)
    model.op("RELU", [x], [y])
    return model.build([x], [y, made])


@pytest.mark.parametrize(
    ("kind", "inputs", "value", "options"),
    [
        ("DIV", lambda m: [m.ints(7, -7, 7, -7), m.ints(2, 2, -2, -2)], [3, -3, -3, 3], {}),
        ("FLOOR_DIV", lambda m: [m.ints(7, -7, 7, -7), m.ints(2, 2, -2, -2)], [3, -4, -4, 3], {}),
        ("FLOOR_MOD", lambda m: [m.ints(7, -7, 7, -7), m.ints(3, 3, -3, -3)], [1, 2, -2, -1], {}),
        ("REDUCE_PROD", lambda m: [m.ints(2, 3, 4), m.ints(0)], 24, {}),
        ("REDUCE_MAX", lambda m: [m.grid(2, 3), m.ints(-2)], [3, 4, 5], {}),
        ("REDUCE_MIN", lambda m: [m.ints(2, -3, 4), m.ints(0)], -3, {}),
        ("SUM", lambda m: [m.ints(2, -3, 4), m.ints(-1)], [3], {"keep_dims": True}),
        ("RANGE", lambda m: [m.scalar(7), m.scalar(-1), m.scalar(-3)], [7, 4, 1], {}),
        ("RANK", lambda m: [m.tensor((2, 1, 3), "int32", data=[0] * 6)], 3, {}),
        ("TILE", lambda m: [m.ints(1, 2), m.ints(2)], [1, 2, 1, 2], {}),
        ("NEG", lambda m: [m.ints(1, -2)], [-1, 2], {}),
        ("ABS", lambda m: [m.ints(1, -2)], [1, 2], {}),
        ("MUL", lambda m: [m.ints(2**30), m.ints(6)], [-(2**31)], {}),
        ("REVERSE_V2", lambda m: [m.ints(1, 2, 3), m.ints(0)], [3, 2, 1], {}),
        ("STRIDED_SLICE", lambda m: [m.ints(5, 6), m.ints(0, 1), m.ints(0, 2), m.ints(1, 1)], [[6]],
         {"new_axis_mask": 1}),
        ("STRIDED_SLICE", lambda m: [m.grid(1, 2, 2), m.ints(0, 1), m.ints(0, 2), m.ints(1, 1)], [[[1], [3]]],
         {"ellipsis_mask": 1}),
    ],
)  # fmt: skip
def test_ops_that_tflite_micro_lacks(
    kind: str, inputs: Callable[[Shapes], Sequence[int]], value: Any, options: dict[str, Any]
) -> None:
    graph = parse(only(kind, inputs, np.shape(value), **options))
    assert_rules_hold(graph)
    data = graph.tensors[graph.outputs[1]].data
    assert data is not None and data.tolist() == value and graph.folded == {0}


# What is refused, or left as it is


@pytest.mark.parametrize(
    ("kind", "inputs", "shape", "message"),
    [
        ("FILL", lambda m: [m.ints(2**30, 2), m.scalar(1)], (4,), r"it makes \[1073741824, 2\]"),
        ("FILL", lambda m: [m.ints(-1), m.scalar(1)], (4,), r"it makes \[-1\]"),
        ("BROADCAST_TO", lambda m: [m.scalar(1), m.ints(2**30)], (4,), r"it makes \[1073741824\]"),
        ("TILE", lambda m: [m.ints(1, 2), m.ints(2**30)], (4,), "it makes"),
        ("RANGE", lambda m: [m.scalar(0), m.scalar(2**31 - 1), m.scalar(1)], (4,), "it makes"),
        ("RANGE", lambda m: [m.scalar(0), m.scalar(4), m.scalar(0)], (4,), "zero"),
        ("RESHAPE", lambda m: [m.ints(1, 2), m.ints(4)], (4,), "cannot reshape"),
        ("DIV", lambda m: [m.ints(1), m.ints(0)], (1,), "divides by zero"),
        ("FLOOR_MOD", lambda m: [m.ints(1), m.ints(0)], (1,), "divides by zero"),
        ("ADD", lambda m: [m.ints(1, 2), m.ints(1, 2, 3)], (3,), "broadcast"),
        ("ADD", lambda m: [m.grid(4000, 1), m.ints(*range(4000))], (4,), "it makes"),
        ("GATHER", lambda m: [m.ints(1, 2), m.ints(0, 2)], (2,), "picks beyond"),
        ("GATHER", lambda m: [m.ints(1, 2), m.ints(0, -1)], (2,), "picks beyond"),
        ("SLICE", lambda m: [m.ints(1, 2), m.ints(1), m.ints(2)], (2,), "reaches beyond"),
        ("CONCATENATION", lambda m: [m.ints(1, 2), m.scalar(2)], (3,), "axis|dimension"),
        ("TRANSPOSE", lambda m: [m.ints(1, 2), m.ints(1)], (2,), "axis"),
        ("STRIDED_SLICE", lambda m: [m.ints(1, 2), *(m.ints(0) for _ in range(3))], (1,), "a stride is 0"),
        ("STRIDED_SLICE", lambda m: [m.ints(1, 2), m.ints(0), m.ints(1), m.ints(1)], (2,), r"it makes \[1\]"),
        ("SHAPE", lambda m: [m.ints(1, 2)], (2,), r"it makes \[1\]"),
        ("UNPACK", lambda m: [m.ints(1, 2)], (), "it makes 2 tensors"),
        ("SPLIT", lambda m: [m.scalar(3), m.ints(1, 2)], (2,), "axis 3 is out of range"),
        ("SELECT_V2", lambda m: [m.ints(1), m.ints(1), m.ints(1)], (1,), "differ in type"),
        ("CAST", lambda m: [m.tensor((1,), "int8", data=[1])], (2,), "it makes"),
        ("EQUAL", lambda m: [m.ints(1), m.ints(1)], (1,), "it makes bool"),
    ],
)  # fmt: skip
def test_contradictions_are_refused_and_cost_nothing(
    kind: str, inputs: Callable[[Shapes], Sequence[int]], shape: Sequence[int], message: str
) -> None:
    blob = only(kind, inputs, shape)
    tracemalloc.start()
    started = time.monotonic()
    with pytest.raises(ModelError, match=message) as caught:
        parse(blob)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
    assert time.monotonic() - started < 30  # not a measurement: making them would take gigabytes
    assert f"op 0 ({kind})" in caught.value.message and caught.value.hint


def test_what_is_large_stays_an_op() -> None:
    graph = parse(only("FILL", lambda m: [m.ints(2**22 + 1), m.scalar(1)], (2**22 + 1,)))
    assert not graph.folded
    model = Shapes()
    values = model.scalar(1)
    fills = [model.made("FILL", [model.ints(2**20), values], (2**20,)) for _ in range(6)]
    x, y = model.tensor((1, 4), **Q), model.tensor((1, 4), **Q)
    model.op("RELU", [x], [y])
    assert len(parse(model.build([x], [y, *fills])).folded) == 3  # of 4 MB each


def test_quantised_numbers_are_not_computed_with() -> None:
    model = ModelBuilder()
    a, b = (model.tensor((3,), data=[1, 2, 3], **Q) for _ in range(2))
    c, y, x = (model.tensor((3,), **Q) for _ in range(3))
    model.op("ADD", [a, b], [c])
    model.op("ADD", [c, x], [y])
    assert not parse(model.build([x], [y])).folded


def test_a_shape_known_only_at_run_time_is_named() -> None:
    model = Shapes()
    x, shape = model.tensor((1, 6), **Q), model.tensor((2,), "int32")
    y = model.open((1, 1), (-1, -1))
    model.op("RESHAPE", [x, shape], [y])
    with pytest.raises(ModelError, match=r"op 0 \(RESHAPE\).*input 1 is computed at run time") as caught:
        parse(model.build([x, shape], [y]))
    assert "batch_size=1" in caught.value.hint

    model = Shapes()
    x, y = model.tensor((1, 6), **Q), model.open((1, 1), (-1, -1))
    model.op("RESHAPE", [x, model.ints(5, -1)], [y])
    with pytest.raises(ModelError, match=r"op 0 \(RESHAPE\).*6 elements have no shape"):
        parse(model.build([x], [y]))


def test_a_shape_computed_at_run_time_that_the_file_knows() -> None:
    model = Shapes()
    x, shape = model.tensor((1, 6), **Q), model.tensor((2,), "int32")
    y = model.tensor((2, 3), **Q)
    model.op("RESHAPE", [x, shape], [y])
    assert [op.kind for op in parse(model.build([x, shape], [y])).running] == ["RESHAPE"]


def test_an_op_without_a_rule_behind_a_changed_shape() -> None:
    model = Shapes()
    x, rows = model.tensor((1, 6), **Q), model.open((1, 1), (-1, 3))
    y, z = model.open((1, 3), (-1, 3)), model.open((1, 3), (-1, 3))
    model.op("RESHAPE", [x, model.ints(-1, 3)], [rows])
    model.op("unknown", [rows], [y], custom=True)
    model.op("RELU", [y], [z])
    with pytest.raises(ModelError, match=r"op 1 \(CUSTOM:unknown\).*hangs on tensor 1"):
        parse(model.build([x], [z]))


def test_scalars_and_their_empty_shapes() -> None:
    model = Shapes()
    x, y, z = model.tensor((1, 1), **Q), model.tensor((), **Q), model.tensor((1,), **Q)
    model.op("RESHAPE", [x, model.ints()], [y])
    model.op("RESHAPE", [y, model.ints(1)], [z])
    native.assert_parity([model.build([x], [z])], kernels=[native.PORTABLE])
