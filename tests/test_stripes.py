"""Runs of ops in stripes: the outputs stay those of TFLite Micro, and the arena shrinks."""

from __future__ import annotations

from random import Random
from typing import Any

import native
import random_graphs

from tinydeploy import tflite_model
from tinydeploy.boards import Board
from tinydeploy.engines import EngineSources
from tinydeploy.engines.aot import stripes
from tinydeploy.engines.aot.emit import emit
from tinydeploy.engines.aot.kernels import for_core
from tinydeploy.engines.aot.lower import Program, lower
from tinydeploy.graph import Graph

CHAINED = [
    *("CONV_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"),
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
    for attempt in range(1000):
        maker = Picture(seed * 1000 + attempt)
        try:
            for _ in range(6):
                kind = maker.random.choice(CHAINED)
                random_graphs.KINDS[kind](maker, kind)
        except random_graphs.NotPossible:
            continue
        return maker.build()
    raise AssertionError(f"seed {seed} makes no graph")


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
    return emit(program)


def test_random_runs() -> None:
    models = [picture(seed) for seed in range(40 * native.FACTOR)]
    taken: list[Program] = []
    for model in models:
        cut_somewhere(tflite_model.parse(model, "model"), native.DSP, taken)
    ops = {op.kind for program in taken for op, steps in program.ops if any(step.stripes for step in steps)}
    assert len(taken) > len(models) // 2
    assert ops >= set(CHAINED) - {"RESHAPE", "PAD"}
    native.assert_parity(models, generate=cut_somewhere)
