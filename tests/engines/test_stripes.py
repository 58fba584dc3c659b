"""Runs of ops in stripes and patches: the outputs stay those of TFLite Micro, and the arena shrinks."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import native
import numpy as np
import pytest
import random_graphs
from model_builder import ModelBuilder
from nightly import turn
from small_nets import block

from tinydeploy import verbs
from tinydeploy.boards.board import Board
from tinydeploy.engines.aot.emit import emit
from tinydeploy.engines.aot.ir import Program
from tinydeploy.engines.aot.kernels.cores.kernel_sets import kernels_of
from tinydeploy.engines.aot.kernels.kernel_selection import select
from tinydeploy.engines.aot.memory import arena_plan
from tinydeploy.engines.aot.own_ops import WindowOp
from tinydeploy.engines.aot.pipeline import AotEngine, lower
from tinydeploy.engines.aot.tiling import stripes
from tinydeploy.engines.aot.tiling.windows import ROWS, goes_by
from tinydeploy.engines.engine import EngineSources
from tinydeploy.model.graph import Graph
from tinydeploy.model.ops import catalogue
from tinydeploy.model.ops.op_kind import GoesBy
from tinydeploy.model.readers import tflite_model
from tinydeploy.report import html

CHAINED = [
    *("CONV_2D", *["CONV_2D, ADD"] * 3, *["DEPTHWISE_CONV_2D"] * 2, "AVERAGE_POOL_2D", "MAX_POOL_2D"),
    *(
        "ADD",
        "ADD",
        "MUL",
        "MAXIMUM",
        "RELU",
        "LEAKY_RELU",
        "LOGISTIC",
        "SOFTMAX",
        "QUANTIZE",
        "RESHAPE",
        "PAD",
    ),
]


class Picture(random_graphs.Maker):
    """A random graph of tall pictures, whose ops mostly take what one of the last ops made."""

    def shape(self, rank: int | None = None) -> tuple[int, ...]:
        height, width, depth = (self.random.randint(*limits) for limits in ((4, 21), (1, 9), (1, 8)))
        return (1, height, width, depth)

    def pick(self, rank: int | None = None, **which: Any) -> random_graphs.Value:
        kept, back = self.values, self.random.choice((1, 1, 1, 2, 3))
        self.values = kept[-back:][:1]
        count = len(self.values)
        try:
            return super().pick(4, **which)
        finally:
            self.values = kept + self.values[count:]


def picture(seed: int) -> bytes:
    """Six ops, of any stride, dilation, padding and multiplier, that mostly keep rows and columns."""
    return random_graphs.chained(Picture, seed, CHAINED, 6)


def pictures(first: int, count: int) -> list[bytes]:
    """So many of them, but for the few whose scales are too far apart for the engine."""
    models = map(picture, range(first, first + count))
    return [model for model in models if not lower(tflite_model.parse(model, "model"))[1]]


def cut_somewhere(graph: Graph, board: Board, taken: list[Program] | None = None) -> EngineSources:
    """The sources with random runs in patches and stripes; `taken` gets the programs that have any."""
    random = Random(graph.sha256)

    def suit(program: Program) -> Program:
        return select(program, kernels_of(board.core))

    program, refusals = lower(graph)
    assert not refusals
    program = suit(program)
    position = 0
    while position < len(program.ops):
        fits = [goes_by(ROWS, graph, op) for op, _ in program.ops]
        last = position
        while last < len(fits) and fits[last] and random.random() < 0.8:
            last += 1
        height, patches = random.choice((1, 1, 2, 3, 5)), random.choice((1, 2, 2, 3))
        tries = (stripes.stripe(program, position, last - 1, height, suit, n) for n in (patches, 1))
        cut = next(filter(None, tries), None) if last > position else None
        program, position = cut or program, max(last, position + 1)
    if taken is not None and program.stripes:
        taken.append(program)
    return emit(program, kernels_of(board.core), "ram")


def test_random_runs() -> None:
    models = pictures(0, 20 * native.FACTOR)
    taken: list[Program] = []
    for model in models:
        cut_somewhere(tflite_model.parse(model, "model"), native.DSP, taken)
    patched = [program for program in taken if any(turns.patches > 1 for turns in program.stripes)]
    assert len(patched) > len(taken) // 3
    striped = [op for program in taken for op, steps in program.ops if any(step.stripes for step in steps)]
    ops = {"CONV_2D, ADD" if isinstance(op, WindowOp) and op.addition else op.kind for op in striped}
    assert len(taken) > len(models) // 2
    assert ops >= set(CHAINED) - {"RESHAPE", "PAD"}
    native.assert_parity(models, generate=cut_somewhere)


def test_every_op_that_goes_by_elements_or_pixels() -> None:
    kinds = catalogue.kinds(lambda op: op.goes_by in (GoesBy.ELEMENT, GoesBy.PIXEL))
    kinds = tuple(kind for kind in kinds if kind in random_graphs.KINDS and kind not in CHAINED)
    models = []
    for kind in kinds:
        chains = (random_graphs.chained(Picture, seed, [kind], 3) for seed in range(4))
        models.append(next(model for model in chains if kind in striped_kinds(model)))
    assert {"ABS", "ELU", "PRELU", "SQUARED_DIFFERENCE"} <= set(kinds)
    native.assert_parity(models, generate=cut_somewhere)


def striped_kinds(model: bytes) -> set[str]:
    graph, taken = tflite_model.parse(model, "model"), list[Program]()
    if not lower(graph)[1]:
        cut_somewhere(graph, native.DSP, taken)
    return {op.kind for program in taken for op, steps in program.ops if any(step.stripes for step in steps)}


def test_sanitizers_find_nothing() -> None:
    models = pictures(1000, 8)
    native.assert_parity(models, sanitize=True, generate=cut_somewhere)


def test_the_arena_shrinks_and_outputs_stay() -> None:
    models = pictures(2000, 12 * native.FACTOR)
    sizes = {
        goal: [
            arena(AotEngine(goal).generate(tflite_model.parse(model, "model"), native.DSP))
            for model in models
        ]
        for goal in ("size", "ram")
    }
    pairs = list(zip(sizes["ram"], sizes["size"], strict=True))
    assert all(striped <= whole for striped, whole in pairs)
    assert sum(striped < whole for striped, whole in pairs) > len(models) // 8
    native.assert_parity(models, generate=AotEngine("ram").generate)


def arena(sources: EngineSources) -> int:
    assert sources.arena is not None
    return sources.arena.bytes


def for_dsp(program: Program) -> Program:
    return select(program, kernels_of(native.DSP.core))


def test_what_each_layer_saves() -> None:
    graph = tflite_model.parse(block(), "network")
    whole, patched = (AotEngine(goal).generate(graph, native.DSP) for goal in ("size", "ram"))
    cut = stripes.least_arena(
        for_dsp(lower(graph)[0]), stripes.Tries(for_dsp), [stripes.Means(kernel_bytes=0)]
    )
    striped = emit(cut, kernels_of(native.DSP.core), "ram")
    assert (arena(whole), arena(striped), arena(patched)) == (9_312, 3_312, 2_544)
    assert [(layer.stripes, layer.saved_bytes) for layer in whole.layers] == [(1, 0)] * 4
    # Of 29 rows of 144 bytes the buffers hold 4, 2 and 3; the last output is whole.
    assert [(layer.stripes, layer.saved_bytes // 144) for layer in striped.layers] == [
        *((15, 25), (15, 27), (15, 26), (15, 0))
    ]
    assert {(layer.patches, layer.stripes) for layer in patched.layers} == {(4, 15)}
    # The last op's windows span three columns, two apart: patches share one, of 29 rows of 8 channels. The
    # first op is behind two windows more: of two neighbours' columns it makes three twice.
    assert [layer.repeated_outputs / (29 * 8) for layer in patched.layers] == [9, 3, 3, 0]
    assert all(
        p.saved_bytes > s.saved_bytes for p, s in zip(patched.layers[:3], striped.layers, strict=False)
    )


def test_patches_have_to_be_worth_while() -> None:
    patched = []
    for width in (4, 8, 18, 40):
        program = for_dsp(lower(tflite_model.parse(block(width), "network"))[0])
        rows = stripes.Means(kernel_bytes=0)
        least = stripes.least_arena(program, stripes.Tries(for_dsp), [rows])
        means = [rows, stripes.Means(kernel_bytes=0, patches=2)]
        tried = stripes.least_arena(program, stripes.Tries(for_dsp), means)
        too_large = stripes.least_arena(program, stripes.Tries(for_dsp), means, fits=lambda _: False)
        assert all(turns.patches == 1 for turns in too_large.stripes)
        assert arena_plan.arena_bytes(too_large) == arena_plan.arena_bytes(least)
        patched.append(any(turns.patches > 1 for turns in tried.stripes))
        saved = arena_plan.arena_bytes(least) - arena_plan.arena_bytes(tried)
        assert saved >= arena_plan.arena_bytes(least) // 64 if patched[-1] else saved == 0
    assert patched == [False, False, True, True]


def test_a_picture_of_one_row_is_cut_to_patches() -> None:
    random = np.random.default_rng(3)
    model = ModelBuilder()
    tensors = [model.tensor((1, 1, 40, width), scale=0.1) for width in (4, 24, 24, 4)]
    for source, target, (depth, channels) in zip(
        tensors, tensors[1:], ((4, 24), (24, 24), (24, 4)), strict=False
    ):
        shape = (channels, 1, 3, depth)
        weights = model.tensor(shape, scale=0.01, data=random.integers(-127, 128, shape))
        model.op("CONV_2D", [source, weights], [target], stride_h=1, stride_w=1, padding="SAME")
    blob = model.build(tensors[:1], tensors[-1:])
    graph = tflite_model.parse(blob, "one row")
    sizes = [arena(AotEngine(goal).generate(graph, native.DSP)) for goal in ("balanced", "ram")]
    assert sizes == [1_568, 1_264]
    native.assert_parity([blob], generate=AotEngine("ram").generate)


def functions_between_convolutions() -> bytes:
    """A picture that grows from 4 to 24 channels, through ops that go by elements, and back."""
    random = np.random.default_rng(5)
    model = ModelBuilder()
    x = model.tensor((1, 12, 12, 4), scale=0.05)

    def made(depth: int, scale: float = 0.05) -> int:
        return model.tensor((1, 12, 12, depth), scale=scale, zero_point=-20)

    def conv(source: int, depth: int, channels: int) -> int:
        shape, target = (channels, 3, 3, depth), made(channels)
        weights = model.tensor(shape, scale=0.01, data=random.integers(-127, 128, shape))
        model.op("CONV_2D", [source, weights], [target], stride_h=1, stride_w=1, padding="SAME")
        return target

    wide = conv(x, 4, 24)
    for kind, constant in (("ELU", 0), ("SQUARED_DIFFERENCE", 24), ("PRELU", 24), ("ABS", 0)):
        inputs = [wide]
        if constant:
            values = random.integers(-127, 128, (1, 1, constant))
            inputs.append(model.tensor((1, 1, constant), scale=0.02, data=values))
        wide = made(24, 0.04)
        model.op(kind, inputs, [wide])
    return model.build([x], [conv(wide, 24, 4)])


def test_functions_of_elements_in_an_emulator(tmp_path: Path) -> None:
    model = tmp_path / "network.tflite"
    model.write_bytes(functions_between_convolutions())
    graph = tflite_model.load(model)
    whole, striped = (arena(AotEngine(goal).generate(graph, native.DSP)) for goal in ("size", "ram"))
    assert striped < whole * 2 // 3
    result, *_ = verbs.run(model, board="mps2-an386", samples=3, out=tmp_path, optimize="ram")
    assert result.parity is not None
    assert result.parity.identical == result.parity.outputs
    assert all(cost.layer.stripes > 1 for cost in result.per_op)


@pytest.mark.parametrize("board", turn(["mps2-an386", "qemu-virt-rv32"], "mps2-an386"))
def test_in_an_emulator(board: str, tmp_path: Path) -> None:
    model = tmp_path / "network.tflite"
    model.write_bytes(block(width=40))
    result, *_ = verbs.run(model, board=board, samples=3, out=tmp_path, optimize="ram")
    assert result.parity is not None
    assert result.parity.identical == result.parity.outputs
    layers = [cost.layer for cost in result.per_op]
    assert [(layer.op, layer.patches, layer.stripes) for layer in layers] == [(n, 4, 15) for n in range(4)]
    assert "4 patches of 15 stripes, 2,088 outputs twice" in html.render(result)
    sum_of_ops = sum(cost.instructions or 0 for cost in result.per_op)
    assert sum_of_ops == pytest.approx(result.instructions.median, rel=0.01)
    assert min(cost.instructions or 0 for cost in result.per_op) > result.instructions.median // 50
