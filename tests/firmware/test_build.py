from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import increment
import pytest
from nightly import turn

from tinydeploy.boards import lookup
from tinydeploy.boards.board import Board
from tinydeploy.errors import FitError, ToolError
from tinydeploy.firmware import build, project
from tinydeploy.firmware.build import Firmware
from tinydeploy.firmware.project import Project
from tinydeploy.host import platformio

M4F = lookup.board("mps2-an386")
EMULATED = [board for board in lookup.all_boards() if "qemu" in board.emulation and board.kind == "bare"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("TINYDEPLOY_CACHE", str(folder))
    return folder


def entries(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "builds").iterdir() if path.suffix != ".lock")


@pytest.fixture
def no_platformio(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path, log: Path, timeout: float) -> int:
        raise AssertionError("PlatformIO was started")

    monkeypatch.setattr(platformio, "run_platformio", refuse)


@pytest.mark.parametrize("link", turn(["pipe", "uart"], "uart"))
@pytest.mark.parametrize("board", turn(EMULATED, *EMULATED[::3]), ids=lambda board: board.id)
def test_every_emulated_board_builds_without_a_warning(board: Board, link: str) -> None:
    firmware = build.build(increment.make(board.id, link=link), board)
    log = firmware.log.read_text()
    assert "warning" not in log.lower()
    assert "Installing" not in log
    assert not firmware.cached
    assert firmware.compiler.startswith(f"{board.core.toolchain}gcc")
    assert {"-O2", "-std=c++17", "-ffreestanding", "-fno-exceptions", "-fno-rtti"} <= set(firmware.flags)
    assert firmware.sizes.ram_bytes >= board.stack_bytes + 64


