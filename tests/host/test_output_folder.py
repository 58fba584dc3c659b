"""What is the user's in a folder stays, whatever is written there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import increment
import pytest
from made_up_results import regression as result

from tinydeploy.errors import UsageError
from tinydeploy.firmware import project
from tinydeploy.host import output_folder
from tinydeploy.host.output_folder import Manifest
from tinydeploy.report import report_files

LIST = Manifest("list.json", "test/1")
Look = dict[str, str]


def look(folder: Path) -> Look:
    """Everything in the folder, links not followed."""
    return {
        str(path.relative_to(folder)): f"-> {path.readlink()}"
        if path.is_symlink()
        else path.read_text(errors="replace")
        if path.is_file()
        else "folder"
        for path in sorted(folder.rglob("*"))
    }


def refused(write: Callable[[], object], folder: Path, name: str) -> None:
    before = look(folder)
    with pytest.raises(UsageError, match=f"work of yours: {name}") as caught:
        write()
    assert "-o" in caught.value.hint
    assert look(folder) == before


def test_only_what_was_written_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    output_folder.write(tmp_path, {"a/b": b"1", "c": b"1"}, LIST)
    output_folder.write(tmp_path, {"a/b": b"2"}, LIST)
    assert look(tmp_path).keys() == {"notes.txt", "a", "a/b", "c", "list.json"}
    assert (tmp_path / "a/b").read_text() == "2"
    (tmp_path / "a/b").write_text("edited")
    refused(lambda: output_folder.write(tmp_path, {"a/b": b"3", "d": b"3"}, LIST), tmp_path, "a/b")
    refused(
        lambda: output_folder.write(tmp_path, {"notes.txt": b"3", "d": b"3"}, LIST), tmp_path, "notes.txt"
    )
    output_folder.write(tmp_path, {"c": b"4"}, LIST)
    assert (tmp_path / "a/b").read_text() == "edited", "it was not in the way"
    refused(lambda: output_folder.write(tmp_path, {"a/b": b"4"}, LIST), tmp_path, "a/b")


@pytest.mark.parametrize("where", ["file", "folder", "manifest", "empty folder", "pipe"])
def test_no_link_is_followed_and_nothing_in_the_way_removed(tmp_path: Path, where: str) -> None:
    folder, outside = tmp_path / "out", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (outside / "b").write_text("precious")
    name = {"folder": "a/b", "manifest": "list.json"}.get(where, "a")
    if where == "folder":
        (folder / "a").symlink_to(outside)
    elif where == "empty folder":
        (folder / "a").mkdir()
    elif where == "pipe":
        os.mkfifo(folder / "a")
    else:
        (folder / name).symlink_to(outside / "b")
    path = "a/b" if where == "folder" else "a"
    with pytest.raises(UsageError, match=f"work of yours: {name}"):
        output_folder.write(folder, {path: b"1"}, LIST)
    assert (outside / "b").read_text() == "precious"
    assert len(list(outside.iterdir())) == len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("path", ["../victim", "/etc/passwd", "a/../../victim", "a/./b", ""])
def test_a_manifest_cannot_name_what_lies_elsewhere(tmp_path: Path, path: str) -> None:
    (tmp_path / "victim").write_text("precious")
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "list.json").write_bytes(LIST.content({path: b"precious"}))
    with pytest.raises(UsageError, match=r"list\.json"):
        output_folder.write(folder, {"new": b"1"}, LIST)
    assert (tmp_path / "victim").read_text() == "precious"


def test_what_fails_half_way_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write(increment.make(), tmp_path / "out")
    before = look(tmp_path / "out")
    real, left = Path.replace, 2

    def failing(self: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left == 0:
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(UsageError, match="No space left"):
        project.write(increment.make("mps2-an385"), tmp_path / "out")
    assert left == 0
    assert look(tmp_path / "out") == before


def test_a_second_project_leaves_what_is_not_its_own(tmp_path: Path) -> None:
    folder = project.write(increment.make(), tmp_path / "out")
    mine = {".pio/build/firmware.elf": "built", "src/__pycache__/x.pyc": "python's"}
    for path, text in mine.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (folder / "empty").mkdir()
    (folder / ".pio" / "link").symlink_to(tmp_path)
    same = (folder / "src/model.cpp").stat().st_mtime_ns
    project.write(increment.make("mps2-an385"), folder)
    assert look(folder).items() >= {**mine, "empty": "folder", ".pio/link": f"-> {tmp_path}"}.items()
    assert not (folder / "boards/mps2-an386.json").exists()
    assert (folder / "src/model.cpp").stat().st_mtime_ns == same, "what is the same stays"
    (folder / "src" / "link.cpp").symlink_to(tmp_path / "elsewhere.cpp")
    refused(lambda: project.write(increment.make(), folder), folder, "src/link.cpp")


def test_a_report_takes_the_place_of_its_own_only(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_text("mine")
    report_files.write(result(), tmp_path)
    report_files.write(result(), tmp_path)
    report_files.check_writable(tmp_path)
    assert (tmp_path / "model.tflite").read_text() == "mine"
    (tmp_path / "report.html").write_text("annotated")
    refused(lambda: report_files.check_writable(tmp_path), tmp_path, "report.html")
    refused(lambda: report_files.write(result(), tmp_path), tmp_path, "report.html")
    other = tmp_path / "other"
    other.mkdir()
    (other / "result.json").write_text("{}")
    refused(lambda: report_files.check_writable(other), other, "result.json")
    (other / "aot").mkdir()
    (other / "aot" / "report.html").write_text("mine")
    with pytest.raises(UsageError, match=r"aot holds work of yours: report\.html"):
        report_files.check_writable(other, ["aot", "tflm"])
