"""What is kept between runs heals, stays bounded, and is never dropped from under who uses it."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import increment
import pytest
from nightly import turn

from tinydeploy.boards import lookup
from tinydeploy.firmware import build
from tinydeploy.firmware.build import Firmware
from tinydeploy.host import cache as kept
from tinydeploy.host import platformio

M4F = lookup.board("mps2-an386")
CLOSED = 0o000


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("TINYDEPLOY_CACHE", str(folder))
    return folder


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A cache with one build, and its firmware."""
    folder = tmp_path_factory.mktemp("pristine")
    before = os.environ.get("TINYDEPLOY_CACHE")
    os.environ["TINYDEPLOY_CACHE"] = str(folder)
    try:
        return folder, build.build(increment.make(), M4F).elf.read_bytes()
    finally:
        if before is None:
            del os.environ["TINYDEPLOY_CACHE"]
        else:
            os.environ["TINYDEPLOY_CACHE"] = before


def copied(pristine: tuple[Path, bytes], cache: Path) -> Path:
    """The one entry of a copy of that cache."""
    subprocess.run(["cp", "-a", pristine[0], cache], check=True)
    (entry,) = (path for path in (cache / "builds").iterdir() if path.suffix != ".lock")
    return entry


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def in_its_place_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def in_its_place_a_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/nowhere")


DAMAGE: dict[str, Callable[[Path], None]] = {
    "truncated": lambda path: os.truncate(path, 100),
    "empty": lambda path: os.truncate(path, 0),
    "missing": Path.unlink,
    "flipped": flip,
    "folder": in_its_place_a_folder,
    "link": in_its_place_a_link,
}
ELF = "project/.pio/build/mps2-an386/firmware.elf"


@pytest.mark.parametrize("what", DAMAGE)
@pytest.mark.parametrize("name", [ELF, "project/platformio.ini", "seal.json", "build.log"])
def test_a_damaged_entry_is_none(pristine: tuple[Path, bytes], cache: Path, what: str, name: str) -> None:
    entry = copied(pristine, cache)
    assert kept.is_whole(entry)
    DAMAGE[what](entry / name)
    assert not kept.is_whole(entry)
    kept.remove(entry)
    assert not entry.exists()


@pytest.mark.parametrize("what", ["truncated", "file", "closed", "empty lock", "lock folder"])
def test_a_damaged_build_is_made_again(pristine: tuple[Path, bytes], cache: Path, what: str) -> None:
    entry = copied(pristine, cache)
    if what == "truncated":
        os.truncate(entry / ELF, 1000)
    elif what == "closed":
        (entry / "project").chmod(CLOSED)
        (entry / "seal.json").unlink()
    else:
        kept.remove(entry)
        if what == "file":
            entry.write_text("in the way")
        elif what == "lock folder":
            entry.with_suffix(".lock").unlink(missing_ok=True)
            entry.with_suffix(".lock").mkdir()
            entry.with_suffix(".work").write_text("in the way")
    firmware = build.build(increment.make(), M4F)
    assert not firmware.cached
    assert firmware.elf.read_bytes() == pristine[1]
    assert build.build(increment.make(), M4F).cached


def objects(cache: Path) -> list[Path]:
    return sorted(path for path in (cache / "platformio/objects").glob("??/*") if path.is_file())


def break_every(change: Callable[[Path], None]) -> Callable[[Path], None]:
    def broken(cache: Path) -> None:
        for path in objects(cache):
            change(path)

    return broken


def break_the_index(cache: Path) -> None:
    (cache / "platformio/objects/config").write_text("{")


OBJECTS: dict[str, Callable[[Path], None]] = {
    "flipped": break_every(flip),
    "truncated": break_every(DAMAGE["truncated"]),
    "folder": break_every(in_its_place_a_folder),
    "index": break_the_index,
    "list": lambda cache: (cache / "platformio/objects.sha256").unlink(),
}