def test_the_second_build_compiles_nothing(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    first = build.build(increment.make(), M4F)
    request.getfixturevalue("no_platformio")
    second = build.build(increment.make(), M4F)
    assert second == dataclasses.replace(first, cached=True)


def test_another_model_reuses_the_compiled_runtime(cache: Path) -> None:
    build.build(increment.make(), M4F)
    before = {path for path in (cache / "platformio/objects").rglob("*") if path.is_file()}
    build.build(increment.make(extra="\nextern const int more; const int more = 1;\n"), M4F)
    after = {path for path in (cache / "platformio/objects").rglob("*") if path.is_file()}
    assert before <= after
    assert len(after - before) <= 3  # the model's object, the firmware, a list of them
    assert len(entries(cache)) == 2


def test_a_changed_linker_script_is_linked_anew() -> None:
    first = build.build(increment.make(), M4F)
    made = increment.make()
    path = "platforms/baremetal/ldscripts/firmware.ld"
    script = made.files[path].replace(b"__free_start = ALIGN(16)", b"__free_start = ALIGN(4096)")
    assert script != made.files[path]
    second = build.build(dataclasses.replace(made, files={**made.files, path: script}), M4F)
    assert first.elf.read_bytes() != second.elf.read_bytes()


def test_a_changed_driver_is_compiled_anew() -> None:
    """Though only a macro names it, and all others of the objects are those of before."""
    made = increment.make()
    path = "src/runtime/port/counter_cmsdk_timer.h"
    build.build(made, M4F)
    header = made.files[path] + b'extern "C" { [[gnu::used]] int tinydeploy_changed; }\n'
    second = build.build(dataclasses.replace(made, files={**made.files, path: header}), M4F)
    assert b"tinydeploy_changed" in second.elf.read_bytes()


def test_the_same_sources_give_the_same_elf_in_another_place(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build.build(increment.make(), M4F).elf.read_bytes()
    monkeypatch.setenv("TINYDEPLOY_CACHE", str(tmp_path / "quite another cache"))
    assert build.build(increment.make(), M4F).elf.read_bytes() == first
    assert str(tmp_path).encode() not in first


def test_what_the_shell_holds_does_not_reach_the_build(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build.build(increment.make(), M4F).elf.read_bytes()
    shutil.rmtree(cache)
    elsewhere = tmp_path / "elsewhere"
    for name in (
        "CORE_DIR",
        "SRC_DIR",
        "BUILD_DIR",
        "PLATFORMS_DIR",
        "PACKAGES_DIR",
        "BOARDS_DIR",
        "DEFAULT_ENVS",
    ):
        monkeypatch.setenv(f"PLATFORMIO_{name}", str(elsewhere))
    monkeypatch.setenv("PLATFORMIO_BUILD_FLAGS", "-DNONSENSE -O0")
    monkeypatch.setenv("CPLUS_INCLUDE_PATH", str(tmp_path))
    monkeypatch.setenv("SCONSFLAGS", "--nonsense")
    monkeypatch.setenv("HOME", str(tmp_path / "no-home"))
    assert build.build(increment.make(), M4F).elf.read_bytes() == first
    assert not elsewhere.exists()
    assert not (tmp_path / "no-home").exists()


@pytest.mark.parametrize("board", ["mps2-an386", "qemu-virt-rv32"])
def test_no_c_library_is_needed(board: str) -> None:
    """Debian's compilers come without one, and the firmware has to build on a machine that has no more."""
    target = lookup.board(board)
    gcc = f"{target.core.toolchain}gcc"
    own = subprocess.check_output([gcc, "-print-file-name=include"], text=True).strip()
    made = increment.make(board)
    ini = made.files["platformio.ini"].replace(
        b"build_flags = ", f"build_flags = -nostdinc -isystem {own} ".encode()
    )
    assert b"-nostdinc" in ini
    firmware = build.build(dataclasses.replace(made, files={**made.files, "platformio.ini": ini}), target)
    assert firmware.elf.is_file()


# --- failures ------------------------------------------------------------------------------------


def failing(made: Project, board: Board) -> FitError | ToolError:
    with pytest.raises((FitError, ToolError)) as caught:
        build.build(made, board)
    assert "\n" not in caught.value.message
    return caught.value


def test_too_much_flash(cache: Path) -> None:
    board = lookup.board("stm32vldiscovery")
    table = "\nextern const uint8_t big[200000]; const uint8_t big[200000] = {1};"
    user = '\nnamespace { struct Use { Use() { asm volatile("" ::"r"(big)); } } use; }\n'
    error = failing(increment.make("stm32vldiscovery", extra=table + user), board)
    assert isinstance(error, FitError)
    assert "bytes of flash, and stm32vldiscovery has 131,072" in error.message
    needed = int(error.message.split("needs ")[1].split(" bytes")[0].replace(",", ""))
    assert 200_000 < needed < 220_000
    assert entries(cache) == []


def test_too_much_ram(cache: Path) -> None:
    error = failing(increment.make("stm32vldiscovery", arena=9000), lookup.board("stm32vldiscovery"))
    assert isinstance(error, FitError)
    assert "bytes of RAM, and stm32vldiscovery has 8,192" in error.message
    assert entries(cache) == []


def test_sources_that_do_not_compile(cache: Path) -> None:
    error = failing(increment.make(extra="\nint broken = nonsense;\n"), M4F)
    assert isinstance(error, ToolError)
    assert "'nonsense' was not declared" in error.message
    log = Path(error.hint.split(" is in ")[1])
    assert "nonsense" in log.read_text()
    assert entries(cache) == []


def test_a_missing_toolchain_is_said_before_anything_starts(
    cache: Path, monkeypatch: pytest.MonkeyPatch, no_platformio: None
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    error = failing(increment.make(), M4F)
    assert "arm-none-eabi-gcc is not on PATH" in error.message
    assert error.hint == "apt-get install --no-install-recommends gcc-arm-none-eabi"
    error = failing(increment.make("qemu-virt-rv32"), lookup.board("qemu-virt-rv32"))
    assert error.hint == "apt-get install --no-install-recommends gcc-riscv64-unknown-elf"
    assert not (cache / "builds").exists()


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TINYDEPLOY_CACHE", str(tmp_path / "file" / "cache"))
    error = failing(increment.make(), M4F)
    assert "cannot build in" in error.message
    assert "TINYDEPLOY_CACHE" in error.hint


# --- processes -----------------------------------------------------------------------------------


def processes_that_name(folder: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            directory = str((process / "cwd").readlink())
        except OSError:
            continue  # it ended while we looked
        if int(process.name) != os.getpid() and (str(folder) in command or directory.startswith(str(folder))):
            found.append(command)
    return found


def wait_for_compiler(cache: Path) -> None:
    deadline = time.monotonic() + 60
    while not any("cc1plus" in command for command in processes_that_name(cache)):
        assert time.monotonic() < deadline, "no compiler was started"
        time.sleep(0.02)


SLOW = (
    "\nconstexpr long spin(long n) { long s = 0; for (long i = 0; i < n; ++i) s += i; return s; }\n"
    + "".join(f"extern const long slow{i}; const long slow{i} = spin(250000 - {i});\n" for i in range(400))
)


def test_a_timeout_ends_the_build(cache: Path) -> None:
    with pytest.raises(ToolError, match=r"longer than 2 s"):
        build.build(increment.make(extra=SLOW), M4F, timeout=2)
    assert processes_that_name(cache) == []
    assert entries(cache) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_no_process_and_no_entry(cache: Path, number: signal.Signals) -> None:
    program = """
import signal, sys
def stop(*_): raise KeyboardInterrupt
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
import increment, test_build
from tinydeploy.firmware import build
build.build(increment.make(extra=test_build.SLOW), test_build.M4F)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stderr=subprocess.DEVNULL
    ) as child:
        try:
            wait_for_compiler(cache)
            child.send_signal(number)
            assert child.wait(20) != 0
        finally:
            child.kill()
    deadline = time.monotonic() + 30  # a killed process takes a moment to go
    while processes_that_name(cache) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes_that_name(cache) == []
    assert entries(cache) == []


def test_two_builds_of_the_same_thing_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Path] = []
    real = platformio.run_platformio

    def counted(folder: Path, log: Path, timeout: float) -> int:
        started.append(folder)
        return real(folder, log, timeout)

    monkeypatch.setattr(platformio, "run_platformio", counted)
    results: list[Firmware] = []
    threads = [
        threading.Thread(target=lambda: results.append(build.build(increment.make(), M4F))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(started) == 1
    assert sorted(result.cached for result in results) == [False, True]
    assert len(entries(cache)) == 1


# --- without tinydeploy --------------------------------------------------------------------------


def pio(folder: Path, core: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PLATFORMIO_")}
    environment |= {
        "PLATFORMIO_CORE_DIR": str(core),
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
        "PLATFORMIO_DISABLE_UPGRADE_CHECK": "true",
        # Any attempt to reach the registry fails at once.
        "HTTP_PROXY": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }
    return subprocess.run(
        [sys.executable, "-m", "platformio", *arguments],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_generated_projects_stand_on_their_own(tmp_path: Path) -> None:
    """Two of them, one after another with the same core folder: each uses its own platform and board."""
    core = tmp_path / "core"
    for name, board in (("first", "mps2-an386"), ("second", "qemu-virt-rv32")):
        folder = project.write(increment.make(board), tmp_path / name)
        builder = folder / "platforms/baremetal/builder/main.py"
        builder.write_text(f"{builder.read_text()}\nprint('builder of', {name!r})\n")
        done = pio(folder, core, "run")
        assert done.returncode == 0, done.stderr
        assert f"builder of {name}" in done.stdout
        assert (folder / f".pio/build/{board}/firmware.elf").is_file()
        assert pio(folder, core, "run", "-t", "clean").returncode == 0


def test_the_firmwares_own_unit_tests_run_here_and_in_qemu(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    done = pio(root, tmp_path / "core", "test")
    assert done.returncode == 0, done.stdout + done.stderr
    summary = [
        line.split() for line in done.stdout.splitlines() if line.startswith(("native ", "mps2-an386 "))
    ]
    suites = sorted(path.name for path in (root / "tests/firmware_unit").glob("test_*/"))
    assert {(row[0], row[1]) for row in summary} == {
        (environment, suite) for environment in ("native", "mps2-an386") for suite in suites
    }
    assert {row[2] for row in summary} == {"PASSED"}


def test_the_root_project_builds(tmp_path: Path) -> None:
    done = pio(Path(__file__).parents[2], tmp_path / "core", "run")
    assert done.returncode == 0, done.stdout + done.stderr
