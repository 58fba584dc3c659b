"""Float between DEQUANTIZE and QUANTIZE: done on integers bit for bit as TFLite Micro, or refused by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import native
import numpy as np
import pytest
from model_builder import ModelBuilder

from tinydeploy.engines.aot.arithmetic import tables
from tinydeploy.engines.aot.pipeline import AotEngine, lower
from tinydeploy.engines.aot.rewrite import float_tables
from tinydeploy.engines.tflm.tflm_engine import TflmEngine
from tinydeploy.host import reference
from tinydeploy.model.readers import tflite_model

UNARY = (
    *("ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "HARD_SWISH", "LOG", "LOGISTIC", "NEG", "RELU", "RELU6"),
    *("ROUND", "RSQRT", "SIN", "SQRT", "SQUARE", "TANH", "LEAKY_RELU"),
)
BINARY = ("ADD", "DIV", "MAXIMUM", "MINIMUM", "MUL", "SUB", "SQUARED_DIFFERENCE", "PRELU")
CODES = {"int8": np.arange(-128, 128), "int16": np.arange(-(2**15), 2**15)}


class Island:
    """A model of one int8 input, what is made of it in float, and quantised outputs."""

    def __init__(self, shape: Sequence[int] = (2, 128), dtype: str = "int8", **quantisation: Any) -> None:
        self.model = ModelBuilder()
        self.dtype = dtype
        given = {"scale": 0.05 if dtype == "int8" else 2e-4, "zero_point": 3 if dtype == "int8" else 0}
        self.input = self.model.tensor(shape, dtype, **{**given, **quantisation})
        self.shape = tuple(shape)
        self.outputs: list[int] = []

    def constant(self, value: float) -> int:
        return self.model.tensor((), "float32", data=value)

    def op(self, kind: str, inputs: Sequence[int], shape: Sequence[int] | None = None, **options: Any) -> int:
        output = self.model.tensor(shape or self.shape, "float32")
        self.model.op(kind, inputs, [output], **options)
        return output

    def start(self, x: int | None = None, shape: Sequence[int] | None = None) -> int:
        return self.op("DEQUANTIZE", [self.input if x is None else x], shape)

    def end(self, x: int, shape: Sequence[int] | None = None, dtype: str = "", scale: float = 0.04) -> int:
        wide = (dtype or self.dtype) == "int16"
        quantisation = {"scale": scale / 256 if wide else scale, "zero_point": 0 if wide else -9}
        output = self.model.tensor(shape or self.shape, dtype or self.dtype, **quantisation)
        self.model.op("QUANTIZE", [x], [output])
        self.outputs.append(output)
        return output

    def build(self, *more: int) -> bytes:
        return self.model.build([self.input], [*self.outputs, *more])


def left(blob: bytes) -> list[tuple[int, list[str]]]:
    """By op that is left, its kernels."""
    program, refusals = lower(tflite_model.parse(blob, "model"))
    assert not refusals
    return [(op.index, [step.kernel for step in steps]) for op, steps in program.ops]


def refused(blob: bytes) -> list[str]:
    graph = tflite_model.parse(blob, "model")
    return [f"{graph.ops[r.op].kind}: {r.reason}" for r in AotEngine().refusals(graph)]


def assert_all_codes(*islands: Island) -> None:
    """Every output equals TFLite Micro's for every integer that there is."""
    blobs = [island.build() for island in islands]
    graphs = [tflite_model.parse(blob, f"island {i}") for i, blob in enumerate(blobs)]
    for native_, blob, island in zip(native.compile_all(graphs), blobs, islands, strict=True):
        sample = CODES[island.dtype].astype(island.dtype).reshape(island.shape)
        for mine, theirs in zip(native_.run([[sample]])[0], native.tflm(blob, [[sample]])[0], strict=True):
            assert mine.tobytes() == theirs.tobytes()


def softplus(i: Island, x: int) -> int:
    return i.op("LOG", [i.op("ADD", [i.op("EXP", [x]), i.constant(1.0)])])


def test_each_function_is_a_table() -> None:
    island = Island()
    x = island.start()
    for kind in UNARY:
        island.end(island.op(kind, [x], **({"alpha": 0.2} if kind == "LEAKY_RELU" else {})))
    for kind in BINARY:
        for value in (0.7, -1.3):
            inputs = [x, island.constant(value)]
            island.end(island.op(kind, inputs if kind == "PRELU" or value > 0 else inputs[::-1]))
    assert {str(kernels) for _, kernels in left(island.build())} == {"['lookup']"}
    assert_all_codes(island)