@pytest.mark.parametrize("what", turn([*OBJECTS], "flipped", "folder", "index"))
def test_a_damaged_object_is_compiled_again(pristine: tuple[Path, bytes], cache: Path, what: str) -> None:
    kept.remove(copied(pristine, cache))
    OBJECTS[what](cache)
    firmware = build.build(increment.make(), M4F)
    assert firmware.elf.read_bytes() == pristine[1]
    kept.remove(firmware.project.parent)
    again = build.build(increment.make(), M4F)
    assert again.elf.read_bytes() == pristine[1]
    assert "Retrieved `.pio/build/mps2-an386/firmware.elf' from cache" in again.log.read_text()


def test_a_failure_of_the_sources_is_not_tried_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[Path] = []
    real = platformio.run_platformio

    def counted(folder: Path, log: Path, timeout: float) -> int:
        runs.append(folder)
        return real(folder, log, timeout)

    monkeypatch.setattr(platformio, "run_platformio", counted)
    with pytest.raises(build.ToolError, match="nonsense"):
        build.build(increment.make(extra="\nint broken = nonsense;\n"), M4F)
    assert len(runs) == 1


def test_the_oldest_goes_first_and_what_is_used_stays(cache: Path) -> None:
    for age, name in enumerate(["new", "older", "oldest"]):
        folder = cache / "builds" / name
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(bytes(1000))
        kept.seal(folder, [folder / "file"])
        os.utime(folder, (1e9 - age, 1e9 - age))
    (cache / "thesis.tex").write_text("somebody else's")
    assert kept.trim(kept.usage().bytes) == 0
    holder = os.open(cache / "builds/oldest", os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_SH)  # as another process does that uses it
    assert kept.trim(kept.usage().bytes - 1) == 1
    assert {path.name for path in (cache / "builds").iterdir()} >= {"new", "oldest"}
    assert not (cache / "builds/older").exists()
    assert kept.clear() == 1
    assert (cache / "builds/oldest/file").is_file()
    os.close(holder)
    assert kept.clear() == 1
    assert kept.usage().bytes == 0
    assert (cache / "thesis.tex").is_file()


def test_a_build_in_use_is_not_trimmed(pristine: tuple[Path, bytes], cache: Path) -> None:
    copied(pristine, cache)
    firmware = build.build(increment.make(), M4F)
    assert firmware.cached
    kept.clear()
    assert firmware.elf.read_bytes() == pristine[1]


def test_the_limit_holds_by_itself(
    pristine: tuple[Path, bytes], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = copied(pristine, cache)
    monkeypatch.setenv(kept.LIMIT_VARIABLE, "1")
    firmware: Firmware = build.build(
        increment.make(extra="\nextern const int more; const int more = 1;\n"), M4F
    )
    assert not old.exists()
    assert firmware.elf.is_file()
    assert objects(cache) == []
    assert build.build(increment.make(extra="\nextern const int more; const int more = 1;\n"), M4F).cached


@pytest.mark.parametrize(("text", "size"), [("0", 0), ("1G", 1 << 30), ("1.5 MiB", 3 << 19), ("20k", 20480)])
def test_sizes(text: str, size: int) -> None:
    assert kept.size(text) == size


def tinydeploy(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tinydeploy", "cache", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_the_verb(pristine: tuple[Path, bytes], cache: Path) -> None:
    copied(pristine, cache)
    told = json.loads(tinydeploy("--json").stdout)
    assert told["folder"] == str(cache)
    assert told["entries"]["builds"] == 1
    assert told["bytes"] == sum(told["entry_bytes"].values()) > 100_000
    assert "1 entries" in tinydeploy().stdout
    assert tinydeploy("--trim", "much").returncode == 2
    assert tinydeploy("--clear", "--json").returncode == 0
    assert json.loads(tinydeploy("--json").stdout)["bytes"] == 0
