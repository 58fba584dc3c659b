"""Boards that no emulator models, on the machine of their core."""

from __future__ import annotations

from pathlib import Path

import pytest
from model_builder import ModelBuilder

from tinydeploy import verbs
from tinydeploy.boards import lookup
from tinydeploy.errors import FitError
from tinydeploy.evaluate.deployment import prepare
from tinydeploy.model.readers import tflite_model
from tinydeploy.targets.target_registry import KINDS, choose_target, emulators

MODELS = Path(__file__).parents[2] / "models"
QEMU = KINDS["qemu"]


def test_every_board_with_a_machine_of_its_core_runs_here() -> None:
    for board in lookup.all_boards():
        kind = choose_target(board, None)
        assert kind.is_emulator
        assert kind.models(board) or not [own for own in emulators(board) if own.is_here()]
        here = QEMU.made_for(board)
        assert (here.id, here.stack_bytes) == (board.id, board.stack_bytes)
        if board.core.id in ("xtensa-lx6", "xtensa-lx7"):
            assert (here.core.id, here.core.kernels) == ("xtensa-lx106", board.core.kernels)
            assert f"firmware for Xtensa LX106, not for its {board.core.name}" in QEMU.note(here)
            assert "windowed ABI" in QEMU.note(here) and "\n" not in QEMU.note(here)
        else:
            assert here.core == board.core
        assert here.clock_hz == board.clock_hz
        assert here.flash.bytes <= board.flash.bytes and here.ram.bytes <= board.ram.bytes
        assert (here is board) == ("qemu" in board.emulation)
        assert QEMU.models(here) and QEMU.counting(here) is not None


def test_what_a_machine_is_short_of_is_told() -> None:
    here = QEMU.made_for(lookup.board("teensy41"))
    assert "Of 7,936 KiB of flash it has 4,096" in QEMU.note(here)
    assert "it has" not in QEMU.note(QEMU.made_for(lookup.board("teensy40")))


def test_the_limits_are_the_boards_own(tmp_path: Path) -> None:
    graph = tflite_model.load(MODELS / "mnist" / "mnist.tflite")
    board = lookup.board("uno_r4_minima")
    job = prepare(graph, board=board.id)
    assert (job.board.flash.bytes, job.board.ram.bytes) == (board.flash.bytes, board.ram.bytes)
    assert job.board.flash.origin == lookup.board("mps2-an386").flash.origin
    small = prepare(graph, board=board.id, target="board")
    assert small.board is board
    builder = ModelBuilder()
    source = builder.tensor((1, 40_000), "int8", scale=0.5)
    result = builder.tensor((1, 40_000), "int8", scale=0.5)
    builder.op("RELU", [source], [result])
    too_large = tmp_path / "relu.tflite"
    too_large.write_bytes(builder.build(inputs=[source], outputs=[result]))
    with pytest.raises(FitError, match="uno_r4_minima has"):
        prepare(tflite_model.load(too_large), board=board.id)


def test_an_esp32_without_a_port_runs_what_all_xtensa_cores_have(tmp_path: Path) -> None:
    result, _ = verbs.run(MODELS / "digits", board="esp32dev", samples=2, out=tmp_path / "board")
    board = lookup.board("esp32dev")
    assert (result.board.id, result.target.kind) == ("esp32dev", "qemu") and result.parity
    assert (result.build.flash_budget, result.build.ram_budget) == (board.flash.bytes, board.ram.bytes)
    assert result.estimate is None and result.executed is None
    assert "there is no estimate of time: there is no model of the core Xtensa LX106" in result.warnings
    machine, _ = verbs.run(MODELS / "digits", board="qemu-xtensa", samples=2, out=tmp_path / "machine")
    assert result.instructions == machine.instructions is not None
    assert not [words for words in machine.warnings if "estimate" in words]


def test_a_board_without_a_port_runs_and_says_on_what(tmp_path: Path) -> None:
    result, _ = verbs.run(MODELS / "digits", board="nucleo_l4r5zi", samples=2, out=tmp_path / "board")
    assert (result.board.id, result.board.clock_hz) == ("nucleo_l4r5zi", 120_000_000)
    assert (result.build.flash_budget, result.build.ram_budget) == (2 << 20, 640 << 10)
    assert result.target.kind == "qemu"
    assert result.target.note.startswith("Arm MPS2+ AN386 (Cortex-M4F) stands in for ST Nucleo-L4R5ZI: ")
    machine, _ = verbs.run(MODELS / "digits", board="mps2-an386", samples=2, out=tmp_path / "machine")
    assert result.instructions == machine.instructions is not None
    assert result.parity == machine.parity