def test_compositions() -> None:
    island = Island(scale=0.07, zero_point=-20)
    x = island.start()
    island.end(softplus(island, x))
    island.end(island.op("MUL", [x, island.op("TANH", [softplus(island, x)])]))  # mish
    island.end(island.op("MUL", [island.op("LOGISTIC", [x]), x], fused_activation_function="RELU"))
    island.end(island.op("DIV", [x, island.op("ADD", [island.op("ABS", [x]), island.constant(1.0)])]))
    positive = island.model.tensor(island.shape, "bool")
    island.model.op("GREATER", [x, island.constant(0.0)], [positive])
    slope = island.op("MUL", [island.op("ELU", [x]), island.constant(1.758)])
    island.end(island.op("SELECT_V2", [positive, x, slope]))
    assert len(left(island.build())) == 5
    assert_all_codes(island)


def test_of_int16_lines_and_what_is_beyond_them() -> None:
    island = Island((256, 256), "int16")
    x = island.start()
    for kind in ("ELU", "TANH", "NEG", "LOGISTIC", "SIN"):
        island.end(island.op(kind, [x]))
    island.end(island.op("ELU", [x]), dtype="int8")
    assert {str(kernels) for _, kernels in left(island.build())} == {"['lookup_lines']"}
    assert_all_codes(island)


@pytest.mark.parametrize("noise", [0, 1, 2, 5])
def test_packed_lines_are_exact(noise: int) -> None:
    table = np.arange(2**16) // 3 + np.random.default_rng(noise).integers(0, noise, 2**16, endpoint=True)
    found = tables.packed_lines(table)
    assert found is not None and found.bytes <= tables.MAX_PACKED_BYTES
    at = np.arange(2**16)
    knots, along = at >> found.shift, at & ((1 << found.shift) - 1)
    lines = found.knots[knots] + ((np.diff(found.knots)[knots] * along) >> found.shift)
    rest = found.rest[at * found.bits >> 3] >> (at * found.bits & 7) & ((1 << found.bits) - 1)
    assert np.array_equal(lines + found.least + rest, table)


def test_a_function_that_jumps_is_no_small_table() -> None:
    island = Island((256, 256), "int16")
    island.end(island.op("ROUND", [island.start()]))
    (reason,) = refused(island.build())
    assert reason.startswith("QUANTIZE: as a function of an int16 it is too far from smooth")


def moves() -> bytes:
    """SPLIT, TRANSPOSE, SLICE and their like in float; parts with functions of their own."""
    island = Island((1, 4, 6, 8))
    model, x = island.model, island.start()
    halves = [model.tensor((1, 4, 6, 4), "float32") for _ in range(2)]
    model.op("SPLIT", [model.tensor((), "int32", data=3), x], halves, num_splits=2)
    island.end(island.op("ELU", [halves[0]], (1, 4, 6, 4)), (1, 4, 6, 4))
    order = model.tensor((4,), "int32", data=[0, 2, 1, 3])
    turned = island.op("TRANSPOSE", [halves[1], order], (1, 6, 4, 4))
    flat = island.op("RESHAPE", [turned, model.tensor((2,), "int32", data=[1, 96])], (1, 96))
    island.end(flat, (1, 96), scale=0.05)
    island.end(island.op("NEG", [flat], (1, 96)), (1, 96))
    parts = [halves[0], island.op("MUL", [halves[1], island.constant(1.0)], (1, 4, 6, 4))]
    begin, size = (model.tensor((4,), "int32", data=v) for v in ([0, 1, 2, 1], [1, 3, 2, 3]))
    sliced = island.op("SLICE", [halves[0], begin, size], (1, 3, 2, 3))
    island.end(island.op("SIN", [sliced], (1, 3, 2, 3)), (1, 3, 2, 3))
    pads = model.tensor((4, 2), "int32", data=[[0, 0], [1, 0], [0, 2], [0, 0]])
    island.end(island.op("PAD", [halves[1], pads], (1, 5, 8, 4)), (1, 5, 8, 4))
    up = island.op("RESIZE_NEAREST_NEIGHBOR", [x, model.tensor((2,), "int32", data=[8, 12])], (1, 8, 12, 8))
    island.end(island.op("EXP", [up], (1, 8, 12, 8)), (1, 8, 12, 8))
    island.end(island.op("CONCATENATION", [halves[0], halves[0]], (1, 4, 6, 8), axis=3), (1, 4, 6, 8))
    island.end(island.op("CONCATENATION", parts, (1, 4, 6, 8), axis=3), (1, 4, 6, 8))
    return island.build()


