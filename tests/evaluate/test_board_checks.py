"""What is refused before anything is built: by engine, by flash, by RAM."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from model_builder import ModelBuilder

from tinydeploy.boards import lookup
from tinydeploy.boards.board import Board
from tinydeploy.engines.engine import EngineSources, Refusal
from tinydeploy.engines.engine_registry import ENGINES
from tinydeploy.engines.tflm.tflm_engine import TflmEngine
from tinydeploy.errors import FitError, ModelError
from tinydeploy.evaluate import board_checks
from tinydeploy.evaluate.deployment import prepare
from tinydeploy.model.graph import Graph
from tinydeploy.model.readers import tflite_model


@dataclass
class OnlyRelu:
    """An engine that has RELU and nothing else."""

    name: str = "only-relu"

    def refusals(self, graph: Graph) -> tuple[Refusal, ...]:
        return tuple(Refusal(op.index, "no kernel") for op in graph.ops if op.kind != "RELU")

    def whole_tensors(self, graph: Graph) -> frozenset[int]:
        return frozenset((*graph.inputs, *graph.outputs))

    def generate(self, graph: Graph, board: Board) -> EngineSources:
        raise NotImplementedError


def chain(kinds: list[str], elements: int = 4) -> Graph:
    model = ModelBuilder()
    first = last = model.tensor((1, elements), scale=1.0)
    for kind in kinds:
        output = model.tensor((1, elements), scale=1.0)
        model.op(kind, [last], [output])
        last = output
    return tflite_model.parse(model.build([first], [last]), "m.tflite")


def test_a_model_that_fits() -> None:
    board_checks.check(chain(["RELU"]), OnlyRelu(), lookup.board("mps2-an386"))


def test_ops_that_the_engine_lacks_are_all_named() -> None:
    with pytest.raises(ModelError) as caught:
        board_checks.check(
            chain(["RELU", "COS", "RELU", "SIN", "COS"]), OnlyRelu(), lookup.board("mps2-an386")
        )
    assert caught.value.message == (
        "only-relu cannot run 3 of 5 ops: COS (ops 1, 4: no kernel), SIN (op 3: no kernel)"
    )
    assert caught.value.hint


def test_a_tensor_larger_than_the_ram() -> None:
    graph = chain(["RELU"], elements=8192)
    with pytest.raises(FitError, match=r"tensor \d \[1, 8192\] takes 8,192 bytes, and stm32vldiscovery has"):
        board_checks.check(graph, OnlyRelu(), lookup.board("stm32vldiscovery"))
    board_checks.check(graph, OnlyRelu(), lookup.board("netduinoplus2"))


def test_constants_larger_than_the_flash() -> None:
    model = ModelBuilder()
    x, y = model.tensor((1, 400), scale=1.0), model.tensor((1, 400), scale=1.0)
    weights = model.tensor((400, 400), data=np.zeros((400, 400)), scale=1.0)
    model.op("RELU", [x, weights], [y])
    graph = tflite_model.parse(model.build([x], [y]), "m.tflite")
    with pytest.raises(FitError, match="constants take 160,000 bytes, and stm32vldiscovery has 131,072"):
        board_checks.check(graph, OnlyRelu(), lookup.board("stm32vldiscovery"))


def test_only_the_edges_have_to_be_whole_for_aot() -> None:
    random = np.random.default_rng(0)
    model = ModelBuilder()
    x = model.tensor((1, 32, 8, 8), scale=0.1)
    wide = model.tensor((1, 32, 8, 64), scale=0.1)
    y = model.tensor((1, 32, 8, 8), scale=0.1)
    one = {"stride_h": 1, "stride_w": 1, "padding": "SAME"}
    for source, target, channels, depth in ((x, wide, 64, 8), (wide, y, 8, 64)):
        shape = (channels, 1, 1, depth)
        weights = model.tensor(shape, scale=0.01, data=random.integers(-127, 128, shape))
        model.op("CONV_2D", [source, weights], [target], **one)
    graph = tflite_model.parse(model.build([x], [y]), "m.tflite")
    small = lookup.board("stm32vldiscovery")  # 8 KiB of RAM, and tensor `wide` has 16
    with pytest.raises(FitError, match=r"tensor 1 \[1, 32, 8, 64\] takes 16,384 bytes") as caught:
        board_checks.check(graph, TflmEngine(), small)
    assert "--optimize" not in caught.value.hint
    assert prepare(graph, board=small.id, engine="aot").sources.arena is not None


def test_an_arena_larger_than_the_ram() -> None:
    model = ModelBuilder()
    tensors = [model.tensor((1, 3000), scale=1.0) for _ in range(4)]
    for source, target in pairwise(tensors):
        model.op("ABS", [source], [target])
    total = model.tensor((1, 3000), scale=1.0)
    model.op("ADD", [tensors[0], tensors[3]], [total])
    graph = tflite_model.parse(model.build(tensors[:1], [tensors[1], total]), "m.tflite")
    with pytest.raises(FitError, match=r"the arena takes [\d,]+ bytes, and stm32vldiscovery has") as caught:
        prepare(graph, board="stm32vldiscovery", engine="aot")
    assert "--optimize ram" in caught.value.hint


def alone(kind: str, dtype: str = "int8") -> Graph:
    model = ModelBuilder()
    x, y = (model.tensor((1, 4), dtype, scale=0.1) for _ in range(2))
    model.op(kind, [x], [y])
    return tflite_model.parse(model.build([x], [y]), "m.tflite")


@pytest.mark.parametrize(
    ("kind", "engine", "hint"),
    [
        ("CEIL", "aot", "no engine runs it; CEIL runs if left in float"),
        ("EXP", "tflm", "no engine runs it; EXP runs if left in float"),
        ("GELU", "aot", "no engine runs it; swish, or x * sigmoid(1.702 * x), is close to GELU and runs"),
        ("SIGN", "aot", "no engine runs it: take in its place what docs/ops.md lists"),
        ("RELU_N1_TO_1", "tflm", "--engine aot runs it"),
        ("LOGISTIC", "aot", "no engine runs it as it is: docs/ops.md says what LOGISTIC may be"),
    ],
)
def test_the_hint_is_one_that_helps(kind: str, engine: str, hint: str) -> None:
    """It names an engine only if that one has been asked, and else what to write instead."""
    with pytest.raises(ModelError) as caught:
        board_checks.check_ops(alone(kind), ENGINES[engine])
    assert caught.value.hint.startswith(hint)
