from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import increment
import pytest

from tinydeploy.boards import lookup
from tinydeploy.boards.board import Board
from tinydeploy.errors import UsageError
from tinydeploy.firmware import project


def test_equal_inputs_give_equal_bytes() -> None:
    assert increment.make().files == increment.make().files
    assert increment.make("mps2-an385").files != increment.make().files


BARE = [board for board in lookup.all_boards() if board.kind == "bare"]


@pytest.mark.parametrize("board", BARE, ids=lambda board: board.id)
def test_the_project_says_what_the_board_file_says(board: Board) -> None:
    made = increment.make(board.id)
    manifest = json.loads(made.files[f"boards/{board.platformio}.json"])
    upload = manifest["upload"]
    assert (upload["maximum_size"], upload["maximum_ram_size"]) == (board.flash.bytes, board.ram.bytes)
    assert upload.get("protocols", []) == [uploader.program for uploader in board.uploaders]
    assert int(manifest["build"]["link_symbols"]["__ram_origin"], 16) == board.ram.origin
    assert f"board = {board.platformio}".encode() in made.files["platformio.ini"]


@pytest.mark.parametrize(
    ("board", "link"),
    [
        *(("mps2-an386", "pipe"), ("mps2-an386", "uart"), ("hifive1", "pipe"), ("hifive1", "uart")),
        *(("nucleo_f446re", "uart"), ("nrf52840_dk", "uart"), ("megaatmega2560", "uart")),
    ],
)
def test_a_project_has_what_it_includes_and_the_drivers_that_its_board_names(board: str, link: str) -> None:
    files = {
        path.removeprefix("src/"): text.decode()
        for path, text in increment.make(board, link=link).files.items()
        if path.startswith("src/")
    }
    named: set[str] = {"runtime/main.cpp"}
    for path, text in files.items():
        for name in re.findall(r'^#include "([^"]+)"', text, re.MULTILINE):
            places = (f"{Path(path).parent}/{name}", f"runtime/{name}", name, str(Path(name)))
            found = {str(Path(place)) for place in places} & {*files}
            named |= found
            assert found or ".." in name, (path, name)
    headers = {path for path in files if path.endswith(".h")}
    assert headers <= named
    ports = {Path(path).stem for path in files if "/port/" in path}
    expected = {
        "mps2-an386": {"arm", "clock_fixed", "counter_cmsdk_timer"}
        | {"uart": {"uart_cmsdk"}, "pipe": {"pipe"}}[link],
        "nucleo_f446re": {"arm", "clock_stm32f4", "counter_dwt", "uart_stm32"},
        "hifive1": {"riscv", "clock_fe310", "counter_rdinstret"}
        | {"uart": {"uart_sifive"}, "pipe": {"pipe"}}[link],
        "nrf52840_dk": {"arm", "clock_nrf52", "counter_dwt", "uart_nrf"},
        "megaatmega2560": {"arduino"},
    }[board]
    shared = {"cache", "clock", "counter", "interrupt", "link", "mmio", "stack", "startup", "trigger", "uart"}
    assert ports - shared == expected


def test_a_model_name_cannot_break_out() -> None:
    graph = dataclasses.replace(increment.GRAPH, path="x/`rm -rf`\n[env:evil].tflite")
    made = project.generate(graph, lookup.board("mps2-an386"), increment.sources(), "pipe", 64)
    assert b"evil" not in made.files["platformio.ini"]
    assert b"# _rm_-rf___env_evil_.tflite on" in made.files["README.md"]


def test_write_and_write_again(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    assert project.write(increment.make(), folder) == folder
    assert (folder / "src/runtime/main.cpp").is_file()
    (folder / ".pio").mkdir()
    (folder / ".pio" / "junk").write_text("of a build")
    project.write(increment.make("mps2-an385"), folder)
    assert (folder / "boards" / "mps2-an385.json").is_file()
    assert not (folder / "boards" / "mps2-an386.json").exists()
    assert list(folder.parent.iterdir()) == [folder]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    project.write(increment.make(), tmp_path)
    assert (tmp_path / "platformio.ini").is_file()


@pytest.mark.parametrize("change", ["src/model.cpp", "src/my_own.cpp"])
def test_the_users_work_is_not_overwritten(tmp_path: Path, change: str) -> None:
    folder = project.write(increment.make(), tmp_path / "out")
    (folder / change).write_text("mine")
    with pytest.raises(UsageError, match=f"holds work of yours: {change}"):
        project.write(increment.make(), folder)
    assert (folder / change).read_text() == "mine"


def test_a_deleted_file_is_no_obstacle(tmp_path: Path) -> None:
    folder = project.write(increment.make(), tmp_path / "out")
    (folder / "README.md").unlink()
    project.write(increment.make(), folder)
    assert (folder / "README.md").is_file()


@pytest.mark.parametrize(
    "manifest", [None, "{", "[]", '{"schema": "tinydeploy.project/1"}', '{"schema": "x"}']
)
def test_a_foreign_folder_is_refused(tmp_path: Path, manifest: str | None) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years of work")
    if manifest is not None:
        (folder / project.MANIFEST).write_text(manifest)
    before = sorted(folder.iterdir())
    with pytest.raises(UsageError, match="not a project made by tinydeploy"):
        project.write(increment.make(), folder)
    assert sorted(folder.iterdir()) == before
    assert list(tmp_path.iterdir()) == [folder]


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UsageError, match="is a file"):
        project.write(increment.make(), tmp_path / "out")
    with pytest.raises(UsageError, match="cannot write to"):
        project.write(increment.make(), tmp_path / "out" / "below")
    with pytest.raises(UsageError, match="cannot write to"):
        project.write(increment.make(), Path("/proc/nowhere"))
    assert (tmp_path / "out").read_text() == "a file"


def test_the_build_id_stands_for_everything_else() -> None:
    made = increment.make()
    assert f"kBuildId = 0x{made.build_id}u;" in made.files["src/build_id.h"].decode()
    assert increment.make().build_id == made.build_id
    others = [increment.make(arena=80), increment.make("mps2-an385"), increment.make(extra="// changed")]
    assert len({made.build_id, *(other.build_id for other in others)}) == 4


def test_nothing_half_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = project.write(increment.make(), tmp_path / "out")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def full(made: project.Project, fresh: Path) -> None:
        fresh.mkdir()
        (fresh / "half").write_text("a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(project, "write_files", full)
    with pytest.raises(UsageError, match="No space left"):
        project.write(increment.make("mps2-an385"), folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert list(tmp_path.iterdir()) == [folder]


def test_the_unit_tests_of_the_firmware_use_a_generated_board() -> None:
    """The root platformio.ini has to work without tinydeploy installed, so its board is committed."""
    made = increment.make(arena=None)
    unit = increment.APP.parent
    assert (unit / "boards/mps2-an386.json").read_bytes() == made.files["boards/mps2-an386.json"]
    assert (unit / "app/board.h").read_bytes() == made.files["src/board.h"]
