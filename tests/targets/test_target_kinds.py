"""A kind of target stands in its own file and in the registry: what it can, everybody else asks it for."""

from __future__ import annotations

import ast
import dataclasses
import re
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import firmware_build
import pytest

import tinydeploy
from tinydeploy import verbs
from tinydeploy.boards import lookup
from tinydeploy.boards.board import Board, Counting
from tinydeploy.engines.engine_registry import ENGINES
from tinydeploy.errors import UsageError
from tinydeploy.evaluate.deployment import prepare
from tinydeploy.link.device import Device
from tinydeploy.model.readers import tflite_model
from tinydeploy.targets import qemu
from tinydeploy.targets.target import Opening, Target, TargetKind
from tinydeploy.targets.target_registry import KINDS, choose_target, emulators, open_target

PACKAGE = Path(tinydeploy.__file__).parent
ROOT = PACKAGE.parent
DIGITS = ROOT / "models" / "digits"
BOARD = "mps2-an386"


@cache
def sources() -> tuple[tuple[str, ast.Module], ...]:
    paths = sorted(PACKAGE.rglob("*.py"))
    return tuple((f"{path.relative_to(PACKAGE)}", ast.parse(path.read_text())) for path in paths)


@cache
def words(tree: ast.AST) -> frozenset[str]:
    """Every string and every name of a field or a keyword."""
    return frozenset(_words(tree))