def joins() -> bytes:
    """Tensors of different scales, and a constant, joined in float."""
    model = ModelBuilder()
    inputs = [model.tensor((1, 3, 2), scale=s, zero_point=z) for s, z in ((0.05, 3), (0.02, -7), (0.1, 0))]
    floats = [model.tensor((1, 3, 2), "float32") for _ in range(5)]
    for x, y in zip(inputs, floats, strict=False):
        model.op("DEQUANTIZE", [x], [y])
    model.op("ELU", [floats[2]], [floats[3]])
    constant = model.tensor((1, 3, 2), "float32", data=np.array([0.5, -0.25, 0.5, 1, 2, 0]).reshape(1, 3, 2))
    joined = model.tensor((1, 3, 8), "float32")
    model.op("CONCATENATION", [floats[0], floats[1], floats[3], constant], [joined], axis=-1)
    model.op("TANH", [joined], [after := model.tensor((1, 3, 8), "float32")])
    packed = model.tensor((1, 2, 3, 2), "float32")
    model.op("PACK", floats[:2], [packed], axis=1, values_count=2)
    ends = []
    for made, shape in ((joined, (1, 3, 8)), (after, (1, 3, 8)), (packed, (1, 2, 3, 2))):
        ends.append(model.tensor(shape, scale=0.03, zero_point=-4))
        model.op("QUANTIZE", [made], [ends[-1]])
    return model.build(inputs, ends)


def several() -> bytes:
    """Two islands in a row, one with two consumers, a DEQUANTIZE with several readers, layers around."""
    island = Island((1, 5, 5, 4))
    model, random = island.model, np.random.default_rng(0)

    def conv(x: int) -> int:
        w = model.tensor((4, 3, 3, 4), scale=0.01, data=random.integers(-127, 128, (4, 3, 3, 4)))
        y = model.tensor(island.shape, scale=0.06, zero_point=5)
        model.op("CONV_2D", [x, w], [y], padding="SAME", stride_h=1, stride_w=1)
        return y

    first = island.start(conv(island.input))
    elu = island.op("ELU", [first])
    a, b = island.end(elu), island.end(elu, scale=0.09)
    island.end(island.op("NEG", [first]))
    second = island.start(conv(a))
    island.end(island.op("EXP", [island.start(island.end(softplus(island, second)))]))
    both = model.tensor(island.shape, scale=0.1)
    model.op("ADD", [b, conv(b)], [both])
    island.outputs.append(both)
    return island.build()


def edges() -> bytes:
    """Float outputs of moves and functions; a float input that only moves."""
    island = Island((1, 4, 6))
    model, x = island.model, island.start()
    flat = island.op("RESHAPE", [x, model.tensor((2,), "int32", data=[1, 24])], (1, 24))
    sine = island.op("SIN", [x])
    island.end(sine)
    island.end(island.op("NEG", [x]))
    root = island.op("RSQRT", [island.op("ABS", [x])])  # infinite at zero
    given = model.tensor((1, 4, 6), "float32")
    turned = island.op("RESHAPE", [given, model.tensor((2,), "int32", data=[1, 24])], (1, 24))
    island.end(turned, (1, 24))
    return model.build([island.input, given], [*island.outputs, flat, sine, root])


def constants() -> bytes:
    """Constants of int8 that are dequantised: one number to compute with, and a part of a join."""
    island = Island((1, 12))
    model, x = island.model, island.start()
    one = island.start(model.tensor((1,), scale=0.01, zero_point=4, data=[104]), (1,))
    island.end(island.op("ADD", [island.op("EXP", [x]), one]))
    token = model.tensor((1, 3), scale=0.05, zero_point=3, data=[[1, -2, 3]])
    parts = [island.start(token, (1, 3)), x]
    island.end(island.op("CONCATENATION", parts, (1, 15), axis=1), (1, 15))
    return island.build()


MADE: tuple[Callable[[], bytes], ...] = (moves, joins, several, edges, constants)


def test_islands_of_all_kinds_equal_tflite_micro() -> None:
    native.assert_parity([make() for make in MADE], kernels=(native.PORTABLE, native.DSP))


