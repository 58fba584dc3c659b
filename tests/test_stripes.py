"""Runs of ops in stripes: the outputs stay those of TFLite Micro, and the arena shrinks."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import native
import numpy as np
import pytest
import random_graphs
from model_builder import ModelBuilder

from tinydeploy import tflite_model, verbs
from tinydeploy.boards import Board
from tinydeploy.engines import EngineSources
from tinydeploy.engines.aot import AotEngine, stripes
from tinydeploy.engines.aot.emit import emit
from tinydeploy.engines.aot.kernels import for_core
from tinydeploy.engines.aot.lower import Program, lower
from tinydeploy.graph import Graph

CHAINED = [
    *("CONV_2D", "CONV_2D, ADD", "DEPTHWISE_CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"),
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
        height, width, depth = (self.random.randint(*limits) for limits in ((4, 21), (1, 7), (1, 8)))
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


def cut_somewhere(graph: Graph, board: Board, taken: list[Program] | None = None) -> EngineSources:
    """The sources with random runs in stripes of a random height; `taken` gets the programs that have any."""
    random = Random(graph.sha256)

    def suit(program: Program) -> Program:
        return for_core(program, board.core)

    program, refusals = lower(graph)
    assert not refusals
    program = suit(program)
    position = 0
    while position < len(program.ops):
        fits = [stripes.goes_by_rows(graph, op) for op, _ in program.ops]
        last = position
        while last < len(fits) and fits[last] and random.random() < 0.8:
            last += 1
        height = random.choice((1, 1, 2, 3, 5))
        cut = stripes.stripe(program, position, last - 1, height, suit) if last > position else None
        program, position = cut or program, max(last, position + 1)
    if taken is not None and program.stripes:
        taken.append(program)
    return emit(program, board.core, "ram")


def test_random_runs() -> None:
    models = [picture(seed) for seed in range(56 * native.FACTOR)]
    taken: list[Program] = []
    for model in models:
        cut_somewhere(tflite_model.parse(model, "model"), native.DSP, taken)
    striped = [op for program in taken for op, steps in program.ops if any(step.stripes for step in steps)]
    ops = {"CONV_2D, ADD" if "sum" in op.options else op.kind for op in striped}
    assert len(taken) > len(models) // 2
    assert ops >= set(CHAINED) - {"RESHAPE", "PAD"}
    native.assert_parity(models, generate=cut_somewhere)


def test_sanitizers_find_nothing() -> None:
    models = [picture(seed) for seed in range(1000, 1008)]
    native.assert_parity(models, sanitize=True, generate=cut_somewhere)


def test_the_arena_shrinks_and_outputs_stay() -> None:
    models = [picture(seed) for seed in range(2000, 2000 + 24 * native.FACTOR)]
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


def network() -> bytes:
    """A residual block, and a layer of a quarter of its pixels."""
    random = np.random.default_rng(5)
    model = ModelBuilder()

    def conv(x: int, shape: tuple[int, ...], kernel: int, stride: int, depthwise: bool = False) -> int:
        channels = shape[3]
        w_shape = (1, kernel, kernel, channels) if depthwise else (channels, kernel, kernel, depth[x])
        w = model.tensor(w_shape, scale=0.01, data=random.integers(-127, 128, w_shape))
        y = model.tensor(shape, scale=0.1, zero_point=-3)
        depth[y] = channels
        options = {"depth_multiplier": 1} if depthwise else {}
        kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        model.op(kind, [x, w], [y], stride_h=stride, stride_w=stride, padding="SAME", **options)
        return y

    x = model.tensor((1, 29, 18, 2), scale=0.1, zero_point=4)
    depth = {x: 2}
    first = conv(x, (1, 29, 18, 8), 3, 1)
    middle = conv(first, (1, 29, 18, 8), 3, 1, depthwise=True)
    total = model.tensor((1, 29, 18, 8), scale=0.2, zero_point=-3)
    model.op("ADD", [first, middle], [total])
    depth[total] = 8
    y = conv(total, (1, 15, 9, 4), 3, 2)
    return model.build([x], [y])


def test_what_each_layer_saves() -> None:
    graph = tflite_model.parse(network(), "network")
    whole, striped = (AotEngine(goal).generate(graph, native.DSP) for goal in ("size", "ram"))
    assert (arena(whole), arena(striped)) == (9_312, 3_312)
    assert [(layer.stripes, layer.saved_bytes) for layer in whole.layers] == [(1, 0)] * 4
    # Of 29 rows of 144 bytes the buffers hold 4, 2 and 3; the last output is whole.
    assert [(layer.stripes, layer.saved_bytes // 144) for layer in striped.layers] == [
        *((15, 25), (15, 27), (15, 26), (15, 0))
    ]


@pytest.mark.parametrize("board", ["mps2-an386", "qemu-virt-rv32"])
def test_in_an_emulator(board: str, tmp_path: Path) -> None:
    model = tmp_path / "network.tflite"
    model.write_bytes(network())
    result, *_ = verbs.run(model, board=board, samples=3, out=tmp_path, optimize="ram")
    assert result.parity is not None
    assert result.parity.identical == result.parity.outputs
    assert [cost.index for cost in result.per_op] == [0, 1, 2, 3]
    sum_of_ops = sum(cost.instructions or 0 for cost in result.per_op)
    assert sum_of_ops == pytest.approx(result.instructions.median, rel=0.01)
    assert min(cost.instructions or 0 for cost in result.per_op) > result.instructions.median // 50