def _words(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg


@cache
def compared(tree: ast.AST) -> frozenset[str]:
    """Every string that something is compared with, or that is given for a target."""
    return frozenset(_compared(tree))


def _compared(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides: list[ast.AST] = [node.left, *node.comparators]
        elif isinstance(node, ast.keyword) and node.arg in ("target", "kind"):
            sides = [node.value]
        else:
            continue
        for side in sides:
            yield from (
                n.value for n in ast.walk(side) if isinstance(n, ast.Constant) and type(n.value) is str
            )


def homes(name: str, places: dict[str, str]) -> tuple[str, ...]:
    module = places[name].partition(":")[0].removeprefix("tinydeploy.").replace(".", "/")
    return (module, "targets/target_registry.py")


def test_the_name_of_a_target_stands_in_its_file_and_in_the_registry() -> None:
    for name in KINDS.places:
        own = homes(name, KINDS.places)
        for path, tree in sources():
            if path.startswith(own):
                continue
            assert name not in compared(tree), path
            # "board" is an option and a table's heading as well, which no emulator's name is.
            assert not KINDS[name].is_emulator or name not in words(tree), path
        for template in sorted((ROOT / "firmware_templates" / "project").glob("*.j2")):
            assert not re.search(rf"[\"']{name}[\"']", template.read_text()), template.name


def test_the_name_of_an_engine_stands_in_its_package_and_in_the_registry() -> None:
    for name in ENGINES.places:
        for path, tree in sources():
            if not path.startswith((f"engines/{name}/", "engines/engine_registry.py")):
                assert name not in words(tree), path
        for template in sorted((ROOT / "firmware_templates" / "project").glob("*.j2")):
            if not template.name.startswith(f"{name}_"):
                assert not re.search(rf"[\"']{name}[\"']|-e {name}\b", template.read_text()), template.name


def test_every_table_of_every_board_is_a_targets() -> None:
    for board in lookup.all_boards():
        assert {*board.emulation} == {kind.name for kind in emulators(board)}
        for kind in emulators(board):
            assert kind.described(board) is not None
            assert kind.counting(board).instructions


@pytest.mark.parametrize(
    ("name", "table", "problem"),
    [
        ("qemu", {"system": "x86", "machine": "q35"}, "x86"),
        ("qemu", {"system": "arm", "machine": "a", "icount_shift": 1}, "counter_hz"),
        ("renode", {"platform": "../x.repl", "uart": "u", "mips": 1}, "x.repl"),
        ("renode", {"platform": "platforms/x.repl", "uart": "u"}, "mips"),
    ],
)
def test_a_wrong_table_is_refused(name: str, table: dict[str, Any], problem: str) -> None:
    board = dataclasses.replace(lookup.board(BOARD), emulation={name: table})
    with pytest.raises(UsageError, match=problem) as caught:
        KINDS[name].described(board)
    assert f"mps2-an386 is not valid: [{name}]" in caught.value.message


def test_a_board_without_a_port_is_not_opened() -> None:
    alone = dataclasses.replace(lookup.board("megaatmega2560"), emulation={})
    with pytest.raises(UsageError, match="nothing here can run"):
        open_target(alone, Path("x.elf"), "uart")


class Twin(TargetKind):
    """An emulator of one board, as a plug-in would bring it: no other file knows of it."""

    name = "twin"
    title = "The Twin"

    def runs(self, board: Board) -> bool:
        return board.id == BOARD

    def counting(self, board: Board) -> Counting:
        return KINDS["qemu"].counting(board)

    def open(self, opening: Opening) -> Target:
        return TwinTarget(opening.board, opening.elf, "uart", opening.place)

    def note(self, board: Board) -> str:
        return "as alike as twins"

    def warnings(self, board: Board) -> tuple[str, ...]:
        return ("the other twin was not asked",)


class TwinTarget(qemu.QemuTarget):
    """It is real: a QEMU, at its UART."""

    @property
    def kind(self) -> str:
        return Twin.name


@pytest.fixture
def twin() -> Iterator[TargetKind]:
    KINDS.added["twin"] = Twin()
    yield KINDS["twin"]
    del KINDS.added["twin"]


def test_an_added_target_runs_a_firmware(twin: TargetKind, tmp_path: Path) -> None:
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not installed")
    board = lookup.board(BOARD)
    elf = firmware_build.for_board(tmp_path, board.id, "echo", link="uart", target="twin")
    with open_target(board, elf, "uart", "twin") as target:
        device = Device(target.start(), timeout=20)
        assert device.hello().engine == "echo"
        assert target.kind == "twin"


def test_an_added_target_goes_the_whole_way(twin: TargetKind, tmp_path: Path) -> None:
    result, _ = verbs.run(DIGITS, board=BOARD, target="twin", samples=2, out=tmp_path / "out")
    assert (result.target.kind, result.target.link) == ("twin", "uart")
    assert result.target.note == "as alike as twins"
    assert "the other twin was not asked" in result.warnings
    assert result.instructions is not None and result.instructions.median > 0
    usual, _ = verbs.run(DIGITS, board=BOARD, samples=2, link="uart", out=tmp_path / "usual")
    assert result.instructions == usual.instructions


def test_everybody_knows_an_added_target(twin: TargetKind, tmp_path: Path) -> None:
    board = lookup.board(BOARD)
    assert choose_target(board, "twin") is twin
    with pytest.raises(UsageError) as caught:
        choose_target(board, "renode")
    assert caught.value.hint == "it runs in QEMU or The Twin"
    with pytest.raises(UsageError, match="has no target 'twin'"):
        choose_target(lookup.board("pico"), "twin")
    graph = tflite_model.load(DIGITS / "digits.tflite")
    for options, problem in (
        ({"link": "pipe"}, "there is no link 'pipe' to The Twin"),
        ({"link": "uart-tcp"}, "the link 'uart-tcp' is QEMU's"),
        ({"no_upload": True}, "--no-upload is for a board, and this runs in The Twin"),
        ({"port": "/dev/null"}, "the target 'twin' is at no port"),
    ):
        with pytest.raises(UsageError, match=problem):
            prepare(graph, board=board.id, target="twin", **options)  # type: ignore[arg-type]
    said: list[str] = []
    folder = verbs.generate(DIGITS, tmp_path / "project", board=BOARD, target="twin", notice=said.append)
    assert said == [
        f"{board.id} is an emulator's board only: this firmware runs in The Twin, not on hardware"
    ]
    assert "--target twin" in (folder / "src" / "build_id.h").read_text()