def test_sanitizers_find_nothing() -> None:
    native.assert_parity([joins(), moves()], sanitize=True, kernels=(native.PORTABLE,))


def test_what_moves_is_moved_as_integers() -> None:
    program, refusals = lower(tflite_model.parse(moves(), "model"))
    assert not refusals
    tensors = {a.tensor for _, steps in program.ops for s in steps for a in s.args if hasattr(a, "tensor")}
    assert {program.graph.tensors[t].dtype.value for t in tensors} == {"int8"}


def test_an_island_that_changes_nothing_costs_nothing() -> None:
    island = Island(scale=0.05, zero_point=-9)
    island.end(island.start(), scale=0.05)
    model = island.model
    twice = model.tensor(island.shape, scale=0.05, zero_point=-9)
    model.op("MAXIMUM", [island.outputs[0], island.input], [twice])
    island.outputs = [twice]
    assert [index for index, _ in left(island.build())] == [2]
    assert_all_codes(island)


def test_a_quantised_op_without_a_kernel_is_a_table_too() -> None:
    model = ModelBuilder()
    x = model.tensor((1, 256), scale=0.02, zero_point=-128)
    y = model.tensor((1, 256), scale=0.07, zero_point=-128)
    model.op("RSQRT", [x], [y])
    blob = model.build([x], [y])
    assert left(blob) == [(0, ["lookup"])]
    native.assert_parity([blob], kernels=(native.PORTABLE,))


def float_op(kind: str, shape: Sequence[int] = (2, 128), **options: Any) -> bytes:
    island = Island()
    island.end(island.op("ELU", [island.op(kind, [island.start()], shape, **options)], shape), shape)
    return island.build()


@pytest.mark.parametrize(
    ("blob", "reason"),
    [
        (float_op("LOG_SOFTMAX"), "LOG_SOFTMAX: it computes in float32; end the model before it"),
        (float_op("SOFTMAX", beta=1.0), "SOFTMAX: it computes in float32; end the model before it"),
        (float_op("L2_NORMALIZATION"), "L2_NORMALIZATION: it computes in float32; TFLite quantises it"),
        (float_op("CUMSUM"), "CUMSUM: it computes in float32; leave it out of the model"),
        (float_op("GELU"), "GELU: TFLite Micro refuses it: Didn't find op for builtin opcode 'GELU'"),
    ],
)
def test_the_op_that_stays_float_is_named(blob: bytes, reason: str) -> None:
    (said,) = refused(blob)  # nothing of those around it
    assert said.startswith(reason)
    graph = tflite_model.parse(blob, "model")
    if "SOFTMAX" in reason:
        assert not TflmEngine().refusals(graph)


def test_two_tensors_in_float_are_refused() -> None:
    island = Island()
    other = island.model.tensor(island.shape, scale=0.1)
    island.end(island.op("MUL", [island.start(), island.start(other)]))
    blob = island.model.build([island.input, other], island.outputs)
    assert refused(blob) == [
        "MUL: it takes two different tensors in float32, so that no table of one will do"
    ]


def test_a_constant_for_each_channel_is_refused() -> None:
    island = Island()
    channels = island.model.tensor((128,), "float32", data=np.arange(128))
    island.end(island.op("MUL", [island.start(), channels]))
    said = "MUL: it takes a constant in float32 that differs from element to element"
    assert refused(island.build()) == [said]


def test_a_float_input_that_is_computed_with_is_refused() -> None:
    model = ModelBuilder()
    x, y, z = (
        model.tensor((1, 8), dtype, **q)
        for dtype, q in zip(("float32", "float32", "int8"), ({}, {}, {"scale": 0.1}), strict=True)
    )
    model.op("ELU", [x], [y])
    model.op("QUANTIZE", [y], [z])
    (said,) = refused(model.build([x], [z]))
    assert "inference_input_type = tf.int8" in said


def test_without_tflite_micro_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reference, "available", lambda: False)
    island = Island()
    island.end(island.op("ELU", [island.start()]))
    assert refused(island.build()) == [
        "QUANTIZE: its table comes from TFLite Micro's kernels, and the package tflite-micro is missing"
    ]


def test_a_function_of_too_many_ops_is_refused() -> None:
    island = Island()
    x = island.start()
    for _ in range(float_tables.MAX_NODES):
        x = island.op("MUL", [x, x])
    island.end(x)
    assert any("more than" in reason for reason in refused(island.build()))
