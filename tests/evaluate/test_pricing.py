"""What a price says is what the emulator counts, within 2 %, and the arena is equal."""

from __future__ import annotations

from pathlib import Path

import pytest
from model_builder import ModelBuilder
from price_nets import bundle

from tinydeploy.boards import lookup
from tinydeploy.engines.aot.pipeline import GOALS
from tinydeploy.errors import FitError, ModelError
from tinydeploy.estimate.pricing import prices
from tinydeploy.evaluate.pricing import counted, price, settled
from tinydeploy.model.graph import Graph
from tinydeploy.model.readers import tflite_model

MODELS = Path(__file__).parents[2] / "models"
BOARD = "mps2-an386"
UNSEEN = 1000  # seeds from here on are none that prices were fitted to


def unseen(number: int) -> Graph:
    return tflite_model.parse(bundle(UNSEEN + number, 1), f"net {number}")


def model(path: str) -> Graph:
    return tflite_model.load(MODELS / path)


@pytest.mark.parametrize(
    "graph",
    [model("digits/digits.tflite"), model("motion/motion.tflite"), unseen(0), unseen(1)],
    ids=["digits", "motion", "net 0", "net 1"],
)
def test_a_price_is_what_is_counted(graph: Graph) -> None:
    said, real = price(graph, lookup.board(BOARD)), counted(graph, BOARD)
    assert said.unknown == ()
    assert said.instructions == pytest.approx(real.instructions, rel=0.02)
    assert said.arena_bytes == real.arena_bytes
    assert sum(real.ops.values()) == pytest.approx(real.instructions, rel=0.001)


def test_other_inputs_take_the_same_instructions_within_the_error() -> None:
    graph = model("digits/digits.tflite")
    assert counted(graph, BOARD, seed=5).instructions == pytest.approx(
        price(graph, lookup.board(BOARD)).instructions, rel=0.02
    )


@pytest.mark.parametrize(
    "board", ["mps2-an386", "mps2-an385", "mps3-an547", "qemu-virt-rv32", "qemu-cortex-m0plus"]
)
def test_cores_have_prices_of_all_kernels_of_a_convolutional_net(board: str) -> None:
    found = price(model("digits/digits.tflite"), lookup.board(board))
    assert found.unknown == ()
    assert found.instructions > 0 and 0 < found.off < found.instructions


def test_larger_layers_cost_more() -> None:
    """Whatever the fit has made of the terms, also where it has seen nothing so large."""
    costs = [price(_one_layer(depth), lookup.board(BOARD)).instructions for depth in (8, 16, 32, 64, 128)]
    assert costs == sorted(costs) and costs[-1] > 10 * costs[0]


def test_a_kernel_without_a_price_is_named_and_then_counted() -> None:
    graph, board = model("motion/motion_lstm.tflite"), lookup.board(BOARD)
    found = price(graph, board)
    assert "unidirectional_sequence_lstm" in found.unknown
    whole = settled(found, graph, board)
    assert whole.unknown == () and whole.off == 0.0
    assert whole.instructions == counted(graph, BOARD).instructions
    assert settled(whole, graph, board) is whole


def test_a_core_without_prices_knows_no_kernel() -> None:
    board = lookup.board("megaatmega2560")
    assert prices.of_core(board.core.id) is None
    found = price(model("digits/digits.tflite"), board)
    assert found.instructions == 0 and found.unknown


@pytest.mark.parametrize("goal", GOALS)
def test_goals_have_prices_of_their_own_or_say_that_they_have_none(goal: str) -> None:
    graph, board = model("digits/digits.tflite"), lookup.board(BOARD)
    found = price(graph, board, goal)
    if not found.unknown:
        real = counted(graph, BOARD, goal)
        assert found.instructions == pytest.approx(real.instructions, rel=0.02)
        assert found.arena_bytes == real.arena_bytes


def test_what_cannot_run_has_no_price() -> None:
    builder = ModelBuilder()
    x, y = builder.tensor((1, 4), "float32"), builder.tensor((1, 4), "float32")
    builder.op("EXP", [x], [y])
    with pytest.raises(ModelError, match="EXP"):
        price(tflite_model.parse(builder.build([x], [y]), "float"), lookup.board(BOARD))
    with pytest.raises(FitError):
        price(_one_layer(128, side=64), lookup.board("stm32vldiscovery"))


def _one_layer(depth: int, side: int = 12) -> Graph:
    builder = ModelBuilder()
    x = builder.tensor((1, side, side, depth), scale=0.02)
    weights = builder.tensor((depth, 3, 3, depth), scale=0.01, data=[1] * (9 * depth * depth))
    y = builder.tensor((1, side, side, depth), scale=0.1)
    builder.op("CONV_2D", [x, weights, -1], [y], stride_h=1, stride_w=1, padding="SAME")
    return tflite_model.parse(builder.build([x], [y]), f"{depth} channels")
