"""Which boards a model fits: never a tick that the build then takes back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import click.testing
import pytest
import random_graphs
import small_nets
from model_builder import ModelBuilder
from nightly import NIGHTLY

from tinydeploy.boards import lookup
from tinydeploy.boards.board import Board
from tinydeploy.cli import tinydeploy
from tinydeploy.engines.aot.pipeline import GOALS
from tinydeploy.errors import FitError, ModelError, UsageError
from tinydeploy.evaluate import fit
from tinydeploy.evaluate.deployment import prepare
from tinydeploy.evaluate.fit import Fit, Verdict
from tinydeploy.firmware import build, footprint
from tinydeploy.model.graph import Graph
from tinydeploy.model.readers import tflite_model

MODELS = Path(__file__).resolve().parents[2] / "models"
MADE: dict[str, Callable[[], bytes]] = {
    "layers_16x8": small_nets.layers_16x8,
    "conv_16x8": small_nets.conv_16x8,
    "svdf": small_nets.svdf,
    "streaming": small_nets.streaming,
    "residual": small_nets.residual,
    "block": small_nets.block,
    "together": lambda: random_graphs.together(3, ["CONV_2D", "MEAN", "TRANSPOSE_CONV", "BATCH_MATMUL"]),
    "layers": lambda: random_graphs.together(5, ["DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "SVDF", "ADD"]),
}
FILES = ("digits/digits", "mnist/mnist", "motion/motion", "motion/motion_lstm")
EMULATED = [board.id for board in lookup.all_boards() if board.verified == "emulated"]
ACROSS = [
    *(("stm32vldiscovery", "motion/motion_lstm"), ("hifive1", "svdf"), ("mps3-an547", "conv_16x8")),
    *(("nucleo_g071rb", "digits/digits"), ("megaatmega2560", "svdf")),
]
"""A board with each kind of core, and models of different kinds."""


def graph_of(name: str) -> Graph:
    if name in MADE:
        return tflite_model.parse(MADE[name](), f"{name}.tflite")
    return tflite_model.load(MODELS / f"{name}.tflite")


def judged(graph: Graph, board: Board) -> Fit:
    (found,) = fit.fits(graph, [board])
    return found


def check_against_build(graph: Graph, board: Board, found: Fit) -> None:
    """The build says the same as the verdict; "tight" says nothing."""
    try:
        job = prepare(graph, board=board.id, optimize=found.optimize)
        sizes = build.build(replace(job, board=board).project(job.planned_bytes), board).sizes
    except FitError as error:
        assert found.verdict is not Verdict.FITS, error.message
        return
    assert found.verdict is not Verdict.NO
    assert found.ram and found.flash
    assert found.flash.at_least <= sizes.flash_bytes <= found.flash.at_most
    stack = board.stack_bytes if board.arduino else 0  # which no section of its firmware stands for
    assert found.ram.at_least <= sizes.ram_bytes + stack <= found.ram.at_most


@pytest.mark.parametrize(
    ("board", "model"),
    [(board, model) for board in EMULATED for model in (*FILES, *MADE)] if NIGHTLY else ACROSS,
)
def test_a_verdict_is_what_the_build_says(board: str, model: str) -> None:
    graph = graph_of(model)
    check_against_build(graph, lookup.board(board), judged(graph, lookup.board(board)))


def test_verdicts_at_the_very_edge() -> None:
    """With the most that it can need, it is ticked and built; with less than the least, it is neither."""
    graph, board = graph_of("motion/motion_lstm"), lookup.board("mps2-an385")
    found = judged(graph, board)
    assert found.ram and found.flash and found.verdict is Verdict.FITS
    exact = replace(
        board,
        ram=replace(board.ram, bytes=found.ram.at_most),
        flash=replace(board.flash, bytes=found.flash.at_most),
    )
    check_against_build(graph, exact, judged(graph, exact))
    assert judged(graph, exact).verdict is Verdict.FITS
    for field, need in (("ram", found.ram), ("flash", found.flash)):
        for size, verdict in (
            (need.at_most - 1, Verdict.TIGHT),
            (need.at_least, Verdict.TIGHT),
            (need.at_least - 1, Verdict.NO),
        ):
            smaller = replace(board, **{field: replace(getattr(board, field), bytes=size)})
            assert judged(graph, smaller).verdict is verdict
        check_against_build(graph, smaller, judged(graph, smaller))


@pytest.fixture(scope="module")
def mnist() -> tuple[Fit, ...]:
    """models/mnist on all boards."""
    return fit.fits(graph_of("mnist/mnist"), lookup.all_boards())


def test_one_line_per_board_roomiest_first(mnist: tuple[Fit, ...]) -> None:
    found = mnist
    assert {each.board for each in found} == {board.id for board in lookup.all_boards()}
    assert len(found) == len(lookup.all_boards())
    ranks = [[Verdict.FITS, Verdict.TIGHT, Verdict.NO].index(each.verdict) for each in found]
    assert ranks == sorted(ranks)
    ticked = [each.room for each in found if each.verdict is Verdict.FITS]
    assert ticked == sorted(ticked, reverse=True) and len(ticked) > 20
    assert all(each.optimize == "balanced" for each in found if each.verdict is Verdict.FITS)
    small = next(each for each in found if each.board == "stm32vldiscovery")
    assert small.verdict is Verdict.NO and "too little RAM by " in small.problem


def test_what_a_downloaded_core_takes_is_not_known() -> None:
    found = fit.fits(graph_of("digits/digits"), [board for board in lookup.all_boards() if board.downloads])
    assert {each.verdict for each in found} == {Verdict.TIGHT}
    assert all("Arduino core" in each.problem for each in found)


def test_every_goal() -> None:
    graph, board = graph_of("mnist/mnist"), lookup.board("netduinoplus2")
    found = fit.fits(graph, [board], every_goal=True)
    assert sorted(each.optimize for each in found) == sorted(GOALS)
    arenas = {each.optimize: each.arena_bytes for each in found}
    for goal in GOALS:
        job = prepare(graph, board=board.id, optimize=goal)
        assert arenas[goal] == job.planned_bytes


def test_another_goal_where_the_first_does_not_fit() -> None:
    graph, board = graph_of("mnist/mnist"), lookup.board("netduinoplus2")
    by_goal = {each.optimize: each for each in fit.fits(graph, [board], every_goal=True)}
    assert by_goal["ram"].ram and by_goal["balanced"].ram
    between = (by_goal["ram"].ram.at_most + by_goal["balanced"].ram.at_least) // 2
    found = judged(graph, replace(board, ram=replace(board.ram, bytes=between)))
    assert (found.optimize, found.verdict) == ("ram", Verdict.FITS)


def test_boards_share_what_is_made_for_a_core() -> None:
    """Each board gets the arena that it would get alone."""
    graph = graph_of("residual")
    for each in fit.fits(graph, lookup.all_boards()):
        sources = prepare(graph, board=each.board, optimize=each.optimize).sources
        assert sources.arena and sources.arena.bytes == each.arena_bytes
        assert footprint.flash(sources, lookup.board(each.board)) == each.flash


def test_words() -> None:
    def names(*words: str) -> Iterator[str]:
        return (board.id for board in lookup.select(words))

    assert {"nucleo_f767zi", "nucleo_h753zi"} <= {*names("STM32", "m7")} < {*names("m7")}
    assert [*names("disco_f407")] == ["disco_f407vg"]
    assert [*names()] == [board.id for board in lookup.all_boards()]
    with pytest.raises(UsageError, match="no board is called 'stm32 zx81'"):
        lookup.select(["stm32", "zx81"])


def test_a_model_that_the_engine_refuses() -> None:
    model = ModelBuilder()
    x, y = model.tensor((1, 4), scale=1.0), model.tensor((1, 4), scale=1.0)
    model.op("UNIQUE", [x], [y])
    with pytest.raises(ModelError, match="aot cannot run 1 of 1 op: UNIQUE"):
        fit.fits(tflite_model.parse(model.build([x], [y]), "m.tflite"), lookup.all_boards())


def run(*words: str) -> click.testing.Result:
    arguments = ["fit", str(MODELS / "mnist"), *words]
    return click.testing.CliRunner().invoke(tinydeploy, arguments, standalone_mode=False)


def test_the_table_keeps_to_80_columns_and_cuts_no_name(
    mnist: tuple[Fit, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tinydeploy.verbs.board_fit.fits", lambda *_, **__: mnist)
    done = run()
    lines = done.stdout.splitlines()
    assert max(map(len, lines[: 1 + len(mnist)])) <= 80
    assert all(any(line[3:].startswith(f"{board.id} ") for line in lines) for board in lookup.all_boards())


def test_exit_codes_and_json() -> None:
    done = run("netduino", "--json")
    (only,) = json.loads(done.stdout)
    assert done.return_value == 0
    assert (only["board"], only["verdict"]) == ("netduinoplus2", "fits")
    assert only["ram"]["budget"] == 128 << 10
    assert run("vldiscovery").return_value == 1
